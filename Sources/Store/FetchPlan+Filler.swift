import Core

/// The filler: the rest of the file, in order from where readers are, in several ranges at once.
extension FetchPlan {
  /// Those of an earlier run are as good as missing until they are proven.
  var wantsMoreBytes: Bool { isFilling && (heldCount < size || proof != .given) }

  mutating func setFilling(_ filling: Bool, now: Moment) -> [Action] {
    guard filling != isFilling else { return [] }
    isFilling = filling
    if filling { return needLink(now) }
    var actions: [Action] = []
    for index in fetches.indices where !fetches[index].isDemand {
      let fetch = fetches[index]
      if isWholeOnly {
        // Nothing of it can be had any other way, so it goes on while somebody waits.
        if waiters.isEmpty { actions.append(.cancel(id: fetch.id)) }
        continue
      }
      var end = roundUp(fetch.position)
      let near = ByteRange(fetch.start, max(fetch.start, min(fetch.limit, advance(fetch.position, by: reach + 1))))
      if let waited = waiters.furthestEnd(missingIn: near) { end = max(end, roundUp(waited)) }
      guard end < fetch.limit else { continue }
      fetches[index].limit = end
      actions.append(.stop(id: fetch.id, at: end))
    }
    for case .cancel(let id) in actions { fetches.removeAll { $0.id == id } }
    return actions
  }

  /// Whether a connection would be of use for bytes nobody waits for yet.
  func wantsFill(_ now: Moment) -> Bool {
    guard isOpen(now), wantsMoreBytes, fetches.count < min(tuner.streams, connectionCap) else { return false }
    return isWholeOnly ? fetches.isEmpty : nextFill() != nil
  }

  private func nextFill() -> ByteRange? {
    freeGap(from: min(fillCursor, size), to: size) ?? freeGap(from: 0, to: min(fillCursor, size))
  }

  mutating func startFill(_ now: Moment) -> [Action] {
    guard wantsFill(now) else { return [] }
    if isWholeOnly { return startWhole(isDemand: false) }
    guard let gap = nextFill() else { return [] }
    let remaining = size - heldCount - fetches.reduce(0) { $0 + $1.inFlight.count }
    // Small towards the end, so that all streams end together.
    let part = max(1 << 20, min(tuner.partSize, remaining / Int64(2 * tuner.streams)))
    var end = gap.end
    if gap.count > part + part / 2 { end = min(gap.end, max(roundDown(gap.start + part), roundUp(gap.start + 1))) }
    let fetch = makeFetch(ByteRange(gap.start, end), isDemand: false)
    return [.start(id: fetch.id, range: ByteRange(fetch.start, fetch.limit), isDemand: false)]
  }

  /// The fetch that is missed least: of the filler, with nobody waiting for what comes next in it, furthest from the readers.
  func victim() -> Fetch? {
    func distance(_ fetch: Fetch) -> Int64 { fetch.start >= fillCursor ? fetch.start - fillCursor : fetch.start + (size - fillCursor) }
    return fetches.filter { fetch in
      guard !fetch.isDemand, !isWholeOnly else { return false }
      let near = ByteRange(fetch.start, max(fetch.start, min(fetch.limit, advance(fetch.position, by: reach + 1))))
      return waiters.firstMissing(in: near) == nil
    }.max { distance($0) < distance($1) }
  }

  /// Gives up one connection for demand, of this file or another; nothing where none can be spared.
  mutating func preempt() -> [Action] {
    guard let fetch = victim() else { return [] }
    fetches.removeAll { $0.id == fetch.id }
    return [.cancel(id: fetch.id)]
  }
}
