import ControlModel

/// How many reads took how long since the mount began, by fine buckets. It is a value, which `DaemonEvents` compares
/// with the one before.
struct ReadTimes: Sendable, Equatable {
  /// Ascending upper bounds, in nanoseconds.
  var limits: [UInt64]
  var counts: [UInt64]

  init(limits: [UInt64], counts: [UInt64]) {
    self.limits = limits
    self.counts = counts
  }

  /// The reads since `before`; nil if there were none, or the counters began anew.
  func since(_ before: ReadTimes) -> LatencyEvent? {
    guard counts.count == before.counts.count, limits.count == counts.count else { return nil }
    var coarse = [Int64](repeating: 0, count: LatencyEvent.buckets)
    var fine: [(limit: UInt64, count: UInt64)] = []
    var total: UInt64 = 0
    for (index, limit) in limits.enumerated() where counts[index] != before.counts[index] {
      guard counts[index] > before.counts[index] else { return nil }
      let count = counts[index] - before.counts[index]
      total &+= count
      fine.append((limit, count))
      coarse[Self.bucket(limit)] &+= Int64(clamping: count)
    }
    guard total > 0 else { return nil }
    func percentile(_ share: Double) -> Double {
      var seen: UInt64 = 0
      for (limit, count) in fine {
        seen &+= count
        if Double(seen) >= Double(total) * share { return Double(limit) / 1000 }
      }
      return Double(fine.last?.limit ?? 0) / 1000
    }
    return LatencyEvent(
      op: "read", counts: coarse, count: Int64(clamping: total), p50us: percentile(0.5), p99us: percentile(0.99))
  }

  /// The power of two, in microseconds, at or above which times up to this limit lie.
  private static func bucket(_ limit: UInt64) -> Int {
    let microseconds = max(1, (limit &- 1) / 1000)
    return min(LatencyEvent.buckets - 1, 63 - microseconds.leadingZeroBitCount)
  }
}
