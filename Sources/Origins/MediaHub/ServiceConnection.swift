import Core
import Synchronization
import Telemetry
import Transfer

/// Sends a small request: `HTTPClient`, or a test's double.
@TransferLoop
package protocol RequestSender: AnyObject, Sendable {
  func perform(_ request: HTTPRequest) async throws(TransferError) -> HTTPResponse
}

extension HTTPClient: RequestSender {}

/// Requests to the service with a token: got, kept, replaced and tried again as needed. `MediaHubClient` owns it. The
/// connection owns the token, the turns and the rest that the service asked for, on the transfer loop; nothing of it is
/// written to a disk.
@TransferLoop
final class ServiceConnection {
  /// Requests under way at once; the token's is not counted, since the others wait for it.
  private nonisolated static let mostRequests = 8

  nonisolated let sentences: Sentences
  private let base: String
  private let options: MediaHubClient.Options
  private let sender: any RequestSender
  private let time: any TimeSource
  private let pause: @Sendable (Duration) async -> Void
  private let turns = RequestTurns(limit: mostRequests)
  private var rest: ServiceRest
  /// The same for other threads.
  private nonisolated let restShown: Mutex<ServiceRest>
  private var cache = TokenCache()
  private var fetching: Task<Result<TokenCache.Token, MediaHubError>, Never>?

  init(
    _ options: MediaHubClient.Options, sender: any RequestSender, time: any TimeSource,
    pause: @escaping @Sendable (Duration) async -> Void
  ) {
    var base = options.base
    while base.hasSuffix("/") { base.removeLast() }
    self.base = base
    self.options = options
    self.sender = sender
    self.time = time
    self.pause = pause
    sentences = Sentences(base: base)
    rest = ServiceRest(limit: options.retryAfterLimit)
    restShown = Mutex(rest)
  }

  /// A sentence while the service is left alone at its own request; for any thread.
  nonisolated var restSentence: String? {
    let rest = restShown.withLock { $0 }
    return rest.left(time.now()).map {
      rest.sentence(of: sentences.service, left: $0, wallNanoseconds: time.wallNanoseconds())
    }
  }

  /// `GET base + path`, with a token; a token that is refused is replaced once.
  /// - Returns: the answer, of whatever status but those of tokens, overload and the service's own trouble.
  /// - Parameter turn: its place among the requests that wait; nil: an urgent one.
  func get(_ path: String, timeout: Duration = .seconds(30), turn: RequestTurn? = nil) async throws(MediaHubError) -> (
    response: HTTPResponse, url: String
  ) {
    let url = base + path
    let turn = turn ?? RequestTurn(isUrgent: true)
    var token = try await self.token()
    var response = try await send(HTTPRequest(url: url, bearer: token.value, totalTimeout: timeout), turn)
    if response.status == 401 || response.status == 403 {
      Log.info(.mediahubTokenRefused, ["status": response.status])
      cache.discard(token)
      token = try await self.token()
      response = try await send(HTTPRequest(url: url, bearer: token.value, totalTimeout: timeout), turn)
    }
    switch response.status {
    case 401, 403: throw sentences.refusedToken(response.status, hasScope: hasScope)
    case 408, 429, 500...599: throw sentences.refused(response.status)
    default: return (response, url)
    }
  }

  /// The same without a token, with a signature over the path; `path` has a query.
  func get(_ path: String, signedBy signer: LinkSigner, turn: RequestTurn? = nil) async throws(MediaHubError) -> (
    response: HTTPResponse, url: String
  ) {
    // The base's own path, which is signed too.
    let start = WebAddress(base)?.path ?? ""
    let url =
      String(base.dropLast(start.count))
      + signer.signed(start + path, wallSeconds: time.wallNanoseconds() / 1_000_000_000)
    let response = try await send(HTTPRequest(url: url), turn ?? RequestTurn(isUrgent: true))
    switch response.status {
    case 401, 403: throw sentences.refusedSignature(response.status)
    case 408, 429, 500...599: throw sentences.refused(response.status)
    default: return (response, url)
    }
  }

  // MARK: The token

  private func token() async throws(MediaHubError) -> TokenCache.Token {
    switch cache.want(now: time.now()) {
    case .use(let token): return token
    case .join:
      guard let fetching else { throw .unreachable("the request for a token of MediaHub was lost") }
      return try await fetching.value.get()
    case .fetch:
      // A task of its own: one caller that gives up must not take the token from the others.
      let task = Task { await self.fetchToken() }
      fetching = task
      return try await task.value.get()
    }
  }

  private func fetchToken() async -> Result<TokenCache.Token, MediaHubError> {
    defer { fetching = nil }
    do throws(MediaHubError) {
      let asked = time.now()
      let record = try await requestToken()
      Log.debug(
        .mediahubToken, ["service": sentences.service, "lifetime": record.lifetime.map { "\($0)" } ?? "unknown"])
      return .success(cache.fetched(record.token, lifetime: record.lifetime, asked: asked))
    } catch {
      cache.failed()
      return .failure(error)
    }
  }

  private func requestToken() async throws(MediaHubError) -> (token: Redacted<String>, lifetime: Int64?) {
    let secret = options.clientSecret.reveal()
    guard !options.clientID.isEmpty, !secret.isEmpty else {
      throw .unconfigured(
        "MediaHub needs client_id and client_secret; set them in the config file or as FSMVP_CLIENT_ID and "
          + "FSMVP_CLIENT_SECRET"
      )
    }
    // The grant type is the service's own spelling, in the singular.
    var form = PercentEncoding.query([
      "grant_type": "client_credential", "client_id": options.clientID, "client_secret": secret,
    ])
    if let scope = options.scope, !scope.isEmpty { form += "&" + PercentEncoding.query(["scope": scope]) }
    let response = try await send(HTTPRequest(.post, url: base + "/oauth2/token/", form: Redacted(form)), nil)
    switch response.status {
    case 200, 201: break
    case 400, 401, 403:
      let cause = LenientJSON.object(RefusalRecord.self, from: response.body)?.error ?? ""
      throw sentences.refusedCredentials(response.status, cause: cause, hasScope: hasScope)
    default: throw sentences.refused(response.status)
    }
    guard let record = LenientJSON.object(TokenRecord.self, from: response.body) else {
      throw sentences.malformed("a token")
    }
    // A header is made of it: nothing but visible ASCII.
    guard let token = record.token, !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
      throw sentences.lacking("access_token", in: "a token")
    }
    return (Redacted(token), record.lifetime)
  }

  private var hasScope: Bool { !(options.scope ?? "").isEmpty }

  // MARK: One request

  /// With retries; every request of this client may be sent twice. While the service wants to be left alone nothing is
  /// sent: a short rest is waited for, a longer one is an error at once.
  /// - Parameter turn: nil: it waits for no turn.
  private func send(_ request: HTTPRequest, _ turn: RequestTurn?) async throws(MediaHubError) -> HTTPResponse {
    var policy = RetryPolicy()
    // The end of the rest that was waited for; a clock may say that it is not quite over. Another request may hear of a
    // longer one meanwhile.
    var waitedFor: Moment?
    var waited = Duration.zero
    while true {
      if let turn { await turns.take(turn) }
      if rest.until != waitedFor, let left = rest.left(time.now()) {
        if turn != nil { turns.leave() }
        waited += left
        guard waited <= RetryPolicy.patience, !Task.isCancelled else { throw restError(left) }
        waitedFor = rest.until
        await pause(left)
        continue
      }
      let outcome: Result<HTTPResponse, TransferError>
      do throws(TransferError) {
        outcome = .success(try await sender.perform(request))
      } catch {
        outcome = .failure(error)
      }
      if turn != nil { turns.leave() }
      if case .success(let response) = outcome {
        rest.told(response.retryAfter, status: response.status, now: time.now())
        let rest = rest
        restShown.withLock { $0 = rest }
      }
      guard !Task.isCancelled, let wait = policy.pause(after: outcome) else {
        if case .success(let response) = outcome, response.retryAfter != nil, let left = rest.left(time.now()) {
          Log.warning(.mediahubRest, ["service": sentences.service, "status": response.status, "for": "\(left)"])
          throw restError(left)
        }
        do throws(TransferError) {
          return try outcome.get()
        } catch {
          throw sentences.failed(error)
        }
      }
      Log.info(
        .mediahubRetry, ["service": sentences.service, "request": StableHash.hex(request.url), "after": "\(wait)"])
      if let left = rest.left(time.now()), left <= wait { waitedFor = rest.until }
      await pause(wait)
    }
  }

  private func restError(_ left: Duration) -> MediaHubError {
    .busy(rest.sentence(of: sentences.service, left: left, wallNanoseconds: time.wallNanoseconds()), retryAfter: left)
  }
}
