import CLinux
import Core
import EventLoop
import Glibc
import Synchronization

/// The thread that writes long JSON, one piece after the other. It waits for nothing but work. There is one, `shared`,
/// started with the first work; its queue is behind a lock, and results go to the dispatch loop.
final class JSONThread: Sendable {
  static let shared = JSONThread()

  private let queue = Mutex((work: [@Sendable () -> Void](), hasThread: false))
  // SAFETY: a POSIX semaphore is made for being shared; the only instance lives as long as the process.
  private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)

  private init() { sem_init(semaphore, 0, 0) }

  /// Calls `body` on the thread, then `then` on the loop. All of libuv's threads may be waiting for a cache that hangs,
  /// and the API is to answer then, too.
  static func aside<Value: Sendable>(
    _ body: @escaping @Sendable () -> Value, then: @escaping @Sendable @DispatchLoop (Value) -> Void
  ) {
    shared.add {
      let value = body()
      DispatchLoop.post { then(value) }
    }
  }

  /// Does the work later, on the thread. If there is no thread to be had, at once, on this one: a slice of a list is
  /// short.
  func add(_ work: @escaping @Sendable () -> Void) {
    let isTaken = queue.withLock { queue in
      if !queue.hasThread { queue.hasThread = start() }
      if queue.hasThread { queue.work.append(work) }
      return queue.hasThread
    }
    if isTaken { sem_post(semaphore) } else { work() }
  }

  private func start() -> Bool {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var thread = pthread_t()
    return pthread_create(
      &thread, &attributes,
      { @Sendable _ in
        clinux_name_thread("json")
        JSONThread.shared.workForEver()
        return nil
      }, nil) == 0
  }

  private func workForEver() {
    while true {
      while sem_wait(semaphore) != 0 {}
      queue.withLock { $0.work.isEmpty ? nil : $0.work.removeFirst() }?()
    }
  }
}
