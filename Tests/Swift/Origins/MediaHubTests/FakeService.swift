import Core
import EventLoop

@testable import MediaHub
@testable import Transfer

private let started: Void = EventLoop.start()

/// Runs `body` on the transfer loop, which it starts if need be.
func onLoop<Value: Sendable>(_ body: @TransferLoop @Sendable () async throws -> Value) async throws -> Value {
  _ = started
  return try await body()
}

/// A service without sockets: answers by a test's rules, counts what it was asked.
@TransferLoop
final class FakeService: RequestSender {
  typealias Answer = Result<HTTPResponse, TransferError>

  private(set) var requests: [HTTPRequest] = []
  private(set) var pauses: [Duration] = []
  private(set) var peak = 0
  private var active = 0
  /// By path, without base and query; the query where a test needs it. Nil: the default answers.
  private let rule: @TransferLoop (_ path: String, _ request: HTTPRequest) -> Answer?
  private var waiting: [CheckedContinuation<Void, Never>] = []
  /// While true, answers wait for `release`.
  var isHolding = false

  init(_ rule: @escaping @TransferLoop (_ path: String, _ request: HTTPRequest) -> Answer? = { _, _ in nil }) {
    self.rule = rule
  }

  nonisolated static let base = "https://hub.example/v1"

  func client(
    clock: any TimeSource = SystemClock(), id: String = "me", secret: String = "a+b/c=", scope: String? = nil,
    retryAfterLimit: Duration = .seconds(300)
  ) -> MediaHubClient {
    var options = MediaHubClient.Options(
      base: Self.base + "/", clientID: id, clientSecret: Redacted(secret), scope: scope)
    options.retryAfterLimit = retryAfterLimit
    return MediaHubClient(options: options, sender: self, ranges: HTTPClient(), clock: clock) { duration in
      await self.note(duration)
    }
  }

  /// Called while a request waits.
  var onPause: (@TransferLoop () async -> Void)?

  private func note(_ pause: Duration) async {
    pauses.append(pause)
    await onPause?()
  }

  var paths: [String] { requests.map { Self.path($0) } }
  var tokenRequests: Int { paths.filter { $0 == "/oauth2/token/" }.count }

  func release() {
    isHolding = false
    for continuation in waiting { continuation.resume() }
    waiting = []
  }

  func perform(_ request: HTTPRequest) async throws(TransferError) -> HTTPResponse {
    requests.append(request)
    active += 1
    peak = max(peak, active)
    defer { active -= 1 }
    if isHolding { await withCheckedContinuation { waiting.append($0) } }
    let path = Self.path(request)
    if let answer = rule(path, request) { return try answer.get() }
    if path == "/oauth2/token/" {
      return try Self.json(#"{"access_token": "T\#(tokenRequests)", "expires_in": "7200"}"#).get()
    }
    return try Self.status(404).get()
  }

  nonisolated static func path(_ request: HTTPRequest) -> String {
    String(request.url.dropFirst(base.count).prefix { $0 != "?" })
  }

  nonisolated static func json(_ text: String, status: Int = 200) -> Answer {
    .success(
      HTTPResponse(
        status: status, location: nil, contentType: "application/json", retryAfter: nil, body: Array(text.utf8)))
  }

  nonisolated static func status(_ status: Int, retryAfter: Duration? = nil) -> Answer {
    .success(HTTPResponse(status: status, location: nil, contentType: nil, retryAfter: retryAfter, body: []))
  }

  nonisolated static func redirect(_ location: String?) -> Answer {
    .success(
      HTTPResponse(status: 302, location: location.map(Redacted.init), contentType: nil, retryAfter: nil, body: []))
  }
}

/// The case and sentence of what `body` throws; "" if nothing.
@TransferLoop
func failure(_ body: () async throws -> some Any) async -> MediaHubError? {
  do {
    _ = try await body()
    return nil
  } catch {
    return error as? MediaHubError
  }
}
