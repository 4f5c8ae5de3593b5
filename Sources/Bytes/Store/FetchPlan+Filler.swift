import Core

/// The filler: bytes that no read waits for yet, in order from the readers' positions, in several ranges at once. A
/// file on disk is fetched ahead of readers that read on, then to its end once one has read on for long; all of it if
/// it is to be kept. A window is fetched only ahead of readers that read on. It is a part of the pure value that the
/// file's `FetchEngine` owns.
extension FetchPlan {
  var isFilling: Bool { filling.isAny }

  /// Bytes of an earlier run count as missing until they are proven.
  var wantsMoreBytes: Bool {
    guard isFilling else { return false }
    if isBounded { return nextFill(room: size) != nil }
    return (filling.isWhole || cursors.isReadOn) && (heldCount < size || version.isLeft)
  }

  /// A file that is opened is about to be read.
  var wantsAccess: Bool { wantsMoreBytes || isFilling && !isBounded && (heldCount < size || version.isLeft) }

  mutating func setFilling(_ new: Filling, now: Moment) -> [Action] {
    guard new != filling else { return [] }
    // The next reader has to show anew that it reads on.
    if filling.isOpen, !new.isOpen, !isBounded { cursors = FetchCursors() }
    filling = new
    return isFilling && (new.isWhole || wantsMoreBytes) ? needAccess(now) : endFill() + needAccess(now)
  }

  /// An open file has something on its way; what is only to be kept comes behind it.
  var isRead: Bool { filling.isOpen && !fetches.isEmpty }
  var isBackground: Bool { filling.isWhole && !filling.isOpen }

  /// A fetch that no read waits for ends at the next block.
  mutating func endFill() -> [Action] {
    var actions: [Action] = []
    for fetch in fetches where !fetch.isDemand || !isFilling {
      if isWholeOnly {
        // There is no other way to its bytes, so it goes on while a reader waits.
        if waiters.isEmpty { actions += cancel(fetch) }
        continue
      }
      var end = roundUp(fetch.position)
      if let waited = waiters.furthestEnd(missingIn: near(fetch)) { end = max(end, roundUp(waited)) }
      if end < fetch.limit { actions += cut(fetch, at: end) }
    }
    return actions
  }

  /// Whether a connection would be of use for bytes that no reader waits for yet. Demand does not count against the
  /// filler's streams: a probe of the tail must not slow the main stream down.
  /// - Parameter room: bytes there is place for; a file on disk has all it needs.
  func wantsFill(_ now: Moment, room: @autoclosure () -> Int64 = .max) -> Bool {
    // The first bytes of all are wanted at once, and libcurl reads a fast connection to its end before any other work
    // learns of the bytes written meanwhile.
    guard !isFirst || fetches.isEmpty else { return false }
    guard isOpen(now), isFilling, fetches.count < cap.count, fetches.count(where: { !$0.isDemand }) < tuner.streams
    else {
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
    for stream in filling.isWhole ? cursors.streams : cursors.readOn {
      let from = min(stream.position, size)
      let limit = filling.isWhole ? size : stream.credit.map { roundUp(advance(from, by: $0)) } ?? size
      guard let gap = freeGap(from: from, to: limit), gap.start - from < best?.lead ?? .max else { continue }
      best = (gap, gap.start - from)
    }
    return best?.gap ?? (filling.isWhole || cursors.isCredited ? freeGap(from: 0, to: size) : nil)
  }

  private func nextAhead(room: Int64) -> ByteRange? {
    guard let limits = settings.speculation else { return nil }
    let inFlight = fetches.reduce(0) { $0 + ($1.isDemand ? 0 : $1.inFlight.count) }
    // The two cursors used last; the other readers have gone elsewhere.
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
      guard let gap = freeGap(from: from, to: end), gap.count >= least || gap.end == size,
        gap.start - from < best?.lead ?? .max
      else {
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
    // No crumbs, unless a limit says how long a part may be.
    if gap.count > part + (isBounded || isFirst ? 0 : part / 2) {
      end = min(gap.end, max(roundDown(gap.start + part), roundUp(gap.start + 1)))
    }
    let fetch = makeFetch(ByteRange(gap.start, end), isDemand: false, now)
    return [.start(id: fetch.id, range: ByteRange(fetch.start, fetch.limit), isDemand: false)]
  }

  /// The bytes that a fetch will bring soon.
  private func near(_ fetch: Fetch) -> ByteRange {
    ByteRange(fetch.start, max(fetch.start, min(fetch.limit, advance(fetch.position, by: reach + 1))))
  }

  /// The fetch that is missed least: the filler's, or one of readers that have all left, if no waiter needs its next
  /// bytes; of these the one furthest from the readers.
  func victim() -> Fetch? {
    guard !isWholeOnly else { return nil }
    let positions = cursors.streams.map { min($0.position, size) }
    func distance(_ fetch: Fetch) -> Int64 {
      positions.map { fetch.start >= $0 ? fetch.start - $0 : fetch.start + (size - $0) }.min() ?? 0
    }
    func isSpare(_ fetch: Fetch) -> Bool {
      guard waiters.firstMissing(in: near(fetch)) == nil else { return false }
      // A fetch that has received everything is about to end, and its connection can be kept.
      return !fetch.isDemand
        || !fetch.inFlight.isEmpty && !waiters.waiters.contains { $0.range.overlaps(fetch.inFlight) }
    }
    return fetches.filter(isSpare).max { distance($0) < distance($1) }
  }

  /// Gives up one connection for demand, of this file or another; nothing where none can be spared.
  mutating func preempt() -> [Action] {
    guard let fetch = victim() else { return [] }
    return cancel(fetch)
  }
}
