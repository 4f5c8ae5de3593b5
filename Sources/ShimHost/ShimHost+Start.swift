import CLinux
import CWire
import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

extension ShimHost {
  /// Adopts the mount of a control plane that died, or else starts a shim, and returns once the mount is there: INIT answered, hello done, mountinfo
  /// shows it. Where it throws, nothing is left; shims that belong to somebody else go on unharmed.
  package func start(adopting survivor: Survivor? = nil) async throws(ShimHostError) {
    precondition(phase == .idle, "a ShimHost is started once")
    phase = .starting
    do {
      if let survivor, try await adopt(survivor) {
        Log.warning("mount.adopted", ["path": mountpoint, "pid": process?.pid ?? 0, "handles": opened.count, "leases": leases?.count ?? 0])
      } else {
        try goOn()
        try await prepare()
        try goOn()
        try spawnFirst()
        let greeting = try await greet()
        try goOn()
        try await attach(greeting)
        try await awaitMount()
        try goOn()
      }
    } catch {
      if phase == .starting { await takeDown(limit: .seconds(3)) }
      while phase != .ended { await pause(.milliseconds(5)) }
      // What a step made that was under way while a stop took the rest down.
      closeAll()
      throw error
    }
    failure = nil
    phase = .serving
    region?.setVolume(options.volumeID)
    Log.info("mount.ready", ["path": mountpoint, "pid": process?.pid ?? 0, "connection": connection])
    beginSupervision()
    serve()
  }

  /// After each wait of a start: a stop may have come, or the shim may have ended or been found wanting.
  private func goOn() throws(ShimHostError) {
    if phase != .starting { throw .stopped }
    if let failure { throw .refused(failure) }
    if let end = process?.end { throw .ended(end) }
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
    if let end = process?.end { throw .ended(end) }
    let milliseconds = Int32(clamping: options.startLimit.milliseconds)
    switch await onWorker({ Hello.hear(socket, milliseconds: milliseconds) }) {
    case .success(let greeting):
      guard greeting.status == 0 else { throw .refused(greeting.message) }
      guard let process, greeting.pid == process.pid, Hello.isAlive(greeting.who) else { throw .impostor(greeting.pid) }
      return greeting
    case .failure(let cause):
      // A connection closed by a dying shim is seen before its end is.
      if case .noAnswer = cause, await shimEnds(within: .milliseconds(500)), let end = process?.end { throw .ended(end) }
      throw .hello(cause)
    }
  }

  private func attach(_ greeting: Greeting) async throws(ShimHostError) {
    guard let socket = greetingSocket else { throw .stopped }
    // Mapping is all that waits here; from the next line on, nothing does.
    let mapped = await onWorker { () -> Result<Region, ShimHostError> in
      do throws(RegionError) { return .success(try Region(descriptor: greeting.region.number)) } catch { return .failure(.region(error)) }
    }
    try goOn()
    let region = try mapped.get()
    try take(greeting, region)
    leases = LeaseTable(region: region)
    volume.attach(to: self)
    publishStatistics()
    region.setControl(pid: getpid())
    greetingSocket = nil
    do throws(LoopError) { try open(socket, of: greeting.who) } catch { throw .loop(error.description) }
    try hearBell()
    // What was handed over before the bell was listened to.
    serve()
  }

  /// The descriptors of a mount, checked for being what they are said to be.
  func take(_ greeting: Greeting, _ region: Region) throws(ShimHostError) {
    var status = stat()
    guard fstat(greeting.device.number, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else { throw .badDescriptor("/dev/fuse") }
    let shimBell = Doorbell(greeting.shimBell)
    let bell = Doorbell(greeting.controlBell)
    guard shimBell.isNonBlocking, bell.isNonBlocking else { throw .badDescriptor("a doorbell") }
    self.region = region
    self.shimBell = shimBell
    self.bell = bell
    ring = SlotRing(region: region, shimBell: shimBell)
    rows = HandleRows(region: region)
    device = greeting.device
    regionDescriptor = greeting.region
  }

  func hearBell() throws(ShimHostError) {
    guard let bell else { return }
    do throws(LoopError) {
      let poll = try LoopPoll(bell.number, on: EventLoop.dispatch) { [weak self] _ in self?.rang() }
      bellPoll = poll
      poll.start(.readable)
    } catch {
      throw .loop(error.description)
    }
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
}
