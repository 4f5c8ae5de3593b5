import Core

/// Bytes come, are written, are lost.
extension FetchPlan {
  /// Fetch `id` handed over the bytes before `position` that it is answerable for; they are held now.
  mutating func received(_ id: Int, upTo position: Int64, now: Moment) {
    guard let index = fetches.firstIndex(where: { $0.id == id }) else { return }
    let fetch = fetches[index]
    let end = min(position, fetch.limit)
    guard end > fetch.position else { return }
    heard(fetch, now)
    fetches[index].position = end
    fetches[index].lastBytes = now
    let range = ByteRange(fetch.position, end)
    if !timesGivenUp.isEmpty { timesGivenUp = timesGivenUp.filter { !range.contains($0.key) } }
    let new = held.missing(in: range).reduce(0) { $0 + $1.count }
    held.insert(range)
    heldCount += new
    lastProgress = now
    hasServerPause = false
    tuner.received(range.count, active: fetches.count { !$0.isDemand }, now: now)
    if isBounded, !fetch.isDemand { speculation.fetched(range) }
    // What is sent once more is a sign of life, but no reason to believe that it will get further this time.
    guard new > 0 else { return }
    wholeBroughtBytes = true
    emptyWholes = 0
    if fetch.epoch == epoch {
      failures = 0
      wrongAnswers = 0
    }
    if fetch.generation == generation { linkFailures = 0 }
  }

  /// What of `range` would be new; all of it, but for an origin that sends the whole object again.
  func fresh(in range: ByteRange) -> [ByteRange] { held.missing(in: range) }

  /// `range` is in the file. The blocks that became whole are to be marked before the actions are taken.
  mutating func written(_ range: ByteRange, now: Moment) -> (blocks: Range<Int>?, actions: [Action]) {
    guard !range.isEmpty else { return (nil, []) }
    let new = extents.missing(in: range).reduce(0) { $0 + $1.count }
    extents.insert(range)
    presentCount += new
    lastProgress = max(lastProgress, now)
    var actions: [Action] = []
    let nextMissing = extents.firstMissing(in: ByteRange(range.start, size))?.start ?? size
    let done = waiters.written(range, nextMissing: nextMissing)
    if !done.isEmpty { actions.append(.wake(done)) }
    if isReported, !isHalted, permanentFailure == nil {
      isReported = false
      actions.append(.report(nil))
    }
    return (wholeBlocks(touching: range), actions)
  }

  private func wholeBlocks(touching range: ByteRange) -> Range<Int>? {
    var first = range.start / settings.blockSize
    var last = (range.end - 1) / settings.blockSize
    func isWhole(_ block: Int64) -> Bool {
      let start = block * settings.blockSize
      return extents.contains(ByteRange(start, roundUp(start + 1)))
    }
    if !isWhole(first) { first += 1 }
    if last >= first, !isWhole(last) { last -= 1 }
    return first <= last ? Int(first)..<Int(last + 1) : nil
  }

  /// Bytes that were received will not get into the file.
  mutating func lost(_ range: ByteRange) {
    for piece in extents.missing(in: range) {
      heldCount -= piece.count - held.missing(in: piece).reduce(0) { $0 + $1.count }
      held.remove(piece)
    }
  }

  /// The bytes of `range` in the file are not to be believed: its whole blocks are missing again.
  mutating func distrust(_ range: ByteRange) -> Range<Int>? {
    let low = min(roundDown(range.start), size)
    let high = roundUp(min(range.end, size))
    guard low < high else { return nil }
    let blocks = ByteRange(low, high)
    var gone: Int64 = blocks.count
    for piece in extents.missing(in: blocks) { gone -= piece.count }
    // What is held but not yet written is on its way and right.
    for piece in RangeSet(extents.missing(in: blocks)).missing(in: blocks) { held.remove(piece) }
    extents.remove(blocks)
    if isBounded { speculation.dropped(blocks) }
    presentCount -= gone
    heldCount -= gone
    waiters.recompute(extents)
    return Int(low / settings.blockSize)..<Int((high - 1) / settings.blockSize + 1)
  }
}
