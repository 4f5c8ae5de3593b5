import Core
import EventLoop

/// Runs one slice a turn of the loop, for all lists together, so that many lists at once leave the loop as much time as
/// one. Its queue is the process's and lives on the dispatch loop.
@DispatchLoop
package enum SliceTurns {
  /// At most one for each answer under way.
  private static var waiting: [() -> Void] = []
  private static var isScheduled = false

  package static func add(_ work: @escaping () -> Void) {
    waiting.append(work)
    schedule()
  }

  /// Comes back on a later turn of the loop.
  package static func pause() async {
    await withCheckedContinuation { continuation in add { continuation.resume() } }
  }

  private static func schedule() {
    guard !isScheduled, !waiting.isEmpty else { return }
    isScheduled = true
    DispatchLoop.post {
      // The next turn is asked for after the work, so that what the work wakes comes first.
      waiting.removeFirst()()
      isScheduled = false
      schedule()
    }
  }
}
