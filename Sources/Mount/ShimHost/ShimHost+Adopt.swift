import CWire
import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

/// The start of a mount whose shims outlived their control plane. The steps are on the dispatch loop and change the
/// start's `Start`; what waits for processes or walks whole tables runs on worker threads.
extension ShimHost {
  /// Goes on where a dead control plane stopped: its shims, its region, what it had open and leased. Nil where the
  /// settings have changed since: then those shims are ended, and the mount is to be made anew.
  func adopt(_ survivor: Survivor, _ start: Start) async throws(ShimHostError) -> Mounted? {
    let (options, isReadOnly) = (options, volume.isReadOnly)
    let found = try await onWorker {
      Result { () throws(ShimHostError) in try survivor.mount(for: options, isReadOnly: isReadOnly) }
    }.get()
    guard case .starting = phase, case .success(let mount) = found else {
      if case .failure(let disagreement) = found {
        Log.warning(
          .shimNotAdopted, ["path": survivor.region.mountpoint, "cause": disagreement.about + ", so it is ended"])
      }
      if let error = await onWorker({ survivor.end() }) { throw error }
      guard case .starting = phase else { throw .stopped }
      return nil
    }
    guard let (greeting, socket) = survivor.take() else { return nil }
    let region = survivor.region
    fsmvp_kill_point("control.adopt.begin")
    locate(start, at: mount.mountpoint)
    start.isMounted = true
    // Before anything can fail: from here on they are ours to end.
    fleet.adopt(active: region.active, standby: region.standby)
    start.isListening = true
    let legacy = await onWorker { Legacy(region, options) }
    fsmvp_kill_point("control.adopt.leases")
    try stillStarting()
    let channel = try makeChannel(greeting, region, listening: nil, table: legacy.table)
    start.channel = channel
    let mounted = Mounted(channel: channel, path: mount.mountpoint, connection: mount.minor)
    start.mounted = mounted
    region.setConnection(mount.minor)
    // The link before the volume: what the volume does not want is revoked over it. The orders of the dead one that
    // were not acknowledged are not known; these are all that can have been among them, together with the directories
    // published at the end.
    do throws(LoopError) { try link.open(socket, of: greeting.identity) } catch { throw .loop(error.description) }
    await channel.leases.endDoubtful(legacy.revoked)
    for row in legacy.unnamed { channel.leases.end(row) }
    await channel.dispatch.adopt(legacy.inheritance.handles)
    fsmvp_kill_point("control.adopt.handles")
    try stillStarting()
    volume.attach(to: self)
    await volume.inherit(legacy.inheritance)
    fsmvp_kill_point("control.adopt.volume")
    try stillStarting()
    await resume(channel)
    try stillStarting()
    return mounted
  }

  private func stillStarting() throws(ShimHostError) { guard case .starting = phase else { throw .stopped } }

  /// Asks again for the requests that the dead one had taken; then serves all that wait.
  private func resume(_ channel: Channel) async {
    channel.dispatch.adoptSlots()
    fsmvp_kill_point("control.adopt.slots")
    channel.region.setControl(pid: getpid())
    fsmvp_kill_point("control.adopt.published")
    channel.hear()
    channel.ringOurselves()
    fsmvp_kill_point("control.adopt.bells")
    channel.dispatch.serve()
    await publishDirectories()
  }

  /// Names may have come and gone between the dead one's last change and its word to the kernel.
  private func publishDirectories() async {
    invalidateAttributes(directories: [.root] + (await volume.directoriesToForget()), files: []) {}
  }
}

/// The state that a dead control plane left in the region. It is read on a worker thread, because 16,384 leases and
/// 65,536 handles take longer than a step of the loop may.
// SAFETY: made by one thread and handed over once; the table belongs to the dispatch loop from then on.
private struct Legacy: @unchecked Sendable {
  let table: LeaseTable
  let inheritance: Inheritance
  /// Leases that the shim may or may not have released.
  let revoked: [UInt64]
  /// Leases whose file's name is no text.
  let unnamed: [RegionLease]

  init(_ region: Region, _ options: ShimHost.Options) {
    let (table, standing, windows, revoked) = LeaseTable.takeOver(
      region, roots: options.roots.count, window: options.windowRoot)
    var handles: [HandleID: NodeID] = [:]
    HandleRows(region: region).forEachOpen { handles[HandleID($0.handle)] = NodeID($0.node) }
    var leases: [any InheritedLease] = []
    var unnamed: [RegionLease] = []
    for row in standing {
      if let lease = StandingLease(row) { leases.append(lease) } else { unnamed.append(row.lease) }
    }
    (self.table, self.revoked, self.unnamed) = (table, revoked, unnamed)
    // Before the volume, which gives the frames to other bytes.
    inheritance = Inheritance(
      handles: handles, leases: leases, windows: StandingWindow.take(windows, from: options.window),
      windowGeneration: region.windowGeneration)
  }
}
