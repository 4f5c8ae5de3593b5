import ByteSource
import CCurl
import Core

/// One ranged GET on its way, made by `HTTPClient.fetch`, which keeps it until it has ended. It owns the answer so far
/// and the libcurl handle that it has borrowed; all on the transfer loop, most of it inside libcurl's callbacks.
@TransferLoop
package final class RangeFetch {
  package let request: RangeRequest
  /// The offset of the next byte to be handed over.
  package private(set) var position: Int64
  /// End of the bytes to be handed over: the range's end, the object's once it comes whole, or the offset of
  /// `stop(at:)`.
  package var end: Int64 { min(promisedEnd, stopOffset) }
  /// The sink was, or is being, told the end.
  package private(set) var isEnded = false

  /// The sink had no room, and has not resumed it yet.
  package var isPaused: Bool { clock.isPaused && !isHeldBack }
  /// Paused by the client's rate limit, so the time without bytes is not the server's fault.
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
  /// The place of the next byte of the body, which is before `position` while bytes that were not asked for come first.
  private var bodyOffset: Int64
  /// The end of what this answer holds; the rest of the range is asked for if it comes first.
  private var answerEnd: Int64
  private var stopOffset = Int64.max
  private var hasBegun = false
  /// The bytes that the request under way asked for; a stop that comes later does not change them.
  private var asked: ByteRange
  /// `resume` was called since the last bytes were offered.
  private var wasResumed = false
  /// The error that the head already means, while the body is only read so that the connection can be kept.
  private var verdict: TransferError?

  init(_ request: RangeRequest, sink: any RangeSink, client: HTTPClient) {
    precondition(!request.range.isEmpty && request.range.end <= request.size, "a range outside the object")
    self.request = request
    self.sink = sink
    self.client = client
    position = request.range.start
    promisedEnd = request.range.end
    bodyOffset = request.range.start
    answerEnd = request.range.end
    hop = request.url.reveal()
    clock = PhaseClock(now: client.now())
    asked = request.range
  }

  /// Ends the fetch without error once `offset` is reached (at once, if it is already); for bytes that another fetch
  /// brings meanwhile.
  package func stop(at offset: Int64) {
    guard !isEnded else { return }
    stopOffset = min(stopOffset, offset)
    // The whole range may be here with only the end of the body missing; then the connection can be kept, and libcurl
    // is waited for.
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
    head = AnswerHead()
    hasBegun = false
    // The rest of what is still wanted: an answer may have brought a part, and a stop may have come since.
    let asked = ByteRange(position, min(request.range.end, stopOffset))
    self.asked = asked
    do throws(TransferError) {
      let url = request.url.reveal()
      hop = try SecureURL.check(url, request.policy)
      easy = try client.start(self) { easy throws(TransferError) in
        try easy.prepare(
          url: url, headers: ["Accept-Encoding: identity"], options: client.options, oldest: client.oldestIdle)
        easy.setRange(asked)
        easy.followRedirects()
        // The rest of an answer in parts comes on the same connection.
        if request.isFresh, position == request.range.start {
          client.distrustIdleConnections()
          easy.setFresh()
        }
      }
    } catch {
      finish(error)
    }
  }

  /// The answer was a part of the range, as servers are free to give: asks for the next part. Each part has at least a
  /// byte.
  private func goOnWithRest() {
    guard let handle = easy else { return }
    easy = nil
    client.changed(handle) { [self] in begin() }
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
        // Only the first address is the service's; a server that leads on to an odd one may be a stray one.
        hop = try SecureURL.check(head[.location] ?? "", relativeTo: hop, request.policy, of: .redirect)
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
      let answer = try head.rangeAnswer(
        to: asked, size: request.size, mayBeText: request.policy.mayBeText, wallSeconds: client.wallSeconds())
      promisedEnd = answer.isWhole ? answer.range.end : request.range.end
      (bodyOffset, answerEnd) = (answer.range.start, answer.range.end)
      hasBegun = true
      guard let sink, sink.rangeBegan(self, validator: answer.validator, isWhole: answer.isWhole) else {
        return fail(.cancelled)
      }
      return !isEnded
    } catch {
      guard case .status = error, let length = head[.contentLength].flatMap({ decimal($0.utf8) }),
        length <= Self.worthReading
      else {
        return fail(error)
      }
      verdict = error
      return true
    }
  }

  func bodyReceived(_ bytes: UnsafeRawBufferPointer) -> BodyVerdict {
    guard verdict == nil else { return .taken }
    guard hasBegun, !isEnded, let sink else { return .end }
    let skipped = Int(clamping: min(Int64(bytes.count), position - bodyOffset))
    let rest = bytes.dropFirst(skipped)
    let room = max(0, min(end, answerEnd) - position)
    let part = UnsafeRawBufferPointer(rebasing: rest.prefix(Int(clamping: room)))
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
    bodyOffset += Int64(bytes.count)
    clock.received(now: client.now())
    if bodyOffset > answerEnd {
      finish(position >= stopOffset ? nil : .wrongAnswer("the body is longer than its head promised"))
      return .end
    }
    // The range's end may be the body's, too; then libcurl is waited for, so that the connection can be kept.
    if position >= end, position < answerEnd {
      finish(nil)
      return .end
    }
    return .taken
  }

  func transferEnded(_ result: CurlResult) {
    if let verdict { return finish(verdict) }
    if hasBegun, position >= end { return finish(nil) }
    if hasBegun, position >= answerEnd, result.code == CURLE_OK { return goOnWithRest() }
    let short = TransferError.short(received: position - request.range.start, expected: end - request.range.start)
    if result.code != CURLE_OK {
      return finish(result.error(phase: clock.phase, short: hasBegun ? short : .unreachable(result.text)))
    }
    finish(hasBegun ? short : .wrongAnswer("the answer has no head"))
  }

  func checkClock(now: Moment) {
    guard let phase = clock.expired(now: now, headers: client.options.headerTimeout, idle: client.options.idleTimeout)
    else { return }
    if let verdict { return finish(verdict) }
    // Everything is here and only the end of the body is not.
    if hasBegun, position >= end { return finish(nil) }
    finish(.timedOut(phase: phase.rawValue))
  }
}
