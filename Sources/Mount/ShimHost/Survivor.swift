import CLinux
import Core
import Glibc
import Synchronization
import Telemetry
import Wire

/// The shims of a control plane that died, found by the socket they listen on. They serve what they have; a new control
/// plane adopts them, or ends them in order where the settings have changed. Everything here waits for other processes:
/// for worker threads, or before the loops start. The control plane's `Mount` holds it; its only state that changes is
/// the greeting, behind a lock.
package final class Survivor: Sendable {
  let region: Region
  private let path: String
  /// The shims' greeting and the connection it came by; nil once taken. A duplicate of /dev/fuse kept here would keep a
  /// mount alive.
  private let held: Mutex<(greeting: Greeting, socket: OwnedDescriptor)?>

  private init(region: Region, path: String, greeting: Greeting, socket: OwnedDescriptor) {
    self.region = region
    self.path = path
    held = Mutex((greeting, socket))
  }

  /// Finds the shims of a dead control plane; nil if no process listens at their socket. The caller holds the lock of
  /// the folder, so their control plane is dead; one that lives all the same is an error.
  package static func find(in runtimeFolder: String, limit: Duration = .seconds(8)) -> Result<Survivor?, ShimHostError>
  {
    let path = runtimeFolder + "/shim.sock"
    let deadline = SystemClock().now() + limit
    while true {
      let left = Int32(clamping: (deadline - SystemClock().now()).milliseconds)
      var socket: OwnedDescriptor?
      let connected = Result { () throws(HelloError) -> OwnedDescriptor in
        try Greeter.spares.call(\.shortage) { () throws(HelloError) in try Hello.connect(path).get() }
      }
      let heard = connected.flatMap { connection in
        socket = connection
        return Hello.hear(connection, milliseconds: max(left, 1))
      }
      switch heard {
      case .failure(.notReached(let errno)) where errno.code == ENOENT || errno.code == ECONNREFUSED:
        return .success(nil)
      case .failure(.foreignPeer):
        return .success(nil)
      case .failure(let cause) where (cause.isShortage || cause == .notReached(Errno(EAGAIN))) && left > 0:
        // That no descriptor is to be had says nothing of the shims.
        usleep(20000)
      case .failure(.noAnswer(let errno)) where errno.code == EPIPE && left > 0:
        // The shim died with our connection in its hands; its successor listens, or none does.
        usleep(2000)
      case .success(let greeting) where greeting.status == EBUSY && left > limit.milliseconds / 2:
        // It has not seen yet that the dead one's connection has ended.
        usleep(20000)
      case .failure(let cause):
        return .failure(.leftBehind(path, cause))
      case .success(let greeting):
        guard greeting.status == 0, let socket else { return .failure(.refused(greeting.message)) }
        return take(greeting, socket, path)
      }
    }
  }

  private static func take(_ greeting: Greeting, _ socket: OwnedDescriptor, _ path: String) -> Result<
    Survivor?, ShimHostError
  > {
    do throws(RegionError) {
      let region = try Region(descriptor: greeting.region.number)
      // A killed process lets go of its locks a moment before it is gone.
      for _ in 0..<500 where isForeign(region.control) { usleep(2000) }
      if isForeign(region.control) {
        return .failure(.controlled(Int32(truncatingIfNeeded: region.control & 0xffff_ffff)))
      }
      return .success(Survivor(region: region, path: path, greeting: greeting, socket: socket))
    } catch {
      return .failure(.region(error))
    }
  }

  /// After an exec in place it is ourselves.
  private static func isForeign(_ identity: UInt64) -> Bool {
    Int32(truncatingIfNeeded: identity & 0xffff_ffff) != getpid() && Hello.isAlive(identity)
  }

  /// A duplicate of the shims' descriptor for the first cache root, if that is the very folder at `path`. They share
  /// its description, and with it the lock that says whose files those are.
  package func root(at path: String) -> Int32? {
    held.withLock { held in
      guard let root = held?.greeting.roots.first, Self.isSame(root.number, path) else { return nil }
      let copy = Greeter.spares.call { clinux_dup_above(root.number, 3) }
      return copy >= 0 ? copy : nil
    }
  }

  /// A duplicate of the shims' descriptor for the window, so that the next control plane's is the same memory; nil
  /// where they have none.
  package func windowRoot() -> Int32? {
    held.withLock { held in
      guard let root = held?.greeting.roots.first(where: { WindowFile.isOne($0.number) }) else { return nil }
      let copy = Greeter.spares.call { clinux_dup_above(root.number, 3) }
      return copy >= 0 ? copy : nil
    }
  }

  private static func isSame(_ descriptor: Int32, _ path: String) -> Bool {
    var there = stat()
    var here = stat()
    return fstat(descriptor, &there) == 0 && stat(path, &here) == 0 && there.st_dev == here.st_dev
      && there.st_ino == here.st_ino
  }

  /// Once: what is needed to go on in the dead one's place.
  func take() -> (greeting: Greeting, socket: OwnedDescriptor)? {
    held.withLock { held in
      defer { held = nil }
      return held
    }
  }

  // MARK: Whether it is ours to go on with

  /// The mount, as the mount table has it; else why these shims do not serve what is wanted, as the settings are
  /// called.
  /// - Throws: `mountTable` if that cannot be found out; then the shims are left as they are.
  func mount(
    for options: ShimHost.Options, isReadOnly: Bool, table: Result<MountTable, Errno> = MountTable.read()
  ) throws(ShimHostError) -> Result<MountEntry, Disagreement> {
    let mounts: MountTable
    switch table {
    case .success(let read): mounts = read
    case .failure(let error): throw .mountTable(error)
    }
    return held.withLock { held in
      guard let greeting = held?.greeting, !Unmount.isGone(greeting.device) else {
        return .failure(Disagreement(about: "its mount is gone"))
      }
      guard let mount = mounts.top(at: region.mountpoint), mount.type == "fuse." + options.subtype else {
        return .failure(Disagreement(about: "its mount is gone"))
      }
      let changed =
        Mountpoint.resolve(options.mountpoint) != region.mountpoint
        ? "mountpoint"
        : mount.source != options.fsname
          ? "state_dir"
          : !hasRoots(options.allRoots, greeting)
            ? "cache_dir or temp_dir"
            : region.isReadOnly != isReadOnly
              ? "read-only"
              : region.allowsOther != options.allowOther
                ? "allow_other" : region.volume != 0 && region.volume != options.volumeID ? "api_base" : nil
      return changed.map { .failure(Disagreement(about: "the setting \($0) has changed")) } ?? .success(mount)
    }
  }

  struct Disagreement: Error { let about: String }

  private func hasRoots(_ roots: [Int32], _ greeting: Greeting) -> Bool {
    roots.count == greeting.roots.count
      && zip(roots, greeting.roots).allSatisfy { Self.isSame($0.1.number, "/proc/self/fd/\($0.0)") }
  }

  // MARK: The end

  /// Ends these shims in order, and takes their mount away.
  func end() -> ShimHostError? {
    guard let (greeting, socket) = take() else { return nil }
    // The standby first: it would go on in the other's place.
    let standby = region.standby
    if standby != greeting.identity, let error = Self.end(standby) { return error }
    // Detached before the shim ends: an open file there gives an error then, and the path is free at once. Only its own
    // mount, which the control plane before us knew by its number.
    if let mount = MountTable.current().top(at: region.mountpoint), mount.type == Mountpoint.type,
      mount.minor == region.connection
    {
      _ = Unmount.unmount(mount.mountpoint, isLazy: true, limit: .seconds(2))
    }
    let quit = Order.quitFrame()
    // It may have ended with its mount already: no signal for us then.
    _ = send(socket.number, quit, quit.count, Int32(MSG_NOSIGNAL))
    for _ in 0..<200 where Hello.isAlive(greeting.identity) { usleep(5000) }
    if let error = Self.end(greeting.identity) { return error }
    unlink(path)
    // A successor may have claimed in between.
    return region.active == greeting.identity ? nil : Self.end(region.active)
  }

  private static func end(_ identity: UInt64) -> ShimHostError? {
    let pid = Int32(truncatingIfNeeded: identity & 0xffff_ffff)
    let descriptor = Greeter.spares.call { clinux_pidfd_open(pid) }
    guard descriptor >= 0 else {
      // Only "no such process" says that it has ended.
      let error = Errno.current
      return error.code == ESRCH || !Hello.isAlive(identity) ? nil : .leftBehind("process \(pid)", .noAnswer(error))
    }
    let pidfd = OwnedDescriptor(descriptor)
    guard ShimProcess.mayBeShim(identity) else { return nil }
    _ = clinux_pidfd_signal(pidfd.number, SIGKILL)
    var watched = pollfd(fd: pidfd.number, events: Int16(POLLIN), revents: 0)
    return poll(&watched, 1, 1000) > 0 ? nil : .leftBehind("process \(pid)", .noAnswer(Errno(ETIMEDOUT)))
  }
}
