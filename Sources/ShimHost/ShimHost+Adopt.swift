import CWire
import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

extension ShimHost {
  /// Goes on where a dead control plane stopped: its shims, its region, what it had open and leased. False where the settings have changed since: then
  /// those shims are ended, and the mount is to be made anew.
  func adopt(_ survivor: Survivor) async throws(ShimHostError) -> Bool {
    let (options, isReadOnly) = (options, volume.isReadOnly)
    let found = await onWorker { survivor.mount(for: options, isReadOnly: isReadOnly) }
    let mount: MountEntry
    switch found {
    case .success(let entry) where phase == .starting: mount = entry
    case .success, .failure:
      if case .failure(let disagreement) = found {
        Log.warning("shim.not_adopted", ["path": survivor.region.mountpoint, "cause": disagreement.about + ", so it is ended"])
      }
      if let error = await onWorker({ survivor.end() }) { throw error }
      if phase != .starting { throw .stopped }
      return false
    }
    guard let (greeting, socket) = survivor.take() else { return false }
    let region = survivor.region
    fsmvp_kill_point("control.adopt.begin")
    mountpoint = mount.mountpoint
    isMounted = true
    connection = mount.minor
    listening = greeting.listening
    // Before anything can fail: from here on they are ours to end.
    process = watch(region.active)
    if region.standby != region.active, ShimProcess.mayBeShim(region.standby) { watch(region.standby) }
    try take(greeting, region)
    region.setConnection(mount.minor)
    try await inherit(socket, greeting.who)
    if phase != .starting { throw .stopped }
    try resume()
    return true
  }

  private func inherit(_ socket: OwnedDescriptor, _ who: UInt64) async throws(ShimHostError) {
    guard let region, let rows else { throw .stopped }
    let (table, standing, windows, revoked) = LeaseTable.takeOver(region, roots: options.roots.count, window: options.windowRoot)
    leases = table
    fsmvp_kill_point("control.adopt.leases")
    // The link before the volume: what the volume does not want is revoked over it. The orders of the dead one that were not acknowledged are
    // not known; these are all that can have been among them, together with the directories published at the end.
    do throws(LoopError) { try open(socket, of: who) } catch { throw .loop(error.description) }
    var unacknowledged = revoked.count
    for lease in revoked {
      say(.revoked(lease: lease)) {
        unacknowledged -= 1
        if unacknowledged == 0 { table.freeUnacknowledged() }
      }
    }
    rows.forEachOpen { opened[HandleID($0.handle)] = NodeID($0.node) }
    fsmvp_kill_point("control.adopt.handles")
    volume.attach(to: self)
    let leases = standing.compactMap { row in
      let lease = StandingLease(row)
      if lease == nil { end(row.lease) }
      return lease
    }
    await volume.inherit(
      Inheritance(
        handles: opened, leases: leases, windows: windows.map { StandingWindow($0) }, windowGeneration: region.windowGeneration))
    fsmvp_kill_point("control.adopt.volume")
  }

  /// What the dead one had taken is asked again; then all that waits is served.
  private func resume() throws(ShimHostError) {
    guard let region, let ring, let bell else { throw .stopped }
    ring.adopt()
    fsmvp_kill_point("control.adopt.slots")
    region.setControl(pid: getpid())
    fsmvp_kill_point("control.adopt.published")
    try hearBell()
    bell.ring()
    fsmvp_kill_point("control.adopt.bells")
    publishDirectories()
    serve()
  }

  /// Names may have come and gone between the dead one's last change and its word to the kernel.
  private func publishDirectories() {
    var directories: [NodeID] = [.root]
    var next = 0
    while next < directories.count, directories.count < 4096 {
      let directory = directories[next]
      next += 1
      try? volume.list(directory, after: 0) { _, _, attributes in
        if attributes.kind == .directory {
          remember(attributes.node, in: directory)
          directories.append(attributes.node)
        }
        return true
      }
    }
    invalidateAttributes(of: directories) {}
  }
}
