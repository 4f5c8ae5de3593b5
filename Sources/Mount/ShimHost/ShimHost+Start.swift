import CLinux
import CWire
import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

/// The start of a mount. `Start` holds what has been made so far, so that a stop in between can take it down; the steps
/// are on the dispatch loop, connecting and mapping on worker threads.
extension ShimHost {
  /// Adopts the mount of a control plane that died, or else starts a shim, and returns once the mount is there: INIT
  /// answered, hello done, mountinfo shows it. If it throws, nothing is left; shims of another control plane go on
  /// unharmed.
  package func start(adopting survivor: Survivor? = nil) async throws(ShimHostError) {
    guard case .idle = phase else { preconditionFailure("a ShimHost is started once") }
    let start = Start(path: options.mountpoint)
    enter(.starting(start))
    let mounted: Mounted
    do {
      if let survivor, let adopted = try await adopt(survivor, start) {
        mounted = adopted
        Log.warning(
          .mountAdopted,
          [
            "path": mounted.path, "pid": fleet.current?.pid ?? 0, "handles": mounted.channel.dispatch.openHandles,
            "leases": mounted.channel.leases.count,
          ])
      } else {
        mounted = try await mount(start)
      }
    } catch {
      if case .starting = phase { await takeDown(limit: .seconds(3)) }
      while !isOver { await pause(.milliseconds(5)) }
      // A step that was under way while a stop took the rest down may have made these.
      if let channel = start.channel { await end(channel) }
      if start.isListening { unlink(socketPath) }
      fleet.killAll()
      throw error
    }
    serve(mounted)
  }

  private func mount(_ start: Start) async throws(ShimHostError) -> Mounted {
    try goOn(start)
    let listening = try await prepare(start)
    try goOn(start)
    try startFirst(listening: listening)
    let (greeting, socket) = try await greet(start)
    try goOn(start)
    let channel = try await attach(greeting, socket, listening, start)
    let connection = try await awaitMount(start)
    let mounted = Mounted(channel: channel, path: start.path, connection: connection)
    start.mounted = mounted
    try goOn(start)
    channel.region.setConnection(connection)
    return mounted
  }

  /// After each wait of a start: a stop may have come, or the shim may have ended or been found wanting.
  func goOn(_ start: Start) throws(ShimHostError) {
    guard case .starting = phase else { throw .stopped }
    if let distrust = start.distrust { throw .refused(distrust) }
    if let end = fleet.current?.end { throw .ended(end) }
  }

  private func greet(_ start: Start) async throws(ShimHostError) -> (Greeting, OwnedDescriptor) {
    let socket: OwnedDescriptor
    switch await start.greeter.connect(socketPath) {
    case .success(let connection): socket = connection
    case .failure(let cause): throw .hello(cause)
    }
    // The socket that listens is open here too, so a shim that dies early does not close it: its end shuts this
    // connection down instead.
    try goOn(start)
    switch await start.greeter.hear(within: options.startLimit, takesDescriptors: true) {
    case .success(let greeting):
      guard greeting.status == 0 else { throw .refused(greeting.message) }
      guard let process = fleet.current, greeting.pid == process.pid, Hello.isAlive(greeting.identity) else {
        throw .impostor(greeting.pid)
      }
      return (greeting, socket)
    case .failure(let cause):
      try goOn(start)
      // A connection closed by a dying shim is seen before its end is.
      if case .noAnswer = cause, await fleet.ends(within: .milliseconds(500)), let end = fleet.current?.end {
        throw .ended(end)
      }
      throw .hello(cause)
    }
  }

  private func attach(
    _ greeting: Greeting, _ socket: OwnedDescriptor, _ listening: OwnedDescriptor, _ start: Start
  ) async throws(ShimHostError) -> Channel {
    // Mapping is all that waits here; from the next line on, nothing does.
    let mapped = await onWorker { () -> Result<Region, ShimHostError> in
      do throws(RegionError) { return .success(try Region(descriptor: greeting.region.number)) } catch {
        return .failure(.region(error))
      }
    }
    try goOn(start)
    let region = try mapped.get()
    let channel = try makeChannel(greeting, region, listening: listening, table: nil)
    start.channel = channel
    volume.attach(to: self)
    publishStatistics()
    region.setControl(pid: getpid())
    do throws(LoopError) { try link.open(socket, of: greeting.identity) } catch { throw .loop(error.description) }
    channel.hear()
    // Slots that were submitted before the bell was listened to.
    channel.dispatch.serve()
    return channel
  }

  func makeChannel(
    _ greeting: Greeting, _ region: Region, listening: OwnedDescriptor?, table: LeaseTable?
  ) throws(ShimHostError) -> Channel {
    try Channel(greeting, region, listening: listening, table: table, options: options, volume: volume, link: link) {
      [weak self] in
      self?.rang()
    }
  }

  /// The number of the mount's connection, once the mount is there.
  private func awaitMount(_ start: Start) async throws(ShimHostError) -> UInt64 {
    let (path, type, source) = (start.path, "fuse." + options.subtype, options.fsname)
    let deadline = SystemClock().now() + options.startLimit
    while true {
      let table = await onWorker { MountTable.read() }
      try goOn(start)
      if case .success(let table) = table, let found = table.top(at: path), found.type == type, found.source == source {
        return found.minor
      }
      if SystemClock().now() >= deadline { throw .notMounted(path) }
      await pause(.milliseconds(5))
    }
  }
}
