import CLinux
import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

extension ShimHost {
  /// Starts the shim and returns once the mount is there: INIT answered, hello done, mountinfo shows it. Where it throws, nothing is left.
  package func start() async throws(ShimHostError) {
    precondition(phase == .idle, "a ShimHost is started once")
    phase = .starting
    do {
      try await prepare()
      try goOn()
      try spawn()
      let greeting = try await greet()
      try goOn()
      try await attach(greeting)
      try await awaitMount()
      try goOn()
    } catch {
      if phase == .starting { await takeDown(limit: .seconds(3)) }
      while phase != .ended { await pause(.milliseconds(5)) }
      // What a step made that was under way while a stop took the rest down.
      closeAll()
      throw error
    }
    phase = .serving
    Log.info("mount.ready", ["path": mountpoint, "pid": process?.pid ?? 0, "connection": connection])
  }

  /// After each wait of a start: a stop may have come, or the shim may have ended or been found wanting.
  private func goOn() throws(ShimHostError) {
    if phase != .starting { throw .stopped }
    if let failure { throw .refused(failure) }
    if let processEnd { throw .ended(processEnd) }
  }

  private func prepare() async throws(ShimHostError) {
    guard socketPath.utf8.count <= 107 else { throw .runtimePathTooLong(socketPath) }
    let (path, socket) = (options.mountpoint, socketPath)
    let first = await onWorker { () -> Result<Mountpoint.Finding, ShimHostError> in
      if access("/dev/fuse", R_OK | W_OK) != 0 { return .failure(.noDevice) }
      if let error = LeftBehind.end(socket: socket) { return .failure(error) }
      return Mountpoint.examine(path).mapError { .mountpoint(path, $0) }
    }
    switch try first.get() {
    case .ready(let resolved):
      mountpoint = resolved
    case .mountOfOurType(let resolved):
      mountpoint = resolved
      switch await life(of: resolved) {
      case .alive: throw .mountpoint(resolved, .ours)
      case nil: throw .mountpoint(resolved, .hung)
      case .dead: break
      }
      Log.warning("mount.stale", ["path": resolved])
      let second = await onWorker { () -> Result<Mountpoint.Finding, MountpointFault> in
        if let fault = Mountpoint.detach(resolved) { return .failure(fault) }
        return Mountpoint.examine(resolved)
      }
      if case .failure(let fault) = second { throw .mountpoint(resolved, fault) }
    }
    let listened = await onWorker { () -> Result<OwnedDescriptor, ShimHostError> in
      // The lock of the folder is ours, so whoever made that socket is dead.
      unlink(socket)
      let descriptor = clinux_listen(socket)
      return descriptor >= 0 ? .success(OwnedDescriptor(descriptor)) : .failure(.socket(socket, .current))
    }
    listening = try listened.get()
  }

  /// What `stat` finds within two seconds; nil where it hangs. Its thread then stays until the mount's process answers or ends.
  private func life(of path: String) async -> Mountpoint.Life? {
    await withCheckedContinuation { (continuation: CheckedContinuation<Mountpoint.Life?, Never>) in
      var waiting: CheckedContinuation<Mountpoint.Life?, Never>? = continuation
      let timer = try? LoopTimer(on: EventLoop.dispatch) {
        waiting?.resume(returning: nil)
        waiting = nil
      }
      timer?.start(after: .seconds(2))
      EventLoop.dispatch.background({ Mountpoint.probe(path) }) { life in
        timer?.close()
        waiting?.resume(returning: life)
        waiting = nil
      }
    }
  }

  private func spawn() throws(ShimHostError) {
    guard let listening else { return }
    var arguments = ["--mountpoint", mountpoint, "--listen", "3", "--fsname", options.fsname, "--subtype", options.subtype]
    for index in options.roots.indices { arguments += ["--root", String(4 + index)] }
    if volume.isReadOnly { arguments.append("--read-only") }
    arguments += ["--workers", String(options.workers), "--log-level", String(Log.level.shimNumber)]
    do {
      process = try LoopProcess(
        options.shimPath, arguments: arguments, descriptors: [listening.number] + options.roots, on: EventLoop.dispatch
      ) { [weak self] end in self?.shimEnded(end) }
    } catch {
      throw .notStarted(options.shimPath, error.description)
    }
  }

  private func greet() async throws(ShimHostError) -> Greeting {
    let path = socketPath
    let connected = await onWorker { Hello.connect(path) }
    let socket: OwnedDescriptor
    switch connected {
    case .success(let connection): socket = connection
    case .failure(let cause): throw .hello(cause)
    }
    // The socket that listens is open here too, so a shim that dies early does not close it: its end shuts this connection down instead.
    greetingSocket = socket
    if let processEnd { throw .ended(processEnd) }
    let milliseconds = Int32(clamping: options.startLimit.milliseconds)
    switch await onWorker({ Hello.hear(socket, milliseconds: milliseconds) }) {
    case .success(let greeting):
      guard greeting.status == 0 else { throw .refused(greeting.message) }
      guard let process, greeting.pid == process.pid, Hello.isAlive(greeting.who) else { throw .impostor(greeting.pid) }
      return greeting
    case .failure(let cause):
      // A connection closed by a dying shim is seen before its end is.
      if case .noAnswer = cause, await shimEnds(within: .milliseconds(500)), let processEnd { throw .ended(processEnd) }
      throw .hello(cause)
    }
  }

  private func attach(_ greeting: Greeting) async throws(ShimHostError) {
    guard let socket = greetingSocket else { throw .stopped }
    // Mapping is all that waits here; from the next line on, nothing does.
    let mapped = await onWorker { () -> Result<Region, ShimHostError> in
      var status = stat()
      guard fstat(greeting.device.number, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else {
        return .failure(.badDescriptor("/dev/fuse"))
      }
      do throws(RegionError) { return .success(try Region(descriptor: greeting.region.number)) } catch { return .failure(.region(error)) }
    }
    try goOn()
    let region = try mapped.get()
    let shimBell = Doorbell(greeting.shimBell)
    let bell = Doorbell(greeting.controlBell)
    guard shimBell.isNonBlocking, bell.isNonBlocking else { throw .badDescriptor("a doorbell") }
    let ring = SlotRing(region: region, shimBell: shimBell)
    self.region = region
    self.ring = ring
    self.bell = bell
    device = greeting.device
    rows = HandleRows(region: region)
    leases = LeaseTable(region: region)
    volume.attach(to: self)
    publishStatistics()
    region.setControl(pid: getpid())
    // The pipe owns and closes what it is given.
    let duplicate = clinux_dup_above(socket.number, 3)
    guard duplicate >= 0 else { throw .loop(Errno.current.description) }
    greetingSocket = nil
    do throws(LoopError) {
      link = try LoopPipe(
        descriptor: duplicate, on: EventLoop.dispatch, received: { [weak self] in self?.heard($0) },
        ended: { [weak self] in self?.linkEnded() })
      let poll = try LoopPoll(bell.number, on: EventLoop.dispatch) { [weak self] _ in self?.rang() }
      bellPoll = poll
      poll.start(.readable)
    } catch {
      throw .loop(error.description)
    }
    // What was handed over before the bell was listened to.
    serve()
  }

  private func awaitMount() async throws(ShimHostError) {
    let (path, type, source) = (mountpoint, "fuse." + options.subtype, options.fsname)
    let deadline = SystemClock().now() + options.startLimit
    var found: MountEntry?
    while found == nil {
      found = await onWorker { MountTable.current().top(at: path) }.flatMap { $0.type == type && $0.source == source ? $0 : nil }
      try goOn()
      guard found == nil else { break }
      if SystemClock().now() >= deadline { throw .notMounted(path) }
      await pause(.milliseconds(5))
    }
    guard let found else { throw .notMounted(path) }
    isMounted = true
    connection = found.minor
    region?.setConnection(found.minor)
  }

  // MARK: The end of the shim

  func shimEnded(_ end: LoopProcess.End) {
    processEnd = end
    if let greetingSocket { shutdown(greetingSocket.number, Int32(SHUT_RDWR)) }
    guard phase == .serving else { return }
    // A shim ends by itself, and well, when the kernel tells it that its mount is gone.
    guard end != .exited(0) else { return fail("\(mountpoint) was unmounted from outside, or its connection aborted") }
    fail("the shim ended (\(end)): reads of \(mountpoint) wait until the mount is taken down")
  }

  /// The mount cannot be served any more. The shim is made to end, if it has not; the owner is told once.
  func fail(_ sentence: String) {
    guard phase == .serving || phase == .starting else { return }
    Log.error("shim.failed", ["pid": process?.pid ?? 0, "cause": sentence])
    failure = sentence
    link?.close()
    link = nil
    process?.kill(SIGKILL)
    // A start under way throws it instead.
    guard phase == .serving else { return }
    phase = .failed
    onShimEnd?(sentence)
  }
}

extension Log.Level {
  /// The shim counts the other way: 0 errors, 3 everything.
  var shimNumber: UInt32 {
    switch self {
    case .error: 0
    case .warning: 1
    case .info: 2
    case .debug: 3
    }
  }

  init(shimNumber: UInt32) {
    switch shimNumber {
    case 0: self = .error
    case 1: self = .warning
    case 2: self = .info
    default: self = .debug
    }
  }
}
