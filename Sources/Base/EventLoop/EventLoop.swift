import CLinux
import CUV
import Core
import Glibc
import Synchronization

/// A thread with a libuv loop that is also an actor's executor: callbacks of descriptors and timers, Swift jobs and
/// posted closures all run on it, one after the other, without a hop between them (a hop to the default pool costs 30
/// us, a job on the same loop 21 ns).
///
/// Timers, polls, signals, processes and pipes are made and used on the loop's thread only; `post` and `enqueue` work
/// from anywhere. There are two loops, `dispatch` and `transfer`, which live as long as the process.
// SAFETY: the libuv loop and `local` are touched by the loop's thread only (checked by `preconditionOnLoop`); what
// other threads reach is `inbox`, behind its mutex, and uv_async_send, which libuv documents as thread-safe.
package final class EventLoop: SerialExecutor, @unchecked Sendable {
  private enum Work {
    case job(UnownedJob)
    case closure(@Sendable () -> Void, file: StaticString, line: UInt)
    /// Run already.
    case done

    var source: String {
      switch self {
      case .job: "task"
      case .closure(_, let file, let line): "\(file):\(line)"
      case .done: ""
      }
    }
  }

  /// The loop behind `DispatchLoop`; `start()` makes it.
  package static var dispatch: EventLoop { loops.dispatch }
  /// The loop behind `TransferLoop`; `start()` makes it.
  package static var transfer: EventLoop { loops.transfer }
  private static let loops = (dispatch: EventLoop(name: "dispatch"), transfer: EventLoop(name: "transfer"))

  /// Starts both loops' threads, once a process; later calls do nothing. They run until the process ends.
  package static func start() { _ = started }

  /// Gives the default pool, through which continuations come, its first work and waits for it: with that it makes its
  /// descriptors, and it ends the process if it cannot, so that happens here and never later. To be called on a thread
  /// that is none of the pool's.
  package static func startDefaultPool() {
    let isUsed = DispatchReady()
    Task.detached { isUsed.signal() }
    isUsed.wait()
  }

  /// A static is made once, by the first thread that asks, and every other waits for it.
  private static let started: Void = {
    DispatchLoop.executor = dispatch
    TransferLoop.executor = transfer
    // libuv makes its worker threads with the first work and ends the process if it cannot: so that happens here, if it
    // must, and never later.
    dispatch.post { dispatch.background({}) {} }
  }()

  package let name: String
  let loop: UnsafeMutablePointer<uv_loop_t>
  private let async: UnsafeMutablePointer<uv_async_t>
  private let idle: UnsafeMutablePointer<uv_idle_t>
  private let prepare: UnsafeMutablePointer<uv_prepare_t>
  private let inbox = Mutex<[Work]>([])
  /// Work of this thread, and what was taken from the inbox; those before `head` are done.
  private var local: [Work] = []
  private var head = 0
  let steps = LoopSteps()
  private var thread = pthread_t()

  private init(name: String) {
    self.name = name
    signal(SIGPIPE, SIG_IGN)
    loop = .allocate(capacity: 1)
    async = .allocate(capacity: 1)
    idle = .allocate(capacity: 1)
    prepare = .allocate(capacity: 1)
    Self.require(uv_loop_init(loop), "an event loop")
    Self.require(
      uv_async_init(loop, async, { @Sendable handle in EventLoop.of(handle?.pointee.data)?.drainInbox() }),
      "an event loop's wake-up")
    uv_idle_init(loop, idle)
    uv_prepare_init(loop, prepare)
    let pointer = Unmanaged.passUnretained(self).toOpaque()
    async.pointee.data = pointer
    idle.pointee.data = pointer
    prepare.pointee.data = pointer
    uv_prepare_start(prepare, { @Sendable handle in EventLoop.of(handle?.pointee.data)?.steps.turn() })
    let started = DispatchReady()
    var options = uv_thread_options_t(flags: UV_THREAD_HAS_STACK_SIZE.rawValue, stack_size: 1 << 20)
    let context = Unmanaged.passRetained(Start(loop: self, ready: started)).toOpaque()
    var id = uv_thread_t()
    Self.require(
      uv_thread_create_ex(&id, &options, { @Sendable context in EventLoop.run(context) }, context), "a thread")
    started.wait()
  }

  /// Without its loops the process can do nothing, not even log: it ends with a sentence and EX_TEMPFAIL, since the
  /// machine lacks something.
  private static func require(_ status: Int32, _ what: String) {
    guard status != 0 else { return }
    let sentence =
      "fsmvp: \(what) cannot be made (\(LoopError(code: status))): raise the limits of open files (ulimit -n) and of "
      + "tasks (ulimit -u, "
      + "TasksMax), or end other programs, then start again\n"
    _ = write(2, sentence, sentence.utf8.count)
    _exit(75)
  }

  /// The new thread's context; it signals once `thread` is set, so that no check compares against nothing.
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
  package func post(file: StaticString = #fileID, line: UInt = #line, _ work: @escaping @Sendable () -> Void) {
    add(.closure(work, file: file, line: line))
  }

  package func enqueue(_ job: consuming ExecutorJob) { add(.job(UnownedJob(job))) }

  private func add(_ work: Work) {
    if isCurrent {
      local.append(work)
      comeRound()
    } else {
      let wasEmpty = inbox.withLock { box in
        box.append(work)
        return box.count == 1
      }
      if wasEmpty { uv_async_send(async) }
    }
  }

  /// No system call: the idle handle makes the loop come round at once, for as long as there is work.
  private func comeRound() {
    guard !isComingRound else { return }
    uv_idle_start(idle, { @Sendable handle in EventLoop.of(handle?.pointee.data)?.drain() })
  }

  private var isComingRound: Bool {
    uv_is_active(UnsafeMutableRawPointer(idle).assumingMemoryBound(to: uv_handle_t.self)) != 0
  }

  private func drainInbox() {
    local += inbox.withLock { box in
      let batch = box
      box.removeAll(keepingCapacity: box.capacity <= 256)
      return batch
    }
    // A second drain in one turn would keep the descriptors waiting for two steps: work that is there already has the
    // idle handle's next turn.
    if !isComingRound { drain() }
  }

  /// Runs what is there, up to about a step's time. The rest, and what these add, is run on the next turn, so that
  /// descriptors get theirs in between.
  private func drain() {
    let end = local.count
    let began = LoopSteps.now()
    var time = began
    while head < end, time &- began < Self.drainLimit {
      let work = local[head]
      local[head] = .done
      head += 1
      run(work)
      let now = LoopSteps.now()
      steps.note(from: time, to: now, work.source)
      time = now
    }
    if head == local.count {
      local.removeAll(keepingCapacity: local.capacity <= 256)
      head = 0
    } else if head > 1024, head > local.count / 2 {
      local.removeFirst(head)
      head = 0
    }
    if local.isEmpty { uv_idle_stop(idle) } else { comeRound() }
  }

  /// Half of what a step may take, in nanoseconds.
  private static let drainLimit = LoopSteps.limit / 2

  private func run(_ work: Work) {
    switch work {
    case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
    case .closure(let closure, _, _): closure()
    case .done: break
    }
  }

  // MARK: Steps

  /// Runs a callback of libuv, and notes how long it took.
  @inline(__always) func step(_ file: StaticString, _ line: UInt, _ body: () -> Void) {
    let began = LoopSteps.now()
    body()
    steps.note(from: began, to: LoopSteps.now(), "\(file):\(line)")
  }

  /// For any thread.
  package var stepFigures: StepFigures { steps.figures() }

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
