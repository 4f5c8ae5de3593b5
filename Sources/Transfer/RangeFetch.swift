import CCurl
import Core

/// One ranged GET on its way, made by `HTTPClient.fetch`, which keeps it until it has ended.
@TransferLoop
package final class RangeFetch {
  package let request: RangeRequest
  /// The offset of the next byte to be handed over.
  package private(set) var position: Int64
  /// Where the bytes to be handed over end: the range's end, the object's once it comes whole, or what `stop(at:)` said.
  package var end: Int64 { min(promisedEnd, stopOffset) }
  /// The sink was, or is being, told the end.
  package private(set) var isEnded = false

  /// The sink had no room, and has not resumed it yet.
  package var isPaused: Bool { clock.isPaused && !isHeldBack }
  /// Paused by the client's rate limit: that nothing comes is nobody's fault.
  package private(set) var isHeldBack = false
  /// How far it has come, for time-outs.
  var phase: PhaseClock.Phase { clock.phase }

  private let client: HTTPClient
  private var sink: (any RangeSink)?
  private var easy: EasyHandle?
  private var clock: PhaseClock
  private var head = AnswerHead()
  /// The URL of the current hop, which a relative Location starts from.
  private var hop: String
  private var promisedEnd: Int64
  private var stopOffset = Int64.max
  private var hasBegun = false
  /// `resume` was called since the last bytes were offered.
  private var wasResumed = false
  /// What the head already came to, where the body is only read so that the connection can be kept.
  private var verdict: TransferError?

  init(_ request: RangeRequest, sink: any RangeSink, client: HTTPClient) {
    precondition(!request.range.isEmpty && request.range.end <= request.size, "a range outside the object")
    self.request = request
    self.sink = sink
    self.client = client
    position = request.range.start
    promisedEnd = request.range.end
    hop = request.link.url.reveal()
    clock = PhaseClock(now: client.now())
  }

  /// Ends the fetch without error once `offset` is reached (at once, if it is already); for bytes that somebody else fetches meanwhile.
  package func stop(at offset: Int64) {
    guard !isEnded else { return }
    stopOffset = min(stopOffset, offset)
    // The whole range may be here with only the end of the body missing; then the connection can be kept, and libcurl is waited for.
    if position >= stopOffset, position < promisedEnd { finish(nil) }
  }

  /// After a `rangeReceived` that said false. May call back before it returns.
  package func resume() {
    guard !isEnded else { return }
    // Room may be found before the sink has even said that there is none.
    wasResumed = true
    if isPaused { unpause() }
  }

  /// Its turn has come, after `isHeldBack`.
  func goOn() {
    guard !isEnded, isHeldBack else { return }
    isHeldBack = false
    unpause()
  }

  private func unpause() {
    clock.resumed(now: client.now())
    client.outside { [self] in
      guard !isEnded, !clock.isPaused, let easy else { return }
      let code = client.unpause(easy)
      if code != CURLE_OK, !isEnded { transferEnded(easy.result(code)) }
    }
  }

  /// Ends it with `.cancelled`, called back before this returns.
  package func cancel() { finish(.cancelled) }

  // MARK: Start and end

  /// Called by the client when there is a connection to be had; not inside a callback of libcurl.
  func begin() {
    guard !isEnded else { return }
    clock = PhaseClock(now: client.now())
    do throws(TransferError) {
      let url = request.link.url.reveal()
      hop = try SecureURL.check(url)
      easy = try client.start(self) { easy throws(TransferError) in
        try easy.prepare(url: url, headers: ["Accept-Encoding: identity"], options: client.options)
        easy.setRange(request.range)
        easy.followRedirects()
      }
    } catch {
      finish(error)
    }
  }

  private func finish(_ error: TransferError?) {
    guard !isEnded else { return }
    isEnded = true
    isHeldBack = false
    let listener = sink
    sink = nil
    let handle = easy
    easy = nil
    client.ended(self, handle, isClean: error == nil)
    listener?.rangeEnded(self, error: error)
  }

  /// Ends it from within a callback of libcurl.
  private func fail(_ error: TransferError) -> Bool {
    finish(error)
    return false
  }
}

// MARK: The answer

extension RangeFetch: Exchange {
  /// Bodies of errors up to this are read, which is cheaper than a new connection.
  private static let worthReading: Int64 = 64 << 10

  func handshakeBegan() { clock.handshakeBegan(now: client.now()) }
  func requestBegan() { clock.requestBegan(now: client.now()) }

  func headReceived(_ line: UnsafeRawBufferPointer) -> Bool {
    // Trailers of a chunked body come through here too, and change nothing any more.
    guard !hasBegun, verdict == nil else { return true }
    do throws(TransferError) {
      try head.take(line)
      guard head.isComplete, !head.isInterim else { return true }
      if head.isRedirect {
        hop = try SecureURL.check(head[.location] ?? "", relativeTo: hop)
        clock.redirected(now: client.now())
        return true
      }
    } catch {
      return fail(error)
    }
    clock.headEnded(now: client.now())
    return judge()
  }

  /// The final head is here.
  private func judge() -> Bool {
    do throws(TransferError) {
      let answer = try head.rangeAnswer(to: request.range, size: request.size, wallSeconds: client.wallSeconds())
      promisedEnd = answer.end
      hasBegun = true
      guard let sink, sink.rangeBegan(self, validator: answer.validator, isWhole: answer.isWhole) else { return fail(.sourceChanged) }
      return !isEnded
    } catch {
      guard case .status = error, let length = head[.contentLength].flatMap({ decimal($0.utf8) }), length <= Self.worthReading else {
        return fail(error)
      }
      verdict = error
      return true
    }
  }

  func bodyReceived(_ bytes: UnsafeRawBufferPointer) -> BodyVerdict {
    guard verdict == nil else { return .taken }
    guard hasBegun, !isEnded, let sink else { return .end }
    let room = max(0, end - position)
    let part = UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(clamping: room)))
    if !part.isEmpty {
      guard client.throttle?.allows(self) ?? true else {
        isHeldBack = true
        clock.paused()
        return .pause
      }
      wasResumed = false
      let isTaken = sink.rangeReceived(self, bytes: part, at: position)
      guard !isEnded else { return .end }
      guard isTaken else {
        clock.paused()
        if wasResumed { resume() }
        return .pause
      }
      position += Int64(part.count)
      client.throttle?.took(part.count)
    }
    clock.received(now: client.now())
    if position >= stopOffset, position < promisedEnd || part.count < bytes.count {
      finish(nil)
      return .end
    }
    if part.count < bytes.count {
      finish(.wrongAnswer("the body is longer than its head promised"))
      return .end
    }
    return .taken
  }

  func transferEnded(_ result: CurlResult) {
    if let verdict { return finish(verdict) }
    if hasBegun, position >= end { return finish(nil) }
    let short = TransferError.short(received: position - request.range.start, expected: end - request.range.start)
    if result.code != CURLE_OK { return finish(result.error(phase: clock.phase, short: hasBegun ? short : .unreachable(result.text))) }
    finish(hasBegun ? short : .wrongAnswer("the answer has no head"))
  }

  func checkClock(now: Moment) {
    guard let phase = clock.expired(now: now, headers: client.options.headerTimeout, idle: client.options.idleTimeout) else { return }
    if let verdict { return finish(verdict) }
    // Everything is here and only the end of the body is not.
    if hasBegun, position >= end { return finish(nil) }
    finish(.timedOut(phase: phase.rawValue))
  }
}
