import Core

/// Connections that bring nothing. One that a reader waits for is begun again if others do bring something; and if all
/// are taken, a silent one is given to a waiter that has none. So readers of bytes that come are not starved by readers
/// of bytes that do not. Nor the other way round: bytes that were given up have twice the time at the next try, because
/// some places of a file take their time to begin, however fast the rest is.
///
/// If nothing comes at all, the bytes that a reader waits for are asked for once more on a fresh connection, beside the
/// silent one: all connections may have died with a network that changed, and an origin that only takes its time loses
/// nothing by it. It is a part of the pure value that the file's `FetchEngine` owns.
extension FetchPlan {
  // MARK: Signs of life

  /// `range` comes, the next bytes of `fetch`.
  mutating func heard(_ range: ByteRange, from fetch: Fetch, _ now: Moment) {
    silence.heard(range, after: now - fetch.lastBytes, isFirst: !fetch.hasBytes, now)
  }

  /// Until `moment`, waiting is no stall.
  mutating func progressed(_ moment: Moment) { silence.progressed(moment) }

  /// The first reader of several comes.
  mutating func turnBegins(_ now: Moment) { silence.turnBegins(now) }

  // MARK: Some silent

  private func endOfSilence(_ fetch: Fetch) -> Moment { silence.end(fetch.lastBytes, timesGivenUp: fetch.timesGivenUp) }
  private func endOfHedge(_ fetch: Fetch) -> Moment {
    silence.endOfHedge(fetch.lastBytes, timesGivenUp: fetch.timesGivenUp)
  }

  /// When there may be something to end, or to ask for once more.
  var nextSilence: Moment? {
    let hedged = fetches.lazy.filter { waits(for: $0) }.map { endOfHedge($0) }.min()
    let taken = lacksConnection ? fetches.map { endOfSilence($0) }.min() : nil
    return [hedged, taken, nextHedge?.due].lazy.compactMap(\.self).min()
  }

  mutating func endSilent(_ now: Moment) -> [Action] {
    let ended = hedge(now)
    return ended.isEmpty && lacksConnection ? yieldSilent(now) : ended
  }

  /// Ends fetches that have been silent for long enough; their waiters queue again.
  mutating func yieldSilent(_ now: Moment) -> [Action] {
    let silent = isWholeOnly ? [] : fetches.filter { endOfSilence($0) <= now }
    guard !silent.isEmpty else { return [] }
    silence.yielded(silent.count, waiters: waiters.waiters.count)
    return silent.flatMap { end($0) }
  }

  private mutating func hedge(_ now: Moment) -> [Action] {
    guard let newest = fetches.filter(\.hasBytes).map(\.lastBytes).max(),
      let silent = fetches.first(where: { fetch in
        let limit = endOfHedge(fetch)
        return limit <= now && newest > limit && waits(for: fetch)
      })
    else { return [] }
    return end(silent)
  }

  private mutating func end(_ fetch: Fetch) -> [Action] {
    silence.gaveUp(waiters.firstMissing(in: fetch.inFlight), times: fetch.timesGivenUp)
    return cancel(fetch)
  }

  // MARK: All silent

  /// The fetch that a reader waits for and that is begun once more, when nothing has come until then. One a file at a
  /// time.
  private var nextHedge: (fetch: Fetch, due: Moment)? {
    guard !waiters.isEmpty, !isWholeOnly, access.isReady, !outcome.isHalted, version.isSettled,
      support.trial.flatMap(fetch) == nil
    else {
      return nil
    }
    let hedged = fetches.lazy.compactMap { $0.hedge?.began }.max()
    return fetches.lazy.filter { isWaited(for: $0) && !$0.isHeld }.map { fetch in
      (fetch, silence.hedge(fetch.lastBytes, isFirst: !fetch.hasBytes, hedged: hedged))
    }.min { $0.1 < $1.1 }
  }

  /// Asks once more for what a reader waits for, if nothing comes.
  mutating func hedgeSilent(_ now: Moment) -> [Action] {
    guard backoff.isOver(now), let next = nextHedge, next.due <= now else { return [] }
    var actions: [Action] = []
    // The one before it fared no better.
    for fetch in fetches {
      guard let old = fetch.hedge else { continue }
      leave(old.id)
      actions.append(.cancel(id: old.id))
    }
    silence.hedged()
    return actions + [beginHedge(of: next.fetch, now)]
  }

  /// Transfer `id` brings bytes: of a fetch and its hedge the other one ends. If the hedge was first, the connections
  /// that have been silent since before it began are dead, and what they were to bring is asked for anew.
  mutating func outran(_ id: Int) -> [Action] {
    guard let fetch = fetches[id: id], let hedge = fetch.hedge else { return [] }
    let loser = id == fetch.id ? hedge.id : fetch.id
    leave(loser)
    var actions: [Action] = [.cancel(id: loser)]
    guard id == hedge.id else { return actions }
    excuse(id, hedge.began)
    headCame(id, isWhole: false)
    for other in fetches where other.id != id && other.lastBytes < hedge.began { actions += cancel(other) }
    return actions
  }

  /// The network changed, or the machine slept.
  mutating func shaken(_ now: Moment) { silence.shaken(now) }

  // MARK: Making way

  /// Whether nothing has come for so long that the waiters may make way for others.
  func mayStepBack(_ now: Moment) -> Bool { !waiters.isEmpty && silence.isTurnOver(now) }

  /// All waiters leave without an answer, and their fetches end. They come again, after a rest, for twice the time.
  mutating func stepBack(_ now: Moment) -> (waiters: [WaiterIndex.Waiter], actions: [Action]) {
    silence.makeWay(now)
    let actions = fetches.flatMap { end($0) }
    return (takeWaiters(), actions)
  }

  /// A reader waits for bytes that no fetch brings, and the file has all the connections it may have.
  var lacksConnection: Bool {
    !isWholeOnly && !waiters.isEmpty && fetches.count >= cap.count && version.isSettled && victim() == nil
      && nextDemand() != nil
  }

  /// A fetch whose bytes are held back for a comparison is not silent.
  private func waits(for fetch: Fetch) -> Bool {
    fetches.count > 1 && !isWholeOnly && !fetch.isHeld && isWaited(for: fetch)
  }

  /// Whether a reader waits for what it brings next. A reader that lacks bytes which came and are not written yet waits
  /// for those behind them, too.
  private func isWaited(for fetch: Fetch) -> Bool {
    guard !fetch.inFlight.isEmpty else { return false }
    let soon = ByteRange(fetch.position, min(fetch.limit, advance(fetch.position, by: reach)))
    if waiters.firstMissing(in: soon) != nil { return true }
    let came = ByteRange(fetch.start, fetch.position)
    return !came.isEmpty && waiters.furthestEnd(missingIn: came).map { $0 > fetch.position } ?? false
  }
}
