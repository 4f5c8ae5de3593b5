import Core

/// The filler: what nobody waits for yet, in order from where readers are, in several ranges at once. Of a file on disk it is the rest of the file; of
/// a window what is next for those who read on.
extension FetchPlan {
  /// Those of an earlier run are as good as missing until they are proven.
  var wantsMoreBytes: Bool {
    guard isFilling else { return false }
    return isBounded ? nextFill(room: size) != nil : heldCount < size || proof != .given
  }

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
      if let waited = waiters.furthestEnd(missingIn: near(fetch)) { end = max(end, roundUp(waited)) }
      guard end < fetch.limit else { continue }
      fetches[index].limit = end
      actions.append(.stop(id: fetch.id, at: end))
    }
    for case .cancel(let id) in actions { fetches.removeAll { $0.id == id } }
    return actions
  }

  /// Whether a connection would be of use for bytes nobody waits for yet. Demand does not count against the filler's streams: a probe of the tail must
  /// not slow the main stream down.
  /// - Parameter room: bytes there is place for; a file on disk has all it needs.
  func wantsFill(_ now: Moment, room: @autoclosure () -> Int64 = .max) -> Bool {
    // The first bytes of all are wanted at once, and libcurl reads a fast connection to its end before anybody hears of what was written meanwhile.
    guard !isFirst || fetches.isEmpty else { return false }
    guard isOpen(now), isFilling, fetches.count < connectionCap, fetches.count(where: { !$0.isDemand }) < tuner.streams else {
      return false
    }
    if isWholeOnly { return wantsMoreBytes && fetches.isEmpty }
    return nextFill(room: room()) != nil
  }

  /// Nothing has come yet.
  private var isFirst: Bool { heldCount == 0 && settings.firstPart > 0 }

  /// The reader with the least before it first; then, of a file on disk, what is left from its start.
  private func nextFill(room: Int64) -> ByteRange? {
    guard heldCount < size else { return nil }
    if isBounded { return nextAhead(room: room) }
    var best: (gap: ByteRange, lead: Int64)?
    for stream in cursors.streams {
      let from = min(stream.position, size)
      guard let gap = freeGap(from: from, to: size), gap.start - from < best?.lead ?? .max else { continue }
      best = (gap, gap.start - from)
    }
    return best?.gap ?? freeGap(from: 0, to: size)
  }

  private func nextAhead(room: Int64) -> ByteRange? {
    guard let limits = settings.speculation else { return nil }
    let inFlight = fetches.reduce(0) { $0 + ($1.isDemand ? 0 : $1.inFlight.count) }
    // Those used last; the others have gone elsewhere.
    let readers = cursors.all.sorted { $0.lastUse > $1.lastUse }.prefix(2).filter(\.isStream).map { cursor in
      let from = min(max(0, cursor.position - FetchCursors.back), size)
      return ByteRange(from, advance(min(cursor.position, size), by: cursor.run))
    }
    let credit = min(room, speculation.credit(limits, readers: readers, inFlight: inFlight))
    // Less is not worth a request, but at the end of the file.
    let least = min(settings.blockSize, credit)
    guard credit >= settings.blockSize else { return nil }
    var best: (gap: ByteRange, lead: Int64)?
    for stream in cursors.all where stream.isStream {
      let from = min(stream.position, size)
      // A short run promises little.
      let end = advance(from, by: stream.run / 2)
      guard let gap = freeGap(from: from, to: end), gap.count >= least || gap.end == size, gap.start - from < best?.lead ?? .max else {
        continue
      }
      best = (ByteRange(gap.start, min(gap.end, advance(gap.start, by: credit))), gap.start - from)
    }
    return best?.gap
  }

  mutating func startFill(_ now: Moment, room: Int64 = .max) -> [Action] {
    guard wantsFill(now, room: room) else { return [] }
    if isWholeOnly { return startWhole(isDemand: false, now) }
    guard let gap = nextFill(room: room) else { return [] }
    var part = tuner.partSize
    if isFirst {
      part = max(settings.blockSize, settings.firstPart)
    } else if isBounded {
      // All streams have a part of what may be ahead.
      part = max(settings.blockSize, min(part, gap.count / Int64(max(1, tuner.streams - fetches.count))))
    } else {
      let remaining = size - heldCount - fetches.reduce(0) { $0 + $1.inFlight.count }
      // Small towards the end, so that all streams end together.
      part = max(1 << 20, min(part, remaining / Int64(2 * tuner.streams)))
    }
    var end = gap.end
    // No crumbs, where nobody said how long a part may be.
    if gap.count > part + (isBounded || isFirst ? 0 : part / 2) {
      end = min(gap.end, max(roundDown(gap.start + part), roundUp(gap.start + 1)))
    }
    let fetch = makeFetch(ByteRange(gap.start, end), isDemand: false, now)
    return [.start(id: fetch.id, range: ByteRange(fetch.start, fetch.limit), isDemand: false)]
  }

  /// What a fetch will bring soon.
  private func near(_ fetch: Fetch) -> ByteRange {
    ByteRange(fetch.start, max(fetch.start, min(fetch.limit, advance(fetch.position, by: reach + 1))))
  }

  /// The fetch that is missed least: of the filler, or of readers who have all left, with nobody waiting for what comes next in it, furthest from the
  /// readers.
  func victim() -> Fetch? {
    guard !isWholeOnly else { return nil }
    let places = cursors.streams.map { min($0.position, size) }
    func distance(_ fetch: Fetch) -> Int64 { places.map { fetch.start >= $0 ? fetch.start - $0 : fetch.start + (size - $0) }.min() ?? 0 }
    func isSpare(_ fetch: Fetch) -> Bool {
      guard waiters.firstMissing(in: near(fetch)) == nil else { return false }
      // One that has everything is about to end, and its connection can be kept.
      return !fetch.isDemand || !fetch.inFlight.isEmpty && !waiters.waiters.contains { $0.range.overlaps(fetch.inFlight) }
    }
    return fetches.filter(isSpare).max { distance($0) < distance($1) }
  }

  /// Gives up one connection for demand, of this file or another; nothing where none can be spared.
  mutating func preempt() -> [Action] {
    guard let fetch = victim() else { return [] }
    fetches.removeAll { $0.id == fetch.id }
    return [.cancel(id: fetch.id)]
  }
}
