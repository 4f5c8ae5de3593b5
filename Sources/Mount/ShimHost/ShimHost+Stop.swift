import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

/// The end of a mount, from whatever phase it is in. The steps are on the dispatch loop; unmounting and reading
/// mountinfo are done on worker threads.
extension ShimHost {
  /// Ends the mount in order: every request in hand and every new one is answered EIO, then unmount, lazily where it is
  /// busy, then the kernel's side of the connection is ended, then the shim. Returns when all of it is gone, within
  /// `limit` or little more.
  package func stop(limit: Duration = .seconds(3)) async {
    switch phase {
    case .idle: enter(.ended)
    case .ended: break
    case .stopping: while !isOver { await pause(.milliseconds(5)) }
    case .starting, .serving, .failed: await takeDown(limit: limit)
    }
  }

  var isOver: Bool { if case .ended = phase { true } else { false } }

  func takeDown(limit: Duration) async {
    let began = SystemClock().now()
    let deadline = began + limit
    let ending = Ending(phase)
    enter(.stopping(ending.channel))
    fleet.endSupervision()
    if case .starting(let start) = ending.before { start.greeter.interrupt() }
    link.interrupt()
    fleet.killSuccessors()
    ending.channel?.dispatch.end()
    // A shim whose start failed may be about to mount: it ends first.
    if !ending.isMounted { await endShims(deadline) }
    if fleet.current != nil { await endMount(ending, deadline) }
    await step(.shimEnded) { await self.endShims(deadline) }
    if let channel = ending.channel { await end(channel) }
    if ending.isListening { unlink(socketPath) }
    link.close()
    let path = mountpoint
    let source = options.fsname
    let isGone = await onWorker { (try? MountTable.read().get()).map { $0.top(at: path)?.source != source } ?? false }
    let milliseconds = (SystemClock().now() - began).milliseconds
    if isGone {
      Log.info(.mountEnded, ["path": path, "ms": milliseconds])
    } else if ending.isMounted {
      Log.error(.mountLeft, ["path": path, "ms": milliseconds])
    }
    enter(.ended)
    link.abandonOrders()
  }

  /// The parts of the host that are to be taken down.
  @DispatchLoop
  private struct Ending {
    let before: Phase
    let channel: Channel?
    let mounted: Mounted?
    let isMounted: Bool
    let isListening: Bool

    init(_ phase: Phase) {
      before = phase
      switch phase {
      case .idle, .ended, .stopping: (channel, mounted, isMounted, isListening) = (nil, nil, false, false)
      case .starting(let start):
        (channel, mounted, isMounted, isListening) = (start.channel, start.mounted, start.isMounted, start.isListening)
      case .serving(let mounted):
        (channel, self.mounted, isMounted, isListening) = (mounted.channel, mounted, true, true)
      case .failed(_, let mounted):
        (channel, self.mounted, isMounted, isListening) = (mounted?.channel, mounted, true, true)
      }
    }
  }

  private func endMount(_ ending: Ending, _ deadline: Moment) async {
    let path = mountpoint
    let (type, source) = ("fuse." + options.subtype, options.fsname)
    // Another mount on top of ours, or in its place, is not ours to end.
    let isOurs = await onWorker {
      switch MountTable.read() {
      case .success(let table): table.top(at: path).map { $0.type == type && $0.source == source } ?? false
      // Not to be found out; as far as this process knows it is.
      case .failure: true
      }
    }
    guard isOurs else { return }
    if !fleet.isRunning, let mounted = ending.mounted { await Self.abort(mounted) }
    // Readers that were just answered need a moment to close their files.
    let patience = min(SystemClock().now() + .milliseconds(300), deadline)
    let refusal = await step(.mountUnmounted) {
      await onWorker { () -> String? in
        while true {
          guard let cause = Unmount.unmount(path, isLazy: false, limit: .milliseconds(500)) else { return nil }
          if SystemClock().now() >= patience { return cause }
          usleep(20000)
        }
      }
    }
    guard let refusal else { return }
    Log.warning(.mountBusy, ["path": path, "cause": refusal])
    let lazy = await step(.mountDetached) {
      await onWorker { Unmount.unmount(path, isLazy: true, limit: .milliseconds(500)) }
    }
    if let lazy { Log.error(.mountDetach, ["path": path, "cause": lazy]) }
    if let mounted = ending.mounted { await Self.abort(mounted) }
  }

  private func endShims(_ deadline: Moment) async {
    fleet.killSuccessors()
    if await !holds(within: .milliseconds(500), { fleet.shims.allSatisfy { $0 === fleet.current } }) {
      Log.error(.shimLeft, ["pid": fleet.standbyPid ?? 0])
    }
    guard fleet.isRunning else { return }
    let pid = fleet.current?.pid ?? 0
    link.sayQuit()
    let left = deadline - SystemClock().now()
    // A shim that never said hello cannot be told, and one that is stopped does not hear.
    let patience = link.isOpen ? max(min(.seconds(1), left), .milliseconds(100)) : .zero
    if await fleet.ends(within: patience) { return }
    Log.warning(.shimKilled, ["pid": pid])
    fleet.killAll()
    if await !fleet.ends(within: .milliseconds(500)) { Log.error(.shimLeft, ["pid": pid]) }
  }

  /// The last of a mount: what was closed meanwhile is told, and the region names no control plane any more.
  func end(_ channel: Channel) async {
    channel.dispatch.serve()
    channel.close()
    channel.region.setControl(pid: nil)
    await channel.dispatch.releaseAll()
  }

  private func step<T>(_ event: LogEvent, _ body: () async -> T) async -> T {
    let began = SystemClock().now()
    let result = await body()
    Log.debug(event, ["ms": (SystemClock().now() - began).milliseconds])
    return result
  }

  /// For a second signal, right before `_exit`: takes the path away and kills the shims, without waiting for readers.
  /// Synchronous, at most half a second.
  package func abandon() {
    fleet.killAll()
    guard fleet.current != nil, let mount = MountTable.current().top(at: mountpoint), mount.source == options.fsname
    else { return }
    _ = Unmount.unmount(mountpoint, isLazy: true, limit: .milliseconds(500))
    unlink(socketPath)
  }
}
