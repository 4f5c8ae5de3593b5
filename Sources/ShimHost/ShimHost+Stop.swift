import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

extension ShimHost {
  /// Ends the mount in order: every request in hand and every new one is answered EIO, then unmount, lazily where it is busy, then the kernel's
  /// side of the connection is ended, then the shim. Returns when all of it is gone, within `limit` or little more.
  package func stop(limit: Duration = .seconds(3)) async {
    switch phase {
    case .idle:
      phase = .ended
    case .ended:
      break
    case .stopping:
      while phase == .stopping { await pause(.milliseconds(5)) }
    case .starting, .serving, .failed:
      await takeDown(limit: limit)
    }
  }

  func takeDown(limit: Duration) async {
    phase = .stopping
    let began = SystemClock().now()
    let deadline = began + limit
    endSupervision()
    if let greetingSocket { shutdown(greetingSocket.number, Int32(SHUT_RDWR)) }
    // The standby first, always: it would go on in the place of a shim that ends.
    endSuccessors()
    failPending()
    // A shim whose start failed may be about to mount: it ends first.
    if !isMounted { await endShims(deadline) }
    if process != nil { await endMount(deadline) }
    await step("shim.ended") { await self.endShims(deadline) }
    closeAll()
    let path = mountpoint
    let source = options.fsname
    let isGone = await onWorker { MountTable.current().top(at: path)?.source != source }
    let milliseconds = (SystemClock().now() - began).milliseconds
    if isGone {
      Log.info("mount.ended", ["path": path, "ms": milliseconds])
    } else if isMounted {
      Log.error("mount.left", ["path": path, "ms": milliseconds])
    }
    isMounted = false
    phase = .ended
    for done in orders.abandon() { done() }
  }

  /// Everything submitted, taken or still to come is EIO from now on: blocked readers get an answer and can close.
  private func failPending() {
    ring?.failAll(.io)
    serve()
  }

  private func endMount(_ deadline: Moment) async {
    let path = mountpoint
    let (type, source) = ("fuse." + options.subtype, options.fsname)
    // Somebody else's mount on top of ours, or in its place, is not ours to end.
    let isOurs = await onWorker { MountTable.current().top(at: path).map { $0.type == type && $0.source == source } ?? false }
    guard isOurs else { return }
    if process?.isRunning != true { await abort() }
    // Readers that were just answered need a moment to close their files.
    let patience = min(SystemClock().now() + .milliseconds(300), deadline)
    let refusal = await step("mount.unmounted") {
      await self.onWorker { () -> String? in
        while true {
          guard let cause = Unmount.unmount(path, isLazy: false, limit: .milliseconds(500)) else { return nil }
          if SystemClock().now() >= patience { return cause }
          usleep(20000)
        }
      }
    }
    guard let refusal else { return }
    Log.warning("mount.busy", ["path": path, "cause": refusal])
    let lazy = await step("mount.detached") {
      await self.onWorker { Unmount.unmount(path, isLazy: true, limit: .milliseconds(500)) }
    }
    if let lazy { Log.error("mount.detach", ["path": path, "cause": lazy]) }
    await abort()
  }

  func abort() async {
    guard let device, connection != 0 else { return }
    let connection = connection
    let isAborted = await onWorker { Unmount.abort(connection: connection, device: device) }
    Log.info("mount.aborted", ["connection": connection, "done": isAborted])
  }

  private func endSuccessors() { for shim in shims where shim !== process { shim.kill(SIGKILL) } }

  private func endShims(_ deadline: Moment) async {
    endSuccessors()
    if await !holds(within: .milliseconds(500), { shims.allSatisfy { $0 === process } }) {
      Log.error("shim.left", ["pid": shims.first { $0 !== process }?.pid ?? 0])
    }
    guard let process, process.isRunning else { return }
    link?.write(Order.quitFrame())
    let left = deadline - SystemClock().now()
    // A shim that never said hello cannot be told, and one that is stopped does not hear.
    let patience = link == nil ? .zero : max(min(.seconds(1), left), .milliseconds(100))
    if await shimEnds(within: patience) { return }
    Log.warning("shim.killed", ["pid": process.pid])
    process.kill(SIGKILL)
    if await !shimEnds(within: .milliseconds(500)) { Log.error("shim.left", ["pid": process.pid]) }
  }

  func closeAll() {
    // Once more: the last closes of files were written down, not told.
    serve()
    bellPoll?.close()
    bellPoll = nil
    bell = nil
    shimBell = nil
    closeLink()
    greetingSocket = nil
    device = nil
    regionDescriptor = nil
    region?.setControl(pid: nil)
    if listening != nil { unlink(socketPath) }
    listening = nil
    releaseAll()
  }

  private func step<T>(_ name: String, _ body: () async -> T) async -> T {
    let began = SystemClock().now()
    let result = await body()
    Log.debug(name, ["ms": (SystemClock().now() - began).milliseconds])
    return result
  }

  /// For a second signal, right before `_exit`: takes the path away and kills the shims, without waiting for readers. Synchronous, at most half a second.
  package func abandon() {
    endSuccessors()
    process?.kill(SIGKILL)
    guard process != nil, let mount = MountTable.current().top(at: mountpoint), mount.source == options.fsname else { return }
    _ = Unmount.unmount(mountpoint, isLazy: true, limit: .milliseconds(500))
    unlink(socketPath)
  }
}
