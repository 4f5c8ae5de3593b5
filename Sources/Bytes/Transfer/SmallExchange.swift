import CCurl
import Core

/// A request of an API and its answer, kept in memory; redirects are not followed.
///
/// `SmallRace` owns it. It owns the answer so far, and has a libcurl handle of the `HTTPClient` from its start to its
/// end. Everything happens on the transfer loop, most of it inside libcurl's callbacks, and nothing waits there.
@TransferLoop
final class SmallExchange {
  static let longestBody = 16 << 20

  private let request: HTTPRequest
  private let client: HTTPClient
  private var done: ((Result<HTTPResponse, TransferError>) -> Void)?
  private var isEnded = false
  private var easy: EasyHandle?
  private var clock: PhaseClock
  private var head = AnswerHead()
  private var body: [UInt8] = []

  init(_ request: HTTPRequest, client: HTTPClient) {
    self.request = request
    self.client = client
    clock = PhaseClock(now: client.now())
  }

  /// - Parameter done: called exactly once, maybe before this returns.
  func begin(_ done: @escaping (Result<HTTPResponse, TransferError>) -> Void) {
    guard !isEnded else { return done(.failure(.cancelled)) }
    self.done = done
    client.outside { [self] in start() }
  }

  func cancel() { finish(.failure(.cancelled)) }

  private func start() {
    guard !isEnded else { return }
    do throws(TransferError) {
      _ = try SecureURL.check(request.url)
      var headers = ["Accept: application/json"]
      if let bearer = request.bearer?.reveal() {
        // A line end in a token would be another header.
        guard bearer.utf8.allSatisfy({ (0x21...0x7e).contains($0) }), !bearer.isEmpty else {
          throw .refused("The service's token has characters that no header may hold.")
        }
        headers.append("Authorization: Bearer \(bearer)")
      }
      if request.method == .post { headers += ["Content-Type: application/x-www-form-urlencoded", "Expect:"] }
      easy = try client.start(self) { easy throws(TransferError) in
        try easy.prepare(url: request.url, headers: headers, options: client.options, oldest: client.oldestIdle)
        easy.setTotalTimeout(request.totalTimeout)
        if request.method == .post { easy.setForm(request.form?.reveal() ?? "") }
      }
    } catch {
      finish(.failure(error))
    }
  }

  private func finish(_ result: Result<HTTPResponse, TransferError>) {
    guard !isEnded else { return }
    isEnded = true
    let handle = easy
    easy = nil
    if case .success = result {
      client.ended(self, handle, isClean: true)
    } else {
      client.ended(self, handle, isClean: false)
    }
    let done = done
    self.done = nil
    done?(result)
  }
}

extension SmallExchange: Exchange {
  func handshakeBegan() { clock.handshakeBegan(now: client.now()) }
  func requestBegan() { clock.requestBegan(now: client.now()) }

  func headReceived(_ line: UnsafeRawBufferPointer) -> Bool {
    // After the head come a chunked body's trailers.
    guard clock.phase != .body else { return true }
    do throws(TransferError) {
      try head.take(line)
      guard head.isComplete, !head.isInterim else { return true }
      try head.refuseEncoding(isOfRightLength: true)
    } catch {
      finish(.failure(error))
      return false
    }
    clock.headEnded(now: client.now())
    return true
  }

  func bodyReceived(_ bytes: UnsafeRawBufferPointer) -> BodyVerdict {
    guard body.count + bytes.count <= Self.longestBody else {
      finish(.failure(.tooLong(limit: Self.longestBody)))
      return .end
    }
    body.append(contentsOf: bytes)
    clock.received(now: client.now())
    return .taken
  }

  func transferEnded(_ result: CurlResult) {
    guard result.code == CURLE_OK else {
      return finish(.failure(result.error(phase: clock.phase, short: .unreachable(result.text))))
    }
    guard head.isComplete, !head.isInterim else { return finish(.failure(.wrongAnswer("the answer has no head"))) }
    finish(
      .success(
        HTTPResponse(
          status: head.status, location: head[.location].map { Redacted($0) }, contentType: head[.contentType],
          retryAfter: head.retryAfter(wallSeconds: client.wallSeconds()), body: body)))
  }

  func checkClock(now: Moment) {
    if let phase = clock.expired(now: now, headers: client.options.headerTimeout, idle: client.options.idleTimeout) {
      finish(.failure(.timedOut(phase: phase.rawValue)))
    }
  }
}
