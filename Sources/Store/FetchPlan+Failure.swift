import Core
import Transfer

/// Failures: back off and resume, get another link, or give up; the matrix of mediahub 4.3.
extension FetchPlan {
  /// Fetch `id` ended. Everything before its position was received; the rest is missing again.
  mutating func ended(_ id: Int, error: TransferError?, now: Moment) -> [Action] {
    if let actions = probeEnded(id, error: error, now: now) { return actions }
    if case .fetching(id, let range) = comparison {
      // Its bytes, if it has them all, go to `compared`.
      if error == nil {
        comparison = .reading
        return []
      }
      comparison = .wanted(range.end)
      return failed(error ?? .cancelled, epoch: epoch, generation: generation, start: range.start, now: now)
    }
    guard let index = fetches.firstIndex(where: { $0.id == id }) else { return [] }
    let fetch = fetches.remove(at: index)
    if fetches.isEmpty { tuner.idle() }
    if isWholeOnly, !wholeBroughtBytes, heldCount < size { emptyWholes += 1 }
    if let error {
      return failed(error, epoch: fetch.epoch, generation: fetch.generation, start: fetch.start, now: now) + resolveComparison()
    }
    guard fetch.position < fetch.limit else { return resolveComparison() }
    // Ended early without a word: no less a failure.
    let short = TransferError.short(received: fetch.position - fetch.start, expected: fetch.limit - fetch.start)
    return failed(short, epoch: fetch.epoch, generation: fetch.generation, start: fetch.start, now: now)
  }

  mutating func failed(_ error: TransferError, epoch failedEpoch: Int, generation failed: Int, start: Int64, now: Moment)
    -> [Action]
  {
    // After giving up, what else was in flight then changes nothing.
    guard permanentFailure == nil, !isHalted || failedEpoch == epoch else { return [] }
    lastError = Self.sentence(error)
    switch error {
    case .sourceChanged, .sizeDiffers: return failForGood(.io, Self.sentence(error))
    case .wrongAnswer:
      // Parallel ones are one burst.
      guard failedEpoch == epoch else { return [] }
      if start > 0, !isBounded, !answersRanges, !hadTrial, !fetches.contains(where: { $0.start == 0 }) {
        hadTrial = true
        wantsTrial = true
        epoch += 1
        return []
      }
      wrongAnswers += 1
      if wrongAnswers >= settings.wrongAnswerLimit { return giveUp(now) }
      backOff(now, after: nil)
      // An expired link is often answered with a page that says so.
      return wrongAnswers == 1 ? replaceLink() : []
    case .cancelled:
      if failedEpoch == epoch { backOff(now, after: nil) }
      return []
    default: break
    }
    switch error.remedy {
    case .give: return giveUp(now)
    case .newLink:
      guard failed == generation, linkState == .ready else { return [] }
      linkFailures += 1
      if linkFailures > settings.linkLimit { return giveUp(now) }
      // The first new link is tried at once; one that fails as well may be a service in trouble.
      if linkFailures > 1 { backOff(now, after: nil) }
      return replaceLink()
    case .retry(let after):
      if emptyWholes >= settings.wholeLimit { return giveUp(now) }
      if case .status(let code, _) = error, code == 429 || code == 503, !fetches.isEmpty {
        connectionCap = min(connectionCap, fetches.count)
        capRaise = now + .seconds(10)
      }
      if failedEpoch == epoch { backOff(now, after: after) } else if let after { pause(now, min(after, settings.retryAfterLimit)) }
      return []
    }
  }

  /// The next start not before 0.5 s, 1 s, 2 s ... 15 s, with up to a quarter more so that files do not come back all at once.
  private mutating func backOff(_ now: Moment, after: Duration?) {
    epoch += 1
    failures += 1
    let doubled = settings.backoff.seconds * Double(1 << min(20, failures - 1))
    random ^= random << 13
    random ^= random >> 7
    random ^= random << 17
    let jitter = 1 + Double(random >> 40) / Double(1 << 24) / 4
    let delay = Duration.nanoseconds(Int64(min(doubled * jitter, settings.backoffLimit.seconds) * 1e9))
    notBefore = max(notBefore, now + delay)
    if let after { pause(now, max(delay, min(after, settings.retryAfterLimit))) }
  }

  /// The server named a time. It is no stall; once, or a server could keep a reader for ever.
  private mutating func pause(_ now: Moment, _ delay: Duration) {
    notBefore = max(notBefore, now + delay)
    if !hasServerPause { lastProgress = max(lastProgress, now + delay) }
    hasServerPause = true
  }

  private mutating func replaceLink() -> [Action] {
    guard linkState == .ready else { return [] }
    linkState = .pending
    // One is on its way already.
    return isRenewing ? [] : [.newLink]
  }

  /// Before the link ends, so that nothing is refused: what is in flight goes on under the old one.
  private mutating func renewLink(_ now: Moment) -> [Action] {
    guard let renewAt, now >= renewAt, linkState == .ready, !isRenewing, !isHalted, !waiters.isEmpty || wantsMoreBytes else { return [] }
    isRenewing = true
    self.renewAt = nil
    return [.newLink]
  }

  /// - Parameter expires: when it ends, where that is known.
  mutating func linkReady(generation new: Int, expires: Moment? = nil, now: Moment) -> [Action] {
    isRenewing = false
    // By a clock that is wrong it may be over at once, and would be replaced before every read.
    linkExpires = expires.map { max($0, now + settings.backoffLimit) }
    renewAt = expires.map { end in
      let left = max(.zero, end - now)
      // A clock that is wrong may make every link seem about to end, or over.
      let floor = left > settings.backoff * 2 ? settings.backoff : settings.backoffLimit
      return now + max(left - settings.renewal, .nanoseconds(left.nanoseconds / 10 * 9), floor)
    }
    // Another link may lead to another server.
    if new > generation {
      answersRanges = false
      hadTrial = false
    }
    generation = max(new, generation)
    linkState = .ready
    return []
  }

  mutating func linkFailed(_ error: TransferError, now: Moment) -> [Action] {
    let wasRenewing = isRenewing
    isRenewing = false
    if wasRenewing, linkState == .ready, let linkExpires, now < linkExpires {
      // The old one still works.
      renewAt = now + settings.backoffLimit
      return []
    }
    linkState = .none
    guard permanentFailure == nil else { return [] }
    lastError = Self.sentence(error)
    guard case .retry(let after) = error.remedy else { return giveUp(now) }
    backOff(now, after: after)
    return []
  }

  // MARK: An origin without ranges

  /// The answer's head came. `isWhole`: it is the object from 0 to its end whatever was asked.
  mutating func began(_ id: Int, isWhole: Bool, now: Moment) -> [Action] {
    if trial == id { trial = nil }
    guard !isWholeOnly, let fetch = fetch(id) else { return [] }
    guard isWhole else {
      if fetch.generation == generation { answersRanges = true }
      return []
    }
    guard fetch.start == 0 else { return [] }
    // All of it was asked for: says nothing about ranges.
    guard fetch.limit < size else { return [] }
    guard !isBounded else {
      // A window has no place for what is not asked for.
      fetches.removeAll { $0.id == id }
      let refusal = TransferError.wrongAnswer("the server ignored the range, and without ranges a file cannot go through a window")
      return [.cancel(id: id)] + failed(refusal, epoch: fetch.epoch, generation: fetch.generation, start: 0, now: now)
    }
    return becomeWhole(keeping: id)
  }

  private mutating func becomeWhole(keeping id: Int?) -> [Action] {
    guard !isWholeOnly else { return [] }
    isWholeOnly = true
    let others = fetches.filter { $0.id != id }.map(\.id)
    fetches.removeAll { $0.id != id }
    if !fetches.isEmpty { fetches[0].limit = size }
    wholeBroughtBytes = id != nil
    return others.map { .cancel(id: $0) }
  }

  // MARK: Another validator under a new link

  /// Fetch `id` was ended because its answer has another validator than the bytes in the file: an overlap decides.
  mutating func needsComparison(_ id: Int) -> [Action] {
    guard let index = fetches.firstIndex(where: { $0.id == id }) else { return [] }
    let fetch = fetches.remove(at: index)
    if comparison == nil { comparison = .wanted(fetch.start) }
    return resolveComparison()
  }

  /// With no byte to compare and none to come, there is nothing to mix.
  var hasNothingToCompare: Bool {
    guard case .wanted = comparison else { return false }
    return heldCount == 0 && fetches.isEmpty && samples.isEmpty
  }

  private func resolveComparison() -> [Action] {
    guard case .wanted(let offset) = comparison, overlap(near: offset) == nil else { return [] }
    return [.flush]
  }

  /// Bytes in the file next to `offset`, at most 64 KiB; of a window a part whose sum is known, as its bytes may be gone.
  func overlap(near offset: Int64) -> ByteRange? {
    if isBounded { return samples.min { abs($0.start - offset) < abs($1.start - offset) } }
    let before = extents.ranges.last { $0.start < offset }
    if let before { return ByteRange(max(before.start, min(before.end, offset) - settings.overlap), min(before.end, offset)) }
    guard let after = extents.ranges.first else { return nil }
    return ByteRange(after.start, min(after.end, after.start + settings.overlap))
  }

  mutating func compared(isEqual: Bool) -> [Action] {
    comparison = nil
    return isEqual ? [] : failForGood(.io, Self.sentence(.sourceChanged))
  }

  // MARK: Giving up

  /// Those who wait are told; who comes later tries afresh.
  private mutating func giveUp(_ now: Moment) -> [Action] {
    isHalted = true
    epoch += 1
    notBefore = max(notBefore, now + settings.backoff)
    return tell(waiters.takeAll(), .io, lastError)
  }

  mutating func failForGood(_ error: Errno, _ sentence: String) -> [Action] {
    permanentFailure = error
    return cancelAll() + tell(waiters.takeAll(), error, sentence)
  }

  private mutating func cancelAll() -> [Action] {
    var cancels = fetches.map { Action.cancel(id: $0.id) }
    fetches = []
    if case .fetching(let id, let range) = comparison {
      comparison = .wanted(range.end)
      cancels.append(.cancel(id: id))
    }
    return cancels + endProbe()
  }

  /// The file could not be written: all that is in flight ends, the next read tries afresh.
  mutating func writeFailed(_ error: Errno, _ sentence: String, now: Moment) -> [Action] {
    isHalted = true
    epoch += 1
    notBefore = max(notBefore, now + settings.backoff)
    return cancelAll() + tell(waiters.takeAll(), error, sentence)
  }

  private mutating func tell(_ failed: [Int], _ error: Errno, _ sentence: String) -> [Action] {
    isReported = true
    return (failed.isEmpty ? [] : [.fail(failed, error)]) + [.report(sentence)]
  }

  // MARK: Time

  /// When `tick` is of use next.
  func deadline(_ now: Moment) -> Moment? {
    var next: Moment?
    func propose(_ moment: Moment) { next = min(next ?? moment, moment) }
    guard permanentFailure == nil else { return nil }
    if notBefore > now, !isHalted, !waiters.isEmpty || wantsMoreBytes || linkState == .none { propose(notBefore) }
    if let capRaise { propose(capRaise) }
    if let renewAt, linkState == .ready, !isHalted, !waiters.isEmpty || wantsMoreBytes { propose(max(renewAt, now)) }
    if let silence = nextSilence { propose(max(silence, now + .milliseconds(200))) }
    if let first = waiters.waiters.lazy.map(\.since).min() { propose(max(first, lastProgress) + settings.stallTimeout) }
    return next
  }

  /// - Parameter isBusy: bytes are being written or wait for room, or other files hold all connections: that is no stall of the origin.
  mutating func tick(_ now: Moment, isBusy: Bool) -> [Action] {
    if let raise = capRaise, now >= raise {
      connectionCap = min(settings.rangesPerFile, connectionCap + 1)
      capRaise = connectionCap < settings.rangesPerFile ? now + .seconds(10) : nil
    }
    var actions: [Action] = []
    actions += needLink(now)
    actions += renewLink(now)
    if !isBusy { actions += endSilent(now) }
    if isBusy { lastProgress = max(lastProgress, now) }
    let limit = settings.stallTimeout
    let last = lastProgress
    let stalled = waiters.take { max($0.since, last) + limit <= now }
    guard !stalled.isEmpty else { return actions }
    let why = lastError.isEmpty ? "" : " (\(lastError))"
    return actions + tell(stalled, .io, "no data from the origin for \(Int(limit.seconds.rounded())) s\(why)")
  }

  static func sentence(_ error: TransferError) -> String {
    switch error {
    case .unreachable(let text): "the origin cannot be reached: \(text)"
    case .timedOut(let phase): "the origin did not answer in time (\(phase))"
    case .status(let code, _): "the origin answered with status \(code)"
    case .wrongAnswer(let text): "the origin's answer is not the file: \(text)"
    case .short(let received, let expected): "the origin ended a body after \(received) of \(expected) bytes"
    case .sizeDiffers(let expected, let found): "the origin's file has \(found) bytes where \(expected) were announced"
    case .sourceChanged: "the source changed while it was being fetched"
    case .refused(let text), .insecure(let text): text
    case .cancelled: "the fetch was cancelled"
    }
  }
}
