import Glibc

/// A moment of the monotonic clock, in nanoseconds. The same clock as the timestamps in the region, so that both sides'
/// compare.
package struct Moment: Comparable, Hashable, Sendable {
  package var nanoseconds: UInt64
  package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  package static func < (a: Moment, b: Moment) -> Bool { a.nanoseconds < b.nanoseconds }
  package static func + (a: Moment, b: Duration) -> Moment {
    Moment(nanoseconds: a.nanoseconds &+ UInt64(max(0, b.nanoseconds)))
  }
  /// The time from `b` to `a`; negative where `b` is later.
  package static func - (a: Moment, b: Moment) -> Duration {
    .nanoseconds(Int64(bitPattern: a.nanoseconds &- b.nanoseconds))
  }
}

/// The source of time: `SystemClock`, or a test's `ManualClock`. Any thread may ask it.
package protocol TimeSource: Sendable {
  func now() -> Moment
  /// Wall time, nanoseconds since 1970; for mtimes only, never for measuring.
  func wallNanoseconds() -> Int64
}

package struct SystemClock: TimeSource {
  package init() {}

  package func now() -> Moment {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Moment(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
  }

  package func wallNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

extension Duration {
  package var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000
  }
  package var seconds: Double { Double(nanoseconds) / 1e9 }
  /// Rounded up, as timers want it.
  package var milliseconds: UInt64 { UInt64(max(0, (nanoseconds + 999_999) / 1_000_000)) }
}
