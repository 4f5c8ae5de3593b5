/// A half-open range of bytes of a file: `start ..< end`. Offsets and counts are `Int64`, as the kernel's and curl's
/// are; the labels of the initialisers are what keeps an offset from being taken for a length. It is a plain value.
package struct ByteRange: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
  package var start: Int64
  package var end: Int64

  package init(_ start: Int64, _ end: Int64) {
    precondition(start >= 0 && end >= start, "ByteRange \(start)..<\(end)")
    self.start = start
    self.end = end
  }

  package init(offset: Int64, length: Int64) { self.init(offset, offset + length) }

  package var count: Int64 { end - start }
  package var isEmpty: Bool { end == start }
  package var description: String { "[\(start),\(end))" }

  package func contains(_ offset: Int64) -> Bool { offset >= start && offset < end }
  package func contains(_ other: ByteRange) -> Bool { other.start >= start && other.end <= end }
  package func overlaps(_ other: ByteRange) -> Bool { start < other.end && other.start < end }

  /// The bytes both have; nil where they share none.
  package func intersection(_ other: ByteRange) -> ByteRange? {
    let low = max(start, other.start)
    let high = min(end, other.end)
    return low < high ? ByteRange(low, high) : nil
  }

  /// Grown outwards to multiples of `block`, but not past `limit`.
  package func aligned(to block: Int64, limit: Int64) -> ByteRange {
    ByteRange(start / block * block, min((end + block - 1) / block * block, max(limit, end)))
  }
}
