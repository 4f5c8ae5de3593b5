import CLinux
import CUV
import Core
import Synchronization

/// A thread of its own for work that may take long and that nothing urgent waits for, one piece after the other in the
/// order of asking. libuv's few worker threads are for writes, the journal and reads of missing bytes: a thousand
/// deletions before those would hold them all up. The program has one, `deletion`, shared by all; its queue is behind a
/// lock.
package final class SerialThread: Sendable {
  /// For files that go: on some disks the end of a large file takes a second.
  package static let deletion = SerialThread(name: "deletion")

  private struct State {
    /// The oldest first.
    var waiting: [@Sendable () -> Void] = []

    var isRunning = false
  }

  private let name: String
  private let state = Mutex(State())

  package init(name: String) { self.name = name }

  /// Pieces of work that have not begun.
  package var waiting: Int { state.withLock { $0.waiting.count } }

  /// Runs `body` on the thread and then `then` on `loop`. Callable from any thread; the caller bounds how much it asks
  /// for.
  package func run<Result: Sendable>(
    on loop: EventLoop, _ body: @escaping @Sendable () -> Result, then: @escaping @Sendable (Result) -> Void
  ) {
    let work: @Sendable () -> Void = {
      let result = body()
      loop.post { then(result) }
    }
    let starts = state.withLock { state in
      state.waiting.append(work)
      defer { state.isRunning = true }
      return !state.isRunning
    }
    if starts { start() }
  }

  /// The thread lives as long as there is work. Without a thread to be had, the work is done by the caller's loop's
  /// workers after all.
  private func start() {
    var id = uv_thread_t()
    let context = Unmanaged.passRetained(self).toOpaque()
    var options = uv_thread_options_t(flags: UV_THREAD_HAS_STACK_SIZE.rawValue, stack_size: 256 << 10)
    let status = uv_thread_create_ex(
      &id, &options,
      { @Sendable context in
        guard let context else { return }
        pthread_detach(pthread_self())
        let thread = Unmanaged<SerialThread>.fromOpaque(context).takeRetainedValue()
        clinux_name_thread(thread.name)
        thread.drain()
      }, context)
    guard status != 0 else { return }
    Unmanaged<SerialThread>.fromOpaque(context).release()
    EventLoop.dispatch.post { EventLoop.dispatch.background({ self.drain() }, then: {}) }
  }

  private func drain() {
    while true {
      let batch = state.withLock { state in
        defer { state.waiting = [] }
        if state.waiting.isEmpty { state.isRunning = false }
        return state.waiting
      }
      guard !batch.isEmpty else { return }
      for work in batch { work() }
    }
  }
}
