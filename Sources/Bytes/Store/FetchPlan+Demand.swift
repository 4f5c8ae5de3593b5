import Core

/// Demand: the bytes that a reader waits for. It goes before everything else. It is a part of the pure value that the
/// file's `FetchEngine` owns.
extension FetchPlan {
  enum ReadAnswer: Equatable { case present, waiting, failed(Errno) }

  /// A reader wants `range` (not empty, inside the file) and is known as `waiter` from now on.
  /// - Parameter since: the start of its wait, earlier than now if it stepped back meanwhile; nil: now.
  mutating func read(_ range: ByteRange, waiter: Int, since: Moment? = nil, now: Moment) -> (ReadAnswer, [Action]) {
    speculation.read(range)
    cursors.read(range, held: held, size: size)
    guard let missing = extents.firstMissing(in: range)?.start else { return (.present, []) }
    if let error = repeatedFailure(at: missing, now) { return (.failed(error), []) }
    if outcome.isHalted || (outcome.isReported && waiters.isEmpty) {
      // Readers that waited then were told what failed.
      forgetFailures(now)
    }
    if waiters.isEmpty { turnBegins(now) }
    demand.add(.init(id: waiter, range: range, since: since ?? now, missing: missing))
    // If many waiters get nothing, the newest is tried first: its bytes may come.
    if lacksConnection { demand.turn(to: range.start) }
    return (.waiting, needAccess(now))
  }

  /// Bytes that are there were read without asking for them.
  mutating func touched(_ range: ByteRange) {
    speculation.used(range)
    cursors.read(range, held: held, size: size)
  }

  /// Whether a waiter's first missing byte needs a fetch of its own. A fetch that will be there soon, or bytes that are
  /// being written, do.
  func nextDemand() -> Int64? {
    demand.order(size).lazy.compactMap { nextDemand(in: $0) }.first
  }

  private func nextDemand(in range: ByteRange) -> Int64? {
    var cursor = range.start
    while cursor < range.end, let offset = waiters.firstMissing(in: ByteRange(cursor, range.end)) {
      if held.contains(offset) {
        cursor = held.firstMissing(in: ByteRange(offset, size))?.start ?? size
      } else if let fetch = fetches.first(where: { $0.inFlight.contains(offset) }) {
        guard isWholeOnly || offset - fetch.position <= reach else { return offset }
        cursor = isWholeOnly ? fetch.limit : min(fetch.limit, fetch.position + reach + 1)
      } else {
        return offset
      }
    }
    return nil
  }

  /// Whether a request may be sent now.
  func mayAsk(_ now: Moment) -> Bool { access.isReady && backoff.isOver(now) && !outcome.isHalted }

  /// Whether starting is possible at all now.
  func isOpen(_ now: Moment) -> Bool {
    mayAsk(now) && version.isSettled && support.trial.flatMap(fetch) == nil
  }

  /// Whether a connection is wanted for bytes that a reader waits for (or for the proof or comparison that all else
  /// waits for).
  func wantsDemand(_ now: Moment) -> Bool {
    if canProbe(now) { return true }
    guard isOpen(now) else { return false }
    if support.wantsTrial { return !waiters.isEmpty || wantsMoreBytes }
    guard !waiters.isEmpty else { return false }
    guard isWholeOnly ? fetches.isEmpty : fetches.count < cap.count || victim() != nil else { return false }
    return nextDemand() != nil
  }

  /// Takes a connection for demand. May cut or cancel what is in the way.
  mutating func startDemand(_ now: Moment) -> [Action] {
    guard wantsDemand(now) else { return [] }
    if canProbe(now), let range = nextProbe { return startProbe(range, now: now) }
    if support.wantsTrial { return startTrial(now) }
    guard let offset = nextDemand() else { return [] }
    var actions: [Action] = []
    if fetches.count >= cap.count { actions += preempt() }
    if isWholeOnly { return actions + startWhole(isDemand: true, now) }

    let cut = fetches.first { $0.inFlight.contains(offset) }
    // From the block's beginning, but without bytes that are held or in flight.
    var start = held.missing(in: ByteRange(roundDown(offset, to: settings.grain), offset + 1)).last?.start ?? offset
    for fetch in fetches where !fetch.inFlight.isEmpty && fetch.limit <= offset { start = max(start, fetch.limit) }

    let wanted = max(waiters.furthestEnd(missing: offset), advance(start, by: demand.extent(from: start)))
    if let cut {
      start = max(start, cut.position)
      actions += self.cut(cut, at: start)
    }
    let gap = freeGap(from: start, to: size) ?? ByteRange(start, size)
    var end = min(roundUp(min(wanted, size), to: settings.grain), gap.end)
    // No crumbs between this and the end of what was cut.
    if let cut, cut.limit > end, cut.limit - end < settings.readAhead { end = min(cut.limit, gap.end) }
    let fetch = makeFetch(ByteRange(gap.start, end), isDemand: true, now)
    demand.served(to: end, of: size)
    actions.append(.start(id: fetch.id, range: ByteRange(fetch.start, fetch.limit), isDemand: true))
    return actions
  }

  /// Bytes that are held already may come again; nothing that is in flight does.
  private mutating func startTrial(_ now: Moment) -> [Action] {
    support.trialBegins(nil)
    var end = roundUp(min(size, max(settings.readAhead, settings.blockSize)))
    for fetch in fetches where !fetch.inFlight.isEmpty { end = min(end, fetch.inFlight.start) }
    guard end > 0 else { return [] }
    let fetch = makeFetch(ByteRange(0, end), isDemand: true, now)
    support.trialBegins(fetch.id)
    return [.start(id: fetch.id, range: ByteRange(0, end), isDemand: true)]
  }

  mutating func startWhole(isDemand: Bool, _ now: Moment) -> [Action] {
    guard fetches.isEmpty else { return [] }
    support.wholeBegins()
    let fetch = makeFetch(ByteRange(0, size), isDemand: isDemand, now)
    return [.start(id: fetch.id, range: ByteRange(0, size), isDemand: isDemand)]
  }

  /// The offset at which a waiter's range is complete, so that the bytes from `from` on are written there although the
  /// buffer (to `limit`) has room; nil: none.
  func flushPoint(from: Int64, to limit: Int64) -> Int64? { waiters.firstEnd(after: from, upTo: limit) }

  /// All waiters leave, without an answer yet.
  mutating func takeWaiters() -> [WaiterIndex.Waiter] { demand.takeAll() }

  /// Waiters leave that have seen no progress for as long as they may.
  mutating func takeStalled(_ now: Moment) -> [WaiterIndex.Waiter] {
    demand.takeStalled(since: silence.lastProgress, limit: settings.stallTimeout, now)
  }

  /// Whether a reader waits for bytes in `range`; they are written before others.
  func isWaited(for range: ByteRange) -> Bool { waiters.firstMissing(in: range) != nil }
}
