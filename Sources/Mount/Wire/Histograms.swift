import CWire

/// Count, percentiles and maximum of a histogram's row, in nanoseconds; percentiles are right within a quarter.
package struct HistogramSummary: Codable, Equatable, Sendable {
  package var count: UInt64
  package var p50: UInt64
  package var p99: UInt64
  package var max: UInt64
}

/// The times that both sides have added up in the region, copied out. Nothing is written here.
extension Region {
  private static let ops: [(String, fsmvp_op)] = [
    ("lookup", FSMVP_OP_LOOKUP), ("getattr", FSMVP_OP_GETATTR), ("readdir", FSMVP_OP_READDIR), ("open", FSMVP_OP_OPEN),
    ("read", FSMVP_OP_READ), ("release", FSMVP_OP_RELEASE), ("statfs", FSMVP_OP_STATFS), ("other", FSMVP_OP_OTHER),
    ("readlink", FSMVP_OP_READLINK), ("getxattr", FSMVP_OP_GETXATTR), ("listxattr", FSMVP_OP_LISTXATTR),
  ]
  private static let segments: [(String, fsmvp_segment)] = [
    ("submit", FSMVP_SEGMENT_SUBMIT), ("pickup", FSMVP_SEGMENT_PICKUP), ("complete", FSMVP_SEGMENT_COMPLETE),
    ("reply", FSMVP_SEGMENT_REPLY), ("total", FSMVP_SEGMENT_TOTAL), ("local", FSMVP_SEGMENT_LOCAL),
  ]

  /// Every row that counted something: op, then segment.
  package func histograms() -> [String: [String: HistogramSummary]] {
    var all: [String: [String: HistogramSummary]] = [:]
    for (op, number) in Self.ops {
      for (segment, kind) in Self.segments {
        let row = histogram(op: number.rawValue, segment: kind)
        if row.load(HistogramField.count) > 0 { all[op, default: [:]][segment] = summary(row) }
      }
    }
    return all
  }

  /// Upper bounds of a histogram's buckets, in nanoseconds.
  package var bucketLimits: [UInt64] { (0..<UInt32(FSMVP_BUCKETS)).map { fsmvp_bucket_limit($0) } }

  /// Reads by bucket of their whole time, those that the shim answered by itself among them.
  package func readCounts() -> [UInt64] {
    let whole = histogram(op: FSMVP_OP_READ.rawValue, segment: FSMVP_SEGMENT_TOTAL)
    let local = histogram(op: FSMVP_OP_READ.rawValue, segment: FSMVP_SEGMENT_LOCAL)
    return (0..<Int(FSMVP_BUCKETS)).map {
      whole.load(HistogramField.buckets + $0 * 8) &+ local.load(HistogramField.buckets + $0 * 8)
    }
  }

  private func summary(_ row: SharedBytes) -> HistogramSummary {
    // The buckets are read while they are written to: their own sum is what the percentiles are parts of.
    let buckets = (0..<Int(FSMVP_BUCKETS)).map { row.load(HistogramField.buckets + $0 * 8) }
    let count = buckets.reduce(0, &+)
    let longest = row.load(HistogramField.max)
    func percentile(_ share: Double) -> UInt64 {
      let rank = UInt64(Double(count >> 8) * 256 * share) &+ UInt64(Double(count & 255) * share)
      var seen: UInt64 = 0
      for (index, bucket) in buckets.enumerated() {
        seen = seen &+ bucket
        if seen > rank { return min(fsmvp_bucket_limit(UInt32(index)), longest) }
      }
      return longest
    }
    return HistogramSummary(count: count, p50: percentile(0.5), p99: percentile(0.99), max: longest)
  }
}
