import Core
import Synchronization

/// A clock that stands until a test moves it.
package final class ManualClock: TimeSource {
  private let elapsed = Mutex<UInt64>(1_000_000_000)
  package init() {}

  package func now() -> Moment { Moment(nanoseconds: elapsed.withLock { $0 }) }
  /// 1 January 2026 when the clock was made.
  package func wallNanoseconds() -> Int64 { 1_767_225_600_000_000_000 + Int64(elapsed.withLock { $0 }) }
  package func advance(by time: Duration) { elapsed.withLock { $0 += UInt64(max(0, time.nanoseconds)) } }
}
