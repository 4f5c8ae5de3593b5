import ByteSource
import Core

/// Failures: back off and resume, get another access, or give up; the matrix of mediahub 4.3. It is a part of the pure
/// value that the file's `FetchEngine` owns.
extension FetchPlan {
  /// Fetch `id` ended. Everything before its position was received; the rest is missing again.
  mutating func ended(_ id: Int, error: SourceFailure?, now: Moment) -> [Action] {
    if let actions = probeEnded(id, error: error, now: now) { return actions }
    forgetAnswer(id)
    guard let fetch = fetches[id: id] else { return [] }
    if fetch.hedge != nil, error != nil || fetch.position < fetch.limit {
      return oneOfTwoEnded(id, error, of: fetch, now)
    }
    remove(id)
    if fetches.isEmpty { tuner.idle() }
    support.wholeEnds(isComplete: heldCount >= size)
    if let error {
      return failed(error, epoch: fetch.epoch, generation: fetch.generation, start: fetch.start, now: now)
        + flushForOverlaps()
    }
    guard fetch.position < fetch.limit else {
      return fetch.ids.filter { $0 != id }.map { .cancel(id: $0) } + flushForOverlaps()
    }
    // Ended early without a word: no less a failure.
    let short = SourceFailure.short(received: fetch.position - fetch.start, expected: fetch.limit - fetch.start)
    return failed(short, epoch: fetch.epoch, generation: fetch.generation, start: fetch.start, now: now)
  }

  /// A silent fetch or its hedge ended without bytes; the other one goes on, and only what speaks of the access is more
  /// than that.
  private mutating func oneOfTwoEnded(_ id: Int, _ error: SourceFailure?, of fetch: Fetch, _ now: Moment) -> [Action] {
    let released = leave(id)
    guard let error, case .newAccess = error.remedy else { return released }
    return released + failed(error, epoch: fetch.epoch, generation: fetch.generation, start: fetch.start, now: now)
  }

  mutating func failed(_ error: SourceFailure, epoch: Int, generation failed: Int, start: Int64, now: Moment)
    -> [Action]
  {
    let isNews = epoch == backoff.epoch
    // After giving up, what else was in flight then changes nothing.
    guard !outcome.isHalted || isNews else { return [] }
    outcome.note(error.sentence)
    switch error {
    case .sizeDiffers(_, let found):
      // Parallel ones are one answer.
      guard isNews else { return [] }
      return lengthDiffers(found, now)
    case .wrongAnswer:
      // Parallel ones are one burst.
      guard isNews else { return [] }
      if start > 0, !isBounded || !holdsFirst, !fetches.contains(where: { $0.start == 0 }), support.answeredWrongly() {
        backoff.newEpoch()
        return []
      }
      // An origin that answers at once with something else has nothing to recover from.
      backoff.wrongAnswer(now, longest: silence.hasHeard ? nil : settings.backoff.first * 2)
      // An origin that has given bytes of this file before may do so again: until no reader waits any more.
      if !silence.hasHeard, backoff.wrongAnswers >= settings.wrongAnswerLimit { return giveUp(now) }
      // An access that has ended is often answered with a page that says so.
      return backoff.wrongAnswers == 1 ? replaceAccess() : []
    case .cancelled:
      if isNews { backOff(now) }
      return []
    default: break
    }
    switch error.remedy {
    case .give: return giveUp(now)
    case .newAccess(let after, let isClear): return refused(failed, isClear: isClear, isNews: isNews, after: after, now)
    case .retry(let after):
      if support.emptyWholes >= settings.wholeLimit { return giveUp(now) }
      if case .passing(_, _, isOverload: true) = error { cap.refused(others: fetches.count, now) }
      if isNews {
        backOff(now, after: after)
      } else if let after, let end = backoff.pause(now, after) {
        progressed(end)
      }
      return []
    }
  }

  private mutating func refused(_ generation: Int, isClear: Bool, isNews: Bool, after: Duration?, _ now: Moment)
    -> [Action]
  {
    // Refused as one of several: they are one refusal.
    guard isNews || generation != self.generation else { return [] }
    let longest = settings.backoff.longest / 4
    switch access.refused(generation, isClear: isClear, now) {
    case .none: return []
    case .final:
      let ended = endRecheck()
      return !ended.isEmpty && waiters.isEmpty && !wantsMoreBytes ? ended : ended + giveUp(now)
    case .again:
      backOff(now, after: after, longest: longest)
      return endRecheck()
    case .replaceLater:
      backOff(now, after: after, longest: longest)
      return endRecheck() + replaceAccess()
    case .replace:
      if after != nil { backOff(now, after: after) } else { backoff.newEpoch() }
      return replaceAccess()
    }
  }

  mutating func backOff(_ now: Moment, after: Duration? = nil, longest: Duration? = nil) {
    if let end = backoff.failed(now, after: after, longest: longest) { progressed(end) }
  }

  mutating func needAccess(_ now: Moment) -> [Action] {
    let isWanted = version.isRechecking || !outcome.isHalted && (!waiters.isEmpty || wantsAccess)
    guard isWanted, backoff.isOver(now), access.want(now) else { return [] }
    return [.newAccess]
  }

  mutating func replaceAccess() -> [Action] { access.replace() ? [.newAccess] : [] }

  /// Before the access ends; what is in flight goes on under the old one.
  private mutating func renewAccess(_ now: Moment) -> [Action] {
    guard !outcome.isHalted, !waiters.isEmpty || wantsMoreBytes, access.renew(now) else { return [] }
    return [.newAccess]
  }

  /// - Parameter expires: when it ends, where that is known.
  mutating func accessReady(generation new: Int, expires: Moment? = nil, now: Moment) -> [Action] {
    if access.ready(generation: new, expires: expires, now: now) { support.accessChanged() }
    return []
  }

  mutating func accessFailed(_ error: SourceFailure, now: Moment) -> [Action] {
    if access.failed(now) { return [] }
    let ended = endRecheck()
    if !ended.isEmpty, waiters.isEmpty, !wantsAccess { return ended }
    outcome.note(error.sentence)
    switch error {
    case .forbidden: return ended + giveUp(now)
    // The source gave access to this file before, so that may pass.
    case .notThere where generation == 0: return ended + giveUp(now)
    default: break
    }
    var after: Duration?
    switch error.remedy {
    case .retry(let named), .newAccess(let named, _): after = named
    case .give: break
    }
    backOff(now, after: after)
    return ended
  }

  // MARK: An origin without ranges

  /// The answer's head came. `isWhole`: it is the object from 0 to its end whatever was asked.
  mutating func began(_ id: Int, isWhole: Bool, now: Moment) -> [Action] {
    support.trialEnds(id)
    guard !isWholeOnly, let fetch = fetch(id) else { return [] }
    guard isWhole else {
      support.answeredPart(ofThisAccess: fetch.generation == generation)
      return []
    }
    // The fetch beside it will say the same.
    if fetch.hedge != nil {
      leave(id)
      return [.cancel(id: id)]
    }
    guard fetch.start == 0 else { return [] }
    // All of it was asked for: says nothing about ranges.
    guard fetch.limit < size else { return [] }
    // One such answer may be a stray one: of an origin that answered ranges no more is taken than was asked for.
    if !isBounded, !support.answeredWhole() { return [.stop(id: id, at: fetch.limit)] }
    guard !isBounded else {
      // A window has no place for what is not asked for.
      remove(id)
      let refusal = SourceFailure.wrongAnswer(
        "the server ignored the range, and without ranges a file cannot go through a window")
      if support.refusedWhole() {
        return [.cancel(id: id)] + giveUp(now, reason: refusal.sentence)
      }
      return [.cancel(id: id)] + failed(refusal, epoch: fetch.epoch, generation: fetch.generation, start: 0, now: now)
    }
    return becomeWhole(keeping: id)
  }

  /// Some of the first block is here, which a window does not take again.
  private var holdsFirst: Bool {
    let first = ByteRange(0, min(size, settings.blockSize))
    return held.missing(in: first) != [first]
  }

  private mutating func becomeWhole(keeping id: Int?) -> [Action] {
    guard !isWholeOnly else { return [] }
    support.becomeWhole(isUnderWay: id != nil)
    var actions: [Action] = []
    for fetch in fetches where fetch.id != id { actions += cancel(fetch) }
    if let id { extendToEnd(id) }
    return actions
  }

  // MARK: Giving up

  /// Fails all waiters; later reads try afresh.
  /// - Parameter reason: for people; nil: the latest failure.
  mutating func giveUp(_ now: Moment, reason: String? = nil) -> [Action] {
    if let reason { outcome.note(reason) }
    outcome.halt()
    backoff.gaveUp(now)
    return tell(takeWaiters(), .io, outcome.sentence, remembered: now)
  }

  mutating func cancelAll() -> [Action] { cancelFetches() + endProbe() }

  /// The file could not be written: all that is in flight ends, the next read tries afresh.
  mutating func writeFailed(_ error: Errno, _ sentence: String, now: Moment) -> [Action] {
    outcome.halt()
    backoff.gaveUp(now)
    return cancelAll() + tell(takeWaiters(), error, sentence)
  }

  /// - Parameter remembered: now, if a reader that asks for the same within a second is to have the same answer.
  private mutating func tell(
    _ failed: [WaiterIndex.Waiter], _ error: Errno, _ sentence: String, remembered: Moment? = nil
  ) -> [Action] {
    outcome.tell()
    if let remembered { outcome.remember(failed.map { ByteRange($0.missing, $0.range.end) }, error, remembered) }
    return (failed.isEmpty ? [] : [.fail(failed.map(\.id), error)]) + [.report(sentence)]
  }

  // MARK: Going on

  /// Bytes of `fetch` came.
  mutating func worked(_ fetch: Fetch, isNew: Bool) {
    backoff.progressed(fetch.epoch, isNew: isNew)
    // Bytes that are sent once more are a sign of life, but no reason to believe that it will get further this time.
    guard isNew else { return }
    support.progressed()
    access.worked(fetch.generation)
  }

  /// Bytes were written.
  mutating func wentOn() -> [Action] { outcome.wrote() ? [.report(nil)] : [] }

  /// The error that was told of the byte at `offset` within the last second.
  mutating func repeatedFailure(at offset: Int64, _ now: Moment) -> Errno? { outcome.repeated(at: offset, now) }

  /// A reader asks afresh.
  mutating func forgetFailures(_ now: Moment) {
    outcome.resume()
    backoff.forget(now)
    access.forget()
    support.forget()
  }

  // MARK: Time

  /// The system gives no memory for the bytes that come.
  mutating func lacksMemory() {
    outcome.note(
      "there is no memory for the bytes that come: raise the limit of memory (ulimit -v, MemoryMax) or end other "
        + "programs")
  }

  /// When `tick` is of use next.
  func deadline(_ now: Moment) -> Moment? {
    var next: Moment?
    func propose(_ moment: Moment) { next = min(next ?? moment, moment) }
    let isWanted = !waiters.isEmpty || wantsMoreBytes
    if backoff.notBefore > now, version.isRechecking || !outcome.isHalted && (isWanted || access.phase == .none) {
      propose(backoff.notBefore)
    }
    if let raise = cap.raise { propose(raise) }
    if let renewAt = access.renewAt, access.isReady, !outcome.isHalted, isWanted { propose(max(renewAt, now)) }
    if let silence = nextSilence { propose(max(silence, now + .milliseconds(200))) }
    if let again = nextProbeAgain { propose(max(again, now + .milliseconds(200))) }
    if let stall = demand.stall(since: silence.lastProgress, limit: settings.stallTimeout) { propose(stall) }
    return next
  }

  /// - Parameters:
  ///   - isBusy: bytes are being written or wait for room, or other files hold all connections: that is no stall of the
  ///     origin.
  ///   - isHeld: the store itself takes no bytes now.
  mutating func tick(_ now: Moment, isBusy: Bool, isHeld: Bool = false) -> [Action] {
    cap.tick(now)
    var actions = needAccess(now) + renewAccess(now)
    if !isBusy { actions += endSilent(now) }
    if !isHeld { actions += hedgeSilent(now) + probeAgain(now) }
    if isBusy { progressed(now) }
    let limit = settings.stallTimeout
    let stalled = takeStalled(now)
    guard !stalled.isEmpty else { return actions }
    let why = outcome.sentence.isEmpty ? "" : " (\(outcome.sentence))"
    let sentence =
      "no data from the origin for \(Int(limit.seconds.rounded())) s\(why); the setting stall_timeout says how long to "
      + "wait"
    return actions + tell(stalled, .io, sentence, remembered: now)
  }
}
