import Core

/// Which bytes of a file are here. A byte is held from its receipt on, in a buffer or in the file, and present once it
/// is in the file and may be read. Bytes that an earlier process left are held and not present, until they were checked
/// against their sums and their version was proven. A pure value. The file's `FetchPlan` owns it.
struct Extents: Equatable {
  let size: Int64
  let blockSize: Int64
  private(set) var held = RangeSet()
  private(set) var heldCount: Int64 = 0
  private(set) var present = RangeSet()
  private(set) var presentCount: Int64 = 0
  /// Bytes that an earlier process left.
  private(set) var left = RangeSet()
  /// The part of them whose sums are not verified yet.
  private(set) var unchecked = RangeSet()

  init(size: Int64, blockSize: Int64) {
    (self.size, self.blockSize) = (size, blockSize)
  }

  // MARK: Beginnings

  mutating func begin(left ranges: RangeSet) {
    held = ranges
    heldCount = ranges.count
    left = ranges
    unchecked = ranges
  }

  mutating func begin(present ranges: RangeSet) {
    held = ranges
    heldCount = ranges.count
    present = ranges
    presentCount = ranges.count
  }

  // MARK: Bytes come and go

  /// - Returns: how many of them were not held.
  mutating func receive(_ range: ByteRange) -> Int64 {
    let new = Self.count(held.missing(in: range))
    held.insert(range)
    heldCount += new
    return new
  }

  /// `range` is in the file.
  /// - Returns: the blocks that it made whole, or that it touches and are whole.
  mutating func write(_ range: ByteRange) -> Range<Int>? {
    presentCount += Self.count(present.missing(in: range))
    present.insert(range)
    return wholeBlocks(touching: range)
  }

  /// Received bytes will not get into the file.
  mutating func lose(_ range: ByteRange) {
    for piece in present.missing(in: range) {
      heldCount -= piece.count - Self.count(held.missing(in: piece))
      held.remove(piece)
    }
  }

  /// The bytes of `range` in the file are not to be believed: its whole blocks are missing again.
  /// - Returns: these blocks' bytes; nil if there are none.
  mutating func distrust(_ range: ByteRange) -> ByteRange? {
    let low = min(range.start, size) / blockSize * blockSize
    let end = min(range.end, size)
    let rest = end % blockSize
    let high = rest == 0 ? end : size - end <= blockSize - rest ? size : end + blockSize - rest
    guard low < high else { return nil }
    let blocks = ByteRange(low, high)
    let absent = present.missing(in: blocks)
    let gone = blocks.count - Self.count(absent)
    // Bytes that are held and not yet written are on their way and right.
    for piece in RangeSet(absent).missing(in: blocks) { held.remove(piece) }
    present.remove(blocks)
    presentCount -= gone
    heldCount -= gone
    return blocks
  }

  // MARK: Bytes that were left

  /// The sums of `range` were compared with the file; the bytes of `good` are what was summed.
  mutating func checked(_ range: ByteRange, good: [ByteRange]) {
    unchecked.remove(range)
    for bad in RangeSet(good).missing(in: range) { dropLeft(bad) }
  }

  mutating func dropLeft(_ range: ByteRange) {
    for piece in RangeSet(left.missing(in: range)).missing(in: range) {
      left.remove(piece)
      lose(piece)
    }
  }

  mutating func dropLeft() {
    for piece in left.ranges { lose(piece) }
    left = RangeSet()
    unchecked = RangeSet()
  }

  /// Takes the bytes of `ranges` out of what was left, because they are as good as received.
  /// - Returns: those that had not been dropped.
  mutating func believe(_ ranges: [ByteRange]) -> [ByteRange] {
    let pieces = ranges.flatMap { RangeSet(left.missing(in: $0)).missing(in: $0) }
    for piece in pieces { left.remove(piece) }
    return pieces
  }

  // MARK: Parts

  private static func count(_ ranges: [ByteRange]) -> Int64 { ranges.reduce(0) { $0 + $1.count } }

  private func wholeBlocks(touching range: ByteRange) -> Range<Int>? {
    var first = range.start / blockSize
    var last = (range.end - 1) / blockSize
    func isWhole(_ block: Int64) -> Bool {
      let start = block * blockSize
      return present.contains(ByteRange(start, size - start <= blockSize ? size : start + blockSize))
    }
    if !isWhole(first) { first += 1 }
    if last >= first, !isWhole(last) { last -= 1 }
    return first <= last ? Int(first)..<Int(last + 1) : nil
  }
}
