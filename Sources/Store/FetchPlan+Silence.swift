import Core

/// Connections that bring nothing. One that somebody waits for is begun again where others do bring something; and where all are taken, one that is
/// silent is given to a waiter who has none, so that readers of what comes are not starved by readers of what does not. Nor are these by the others: bytes
/// that were given up have twice the time at the next try, for some places of a file take their time to begin whatever the rest does.
extension FetchPlan {
  /// `fetch` brings bytes: an origin that takes its time to begin is not silent before it has had twice that time.
  mutating func heard(_ fetch: Fetch, _ now: Moment) {
    silence = max(settings.silence, (now - fetch.lastBytes) * 2)
    yields = 0
    turn = silence
    turnBegan = now
  }

  /// Until when `fetch` may bring nothing, where one may for `patience`, and that was `usual` before its bytes were given up.
  private func end(of patience: Duration, usual: Duration, _ fetch: Fetch) -> Moment {
    fetch.lastBytes + max(patience, min(usual * (1 << min(3, fetch.timesGivenUp)), settings.stallTimeout))
  }
  private func endOfSilence(_ fetch: Fetch) -> Moment { end(of: silence, usual: settings.silence, fetch) }
  private func endOfHedge(_ fetch: Fetch) -> Moment { end(of: settings.hedge, usual: settings.hedge, fetch) }

  /// When there may be something to end.
  var nextSilence: Moment? {
    let hedged = fetches.lazy.filter { waits(for: $0) }.map { endOfHedge($0) }.min()
    let taken = lacksConnection ? fetches.map { endOfSilence($0) }.min() : nil
    return hedged.map { min($0, taken ?? $0) } ?? taken
  }

  mutating func endSilent(_ now: Moment) -> [Action] {
    let ended = hedge(now)
    return ended.isEmpty && lacksConnection ? yieldSilent(now) : ended
  }

  /// Ends those that have been silent for long enough; whoever waits for them queues again.
  mutating func yieldSilent(_ now: Moment) -> [Action] {
    let silent = isWholeOnly ? [] : fetches.filter { endOfSilence($0) <= now }
    guard !silent.isEmpty else { return [] }
    // An origin that says nothing, though everybody has had a turn, is given more time.
    yields += silent.count
    if yields > waiters.waiters.count {
      silence = min(silence * 2, settings.stallTimeout)
      yields = 0
    }
    return silent.flatMap { end($0) }
  }

  private mutating func hedge(_ now: Moment) -> [Action] {
    guard let newest = fetches.filter({ $0.position > $0.start }).map(\.lastBytes).max(),
      let silent = fetches.first(where: { fetch in
        let limit = endOfHedge(fetch)
        return limit <= now && newest > limit && waits(for: fetch)
      })
    else { return [] }
    return end(silent)
  }

  private mutating func end(_ fetch: Fetch) -> [Action] {
    if let place = waiters.firstMissing(in: fetch.inFlight) {
      // Those whose readers have left are not told apart.
      if timesGivenUp.count >= 64 { timesGivenUp = [:] }
      timesGivenUp[place] = fetch.timesGivenUp + 1
    }
    fetches.removeAll { $0.id == fetch.id }
    return [.cancel(id: fetch.id)]
  }

  // MARK: Making way

  /// Whether nothing has come for so long that those who wait may make way for others.
  func mayStepBack(_ now: Moment) -> Bool { !waiters.isEmpty && turnBegan + turn <= now }

  /// All who wait leave, without an answer, and what is in flight for them ends. They come again, after a rest, for twice the time.
  mutating func stepBack(_ now: Moment) -> (waiters: [WaiterIndex.Waiter], actions: [Action]) {
    restsUntil = now + min(turn, settings.backoffLimit)
    turn = max(turn, min(turn * 2, settings.stallTimeout / 2))
    let cancels = fetches.flatMap { end($0) }
    let left = waiters.waiters
    _ = waiters.takeAll()
    return (left, cancels)
  }

  /// Somebody waits for what nobody fetches, and the file has all the connections it may have.
  var lacksConnection: Bool {
    !isWholeOnly && !waiters.isEmpty && fetches.count >= connectionCap && comparison == nil && proof == .given && victim() == nil
      && nextDemand() != nil
  }

  private func waits(for fetch: Fetch) -> Bool {
    fetches.count > 1 && !isWholeOnly && !fetch.inFlight.isEmpty
      && waiters.firstMissing(in: ByteRange(fetch.position, min(fetch.limit, advance(fetch.position, by: reach)))) != nil
  }
}
