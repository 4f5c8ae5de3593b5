import Core

/// Connections that bring nothing. One that somebody waits for is begun again where others do bring something; and where all are taken, one that is
/// silent is given to a waiter who has none, so that readers of what comes are not starved by readers of what does not.
extension FetchPlan {
  /// `fetch` brings bytes: an origin that takes its time to begin is not silent before it has had twice that time.
  mutating func heard(_ fetch: Fetch, _ now: Moment) {
    silence = max(settings.silence, (now - fetch.lastBytes) * 2)
    yields = 0
  }

  /// When there may be something to end.
  var nextSilence: Moment? {
    let hedged = fetches.lazy.filter { waits(for: $0) }.map { $0.lastBytes + settings.hedge }.min()
    let taken = lacksConnection ? fetches.map { $0.lastBytes + silence }.min() : nil
    return hedged.map { min($0, taken ?? $0) } ?? taken
  }

  mutating func endSilent(_ now: Moment) -> [Action] {
    let ended = hedge(now)
    return ended.isEmpty && lacksConnection ? yieldSilent(now) : ended
  }

  /// Ends those that have been silent for long enough; whoever waits for them queues again.
  mutating func yieldSilent(_ now: Moment) -> [Action] {
    let silent = isWholeOnly ? [] : fetches.filter { $0.lastBytes + silence <= now }
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
      let silent = fetches.first(where: { $0.lastBytes + settings.hedge <= now && newest > $0.lastBytes + settings.hedge && waits(for: $0) }
      )
    else { return [] }
    return end(silent)
  }

  private mutating func end(_ fetch: Fetch) -> [Action] {
    fetches.removeAll { $0.id == fetch.id }
    return [.cancel(id: fetch.id)]
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
