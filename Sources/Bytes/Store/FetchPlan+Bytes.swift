import Core

/// Bytes come, are written, are lost. It is a part of the pure value that the file's `FetchEngine` owns.
extension FetchPlan {
  /// Fetch `id` handed over the bytes before `position` that it is answerable for; they are held now.
  mutating func received(_ id: Int, upTo position: Int64, now: Moment) {
    guard let fetch = fetches[id: id] else { return }
    let end = min(position, fetch.limit)
    guard end > fetch.position else { return }
    let range = ByteRange(fetch.position, end)
    heard(range, from: fetch, now)
    fetchReceived(id, upTo: end, now)
    let isNew = bytes.receive(range) > 0
    worked(fetch, isNew: isNew)
    tuner.received(range.count, active: fetches.count { !$0.isDemand }, now: now)
    if isBounded, !fetch.isDemand { speculation.fetched(range) }
  }

  /// The parts of `range` that are new; all of it, but for an origin that sends the whole object again.
  func fresh(in range: ByteRange) -> [ByteRange] { held.missing(in: range) }

  /// `range` is in the file. The blocks that became whole are to be marked before the actions are taken.
  mutating func written(_ range: ByteRange, now: Moment) -> (blocks: Range<Int>?, actions: [Action]) {
    guard !range.isEmpty else { return (nil, []) }
    version.given()
    let blocks = bytes.write(range)
    progressed(now)
    var actions: [Action] = []
    let nextMissing = extents.firstMissing(in: ByteRange(range.start, size))?.start ?? size
    let done = demand.written(range, nextMissing: nextMissing)
    if !done.isEmpty { actions.append(.wake(done)) }
    return (blocks, actions + wentOn())
  }

  /// Bytes that were received will not get into the file.
  mutating func lost(_ range: ByteRange) { bytes.lose(range) }

  /// The bytes of `range` in the file are not to be believed: its whole blocks are missing again.
  mutating func distrust(_ range: ByteRange) -> Range<Int>? {
    guard let gone = bytes.distrust(range) else { return nil }
    if isBounded { speculation.dropped(gone) }
    demand.recompute(extents)
    return Int(gone.start / settings.blockSize)..<Int((gone.end - 1) / settings.blockSize + 1)
  }
}
