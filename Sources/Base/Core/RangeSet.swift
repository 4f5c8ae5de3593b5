/// A set of bytes as sorted, disjoint, never touching ranges: what is present of a file (its extents), or what is asked
/// of it. Insertion and removal are O(number of ranges), look-up O(log). It is a plain value, which belongs to the
/// value or object that holds it.
package struct RangeSet: Equatable, Sendable, CustomStringConvertible {
  package private(set) var ranges: [ByteRange] = []

  package init() {}
  package init(_ ranges: [ByteRange]) { for range in ranges { insert(range) } }

  package var isEmpty: Bool { ranges.isEmpty }
  /// How many bytes are in the set.
  package var count: Int64 { ranges.reduce(0) { $0 + $1.count } }
  package var description: String { ranges.map(\.description).joined(separator: " ") }

  /// The index of the first range that ends at or after `offset`.
  private func firstIndex(endingFrom offset: Int64) -> Int {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].end < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  package mutating func insert(_ range: ByteRange) {
    guard !range.isEmpty else { return }
    let first = firstIndex(endingFrom: range.start)
    var last = first
    var merged = range
    while last < ranges.count, ranges[last].start <= range.end {
      merged = ByteRange(min(merged.start, ranges[last].start), max(merged.end, ranges[last].end))
      last += 1
    }
    ranges.replaceSubrange(first..<last, with: CollectionOfOne(merged))
  }

  package mutating func remove(_ range: ByteRange) {
    guard !range.isEmpty else { return }
    let first = firstIndex(endingFrom: range.start)
    var last = first
    var kept: [ByteRange] = []
    while last < ranges.count, ranges[last].start < range.end {
      let whole = ranges[last]
      if whole.start < range.start { kept.append(ByteRange(whole.start, min(whole.end, range.start))) }
      if whole.end > range.end { kept.append(ByteRange(max(whole.start, range.end), whole.end)) }
      last += 1
    }
    ranges.replaceSubrange(first..<last, with: kept)
  }

  package func contains(_ range: ByteRange) -> Bool {
    guard !range.isEmpty else { return true }
    let index = firstIndex(endingFrom: range.end)
    return index < ranges.count && ranges[index].contains(range)
  }

  package func contains(_ offset: Int64) -> Bool { contains(ByteRange(offset, offset + 1)) }

  /// The parts of `range` that are not in the set, in order.
  package func missing(in range: ByteRange) -> [ByteRange] {
    var gaps: [ByteRange] = []
    var cursor = range.start
    var index = firstIndex(endingFrom: range.start)
    while index < ranges.count, ranges[index].start < range.end {
      if ranges[index].start > cursor { gaps.append(ByteRange(cursor, ranges[index].start)) }
      cursor = max(cursor, ranges[index].end)
      index += 1
    }
    if cursor < range.end { gaps.append(ByteRange(cursor, range.end)) }
    return gaps
  }

  /// The first gap at or after `range.start`, cut to `range`; nil where all of it is present.
  package func firstMissing(in range: ByteRange) -> ByteRange? {
    guard !range.isEmpty else { return nil }
    var cursor = range.start
    var index = firstIndex(endingFrom: cursor)
    while index < ranges.count, ranges[index].start <= cursor {
      cursor = max(cursor, ranges[index].end)
      index += 1
    }
    guard cursor < range.end else { return nil }
    let end = index < ranges.count ? min(ranges[index].start, range.end) : range.end
    return ByteRange(cursor, end)
  }
}
