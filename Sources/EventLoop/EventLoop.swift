import CLinux
import CUV
import Core
import Glibc
import Synchronization

/// A thread with a libuv loop that is also an actor's executor: callbacks of descriptors and timers, Swift jobs and posted closures all run
/// on it, one after the other, without a hop between them (a hop to the default pool costs 30 us, a job on the same loop 21 ns).
///
/// Timers, polls, signals, processes and pipes are made and used on the loop's thread only; `post` and `enqueue` work from anywhere.
// SAFETY: the libuv loop and `local` are touched by the loop's thread only (checked by `preconditionOnLoop`); what other threads reach is
// `inbox`, behind its mutex, and uv_async_send, which libuv documents as thread-safe.
package final class EventLoop: SerialExecutor, @unchecked Sendable {
  private enum Work {
    case job(UnownedJob)
    case closure(@Sendable () -> Void)
  }

  /// The loop behind `DispatchLoop`; `start()` makes it.
  package static var dispatch: EventLoop { loops.dispatch }
  /// The loop behind `TransferLoop`; `start()` makes it.
  package static var transfer: EventLoop { loops.transfer }
  private static let loops = (dispatch: EventLoop(name: "dispatch"), transfer: EventLoop(name: "transfer"))

  /// Starts both loops' threads, once a process; later calls do nothing. They run until the process ends.
  package static func start() { _ = started }

  /// A static is made once, whoever asks first, and everybody else waits for it.
  private static let started: Void = {
    DispatchLoop.executor = dispatch
    TransferLoop.executor = transfer
  }()

  package let name: String
  let loop: UnsafeMutablePointer<uv_loop_t>
  private let async: UnsafeMutablePointer<uv_async_t>
  private let idle: UnsafeMutablePointer<uv_idle_t>
  private let inbox = Mutex<[Work]>([])
  private var local: [Work] = []
  private var thread = pthread_t()

  private init(name: String) {
    self.name = name
    signal(SIGPIPE, SIG_IGN)
    loop = .allocate(capacity: 1)
    async = .allocate(capacity: 1)
    idle = .allocate(capacity: 1)
    uv_loop_init(loop)
    uv_async_init(loop, async, { @Sendable handle in EventLoop.of(handle?.pointee.data)?.drainInbox() })
    uv_idle_init(loop, idle)
    let pointer = Unmanaged.passUnretained(self).toOpaque()
    async.pointee.data = pointer
    idle.pointee.data = pointer
    let started = DispatchReady()
    var options = uv_thread_options_t(flags: UV_THREAD_HAS_STACK_SIZE.rawValue, stack_size: 1 << 20)
    let context = Unmanaged.passRetained(Start(loop: self, ready: started)).toOpaque()
    var id = uv_thread_t()
    uv_thread_create_ex(&id, &options, { @Sendable context in EventLoop.run(context) }, context)
    started.wait()
  }

  /// What the new thread is given; it signals once `thread` is set, so that no check compares against nothing.
  private final class Start {
    let loop: EventLoop
    let ready: DispatchReady
    init(loop: EventLoop, ready: DispatchReady) {
      self.loop = loop
      self.ready = ready
    }
  }

  private static func run(_ context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
    let loop = start.loop
    loop.thread = pthread_self()
    clinux_name_thread(loop.name)
    start.ready.signal()
    uv_run(loop.loop, UV_RUN_DEFAULT)
  }

  private static func of(_ data: UnsafeMutableRawPointer?) -> EventLoop? {
    data.map { Unmanaged<EventLoop>.fromOpaque($0).takeUnretainedValue() }
  }

  // MARK: Work

  package var isCurrent: Bool { pthread_equal(pthread_self(), thread) != 0 }

  package func preconditionOnLoop() { precondition(isCurrent, "not on the \(name) loop") }

  /// Runs `work` on the loop, after what was posted before from the same thread.
  package func post(_ work: @escaping @Sendable () -> Void) { add(.closure(work)) }

  package func enqueue(_ job: consuming ExecutorJob) { add(.job(UnownedJob(job))) }

  private func add(_ work: Work) {
    if isCurrent {
      // No system call: the idle handle makes the loop come round at once.
      local.append(work)
      if local.count == 1 { uv_idle_start(idle, { @Sendable handle in EventLoop.of(handle?.pointee.data)?.drainLocal() }) }
    } else {
      let wasEmpty = inbox.withLock { box in
        box.append(work)
        return box.count == 1
      }
      if wasEmpty { uv_async_send(async) }
    }
  }

  private func drainInbox() {
    let batch = inbox.withLock { box in
      let batch = box
      box.removeAll(keepingCapacity: box.capacity <= 256)
      return batch
    }
    run(batch)
  }

  private func drainLocal() {
    // What these add is run on the next turn, so that descriptors get theirs in between.
    let batch = local
    local.removeAll(keepingCapacity: local.capacity <= 256)
    run(batch)
    if local.isEmpty { uv_idle_stop(idle) }
  }

  private func run(_ batch: [Work]) {
    for work in batch {
      switch work {
      case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
      case .closure(let closure): closure()
      }
    }
  }

  // MARK: SerialExecutor

  package func checkIsolated() { preconditionOnLoop() }
  package func isIsolatingCurrentContext() -> Bool? { isCurrent }
}

/// A one-shot semaphore; the loop's constructor waits for its thread with it.
private final class DispatchReady: @unchecked Sendable {
  // SAFETY: a POSIX semaphore is made for being shared; allocated once, freed with the last reference.
  private let semaphore: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)
  init() { sem_init(semaphore, 0, 0) }
  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }
  func signal() { sem_post(semaphore) }
  func wait() { while sem_wait(semaphore) != 0 {} }
}
