import Glibc
import Synchronization

/// How long the steps of a loop take. A step is one callback, one posted closure or one part of a task: nothing else of
/// the loop runs meanwhile, so a step that is long keeps every request of the kernel waiting. Steps from `limit` on are
/// remembered with their source. Each `EventLoop` owns one.
// SAFETY: `count` and `checkpoint` are the loop's thread's alone; other threads read `slow`, behind its mutex, and
// `countShown`, which is atomic.
final class LoopSteps: @unchecked Sendable {
  /// A longer step is slow, in nanoseconds.
  static let limit: UInt64 = 2_000_000
  private static let remembered = 64

  private struct Slow {
    var recent: [StepFigures.Slow] = []
    var count: UInt64 = 0
  }

  private var count: UInt64 = 0
  private let countShown = Atomic<UInt64>(0)
  /// The processor time of the thread when it was asked for last: before the loop's turn, or after the last slow step.
  private var checkpoint: UInt64 = 0
  private let slow = Mutex(Slow())

  /// A turn of the loop begins.
  func turn() {
    checkpoint = Self.processorTime()
    countShown.store(count, ordering: .relaxed)
  }

  @inline(__always) func note(from began: UInt64, to end: UInt64, _ source: @autoclosure () -> String) {
    count &+= 1
    if end &- began >= Self.limit { remember(end &- began, source()) }
  }

  private func remember(_ nanoseconds: UInt64, _ source: String) {
    let processor = Self.processorTime()
    let spent = min(nanoseconds, processor &- checkpoint)
    checkpoint = processor
    slow.withLock { slow in
      slow.count += 1
      if slow.recent.count == Self.remembered { slow.recent.removeFirst() }
      slow.recent.append(
        StepFigures.Slow(number: slow.count, source: source, nanoseconds: nanoseconds, processorNanoseconds: spent))
    }
  }

  func figures() -> StepFigures {
    slow.withLock { StepFigures(count: countShown.load(ordering: .relaxed), slowCount: $0.count, recent: $0.recent) }
  }

  static func now() -> UInt64 { read(CLOCK_MONOTONIC) }
  private static func processorTime() -> UInt64 { read(CLOCK_THREAD_CPUTIME_ID) }

  private static func read(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }
}

/// The steps of a loop since its start.
package struct StepFigures: Sendable, Equatable {
  /// A step of 2 ms or more.
  package struct Slow: Sendable, Equatable {
    /// Counts the slow steps, from 1.
    package let number: UInt64
    /// The place in the source where the callback was made, or "task".
    package let source: String
    package let nanoseconds: UInt64
    /// The time that the processor worked for it, or a little more; for the rest the thread waited, for a file or for
    /// its turn on the processor.
    package let processorNanoseconds: UInt64
  }

  /// The number of steps up to the loop's last turn.
  package let count: UInt64
  package let slowCount: UInt64
  /// The last ones, the oldest first.
  package let recent: [Slow]
}
