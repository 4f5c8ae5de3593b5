import CLinux
import Core
import EventLoop
import Glibc
import Telemetry
import Wire

/// The calls that a fleet makes on its mount.
@DispatchLoop
protocol FleetOwner: AnyObject {
  /// Starts a shim that makes ready and waits for the end of the active one, and tells `ended` when it has ended.
  func startSuccessor(ended: @escaping (ShimProcess) -> Void) throws(LoopError) -> ShimProcess
  func sayDrain()
  /// That shim serves now.
  func tookOver(_ shim: ShimProcess)
  /// Whether the kernel has ended the mount.
  var isMountGone: Bool { get }
  /// A shim has ended because the mount was taken away.
  func mountWentAway()
  /// Shims die one after another by their own fault.
  func gaveUp(_ reason: String)
  /// A shim ended before there was a mount to be supervised.
  func endedEarly(_ shim: ShimProcess)
}

/// The shims of a mount: the processes, and the hands of `Supervision`: what happens to them goes in, what it decides
/// is done. `ShimHost` has one for each mount. The fleet owns the `ShimProcess` objects, the timers and the state of
/// `Supervision`, on the dispatch loop; it starts processes and sends signals, and of the region it reads which shim is
/// active and the heartbeat, and writes when it kills one.
@DispatchLoop
final class ShimFleet {
  private static let tick = Duration.milliseconds(500)

  private weak var owner: (any FleetOwner)?
  /// All that run.
  private(set) var shims: [ShimProcess] = []
  /// The shim that serves, or did last.
  private(set) var current: ShimProcess?
  /// From the time the mount is there until it is given up or taken down.
  private(set) var supervision: Supervision?
  private var region: Region?
  private var timers: [Supervision.Limit: LoopTimer] = [:]
  private var ticker: LoopTimer?
  /// Replies of all shims when the last death was looked at.
  private var repliesSeen: UInt64 = 0

  func belong(to owner: any FleetOwner) { self.owner = owner }

  var isRunning: Bool { current?.isRunning == true }
  /// The shim that would take over; 0 where there is none.
  var standbyPid: Int32? { shims.first { $0 !== current && $0.isRunning }?.pid }
  var active: UInt64? { supervision?.active }

  // MARK: Shims

  /// The shim that mounts.
  func start(_ path: String, arguments: [String], descriptors: [Int32]) throws(LoopError) {
    let shim = try ShimProcess(path, arguments: arguments, descriptors: descriptors) { [weak self] in self?.ended($0) }
    shims.append(shim)
    current = shim
  }

  /// Shims that another control plane started: the active one, and what it registered as its standby.
  func adopt(active: UInt64, standby: UInt64) {
    current = watch(active)
    if standby != active, ShimProcess.mayBeShim(standby) { watch(standby) }
  }

  @discardableResult
  private func watch(_ identity: UInt64) -> ShimProcess {
    let shim = ShimProcess(adopting: identity) { [weak self] in self?.ended($0) }
    shims.append(shim)
    return shim
  }

  /// The standby first, always: it would go on in the place of a shim that ends.
  func killSuccessors() { for shim in shims where shim !== current { shim.kill(SIGKILL) } }
  func killAll() {
    killSuccessors()
    current?.kill(SIGKILL)
  }
  /// Kills the active one and writes the time into the region, so that its successor can tell the outage.
  func killActive() {
    region?.noteKill()
    current?.kill(SIGKILL)
  }

  /// Waits until the shim that serves was reaped; false where it was not within the limit.
  func ends(within limit: Duration) async -> Bool { await holds(within: limit) { !isRunning } }

  // MARK: Supervision

  /// The mount is there: from now on a shim that ends is replaced.
  func supervise(_ region: Region, keepsStandby: Bool, shimTimeout: Duration) {
    guard let current else { return }
    var options = Supervision.Options()
    options.keepsStandby = keepsStandby
    options.silentTicks = max(1, Int((shimTimeout.milliseconds + 499) / Self.tick.milliseconds))
    self.region = region
    supervision = Supervision(active: current.identity, options: options)
    repliesSeen = region.replies
    ticker = try? LoopTimer(on: EventLoop.dispatch) { [weak self] in self?.ticked() }
    ticker?.start(after: Self.tick, every: Self.tick)
    for shim in shims where shim !== current { handle(.found(shim.identity)) }
    // The active shim may have ended while an adoption was under way.
    if !current.isRunning { ended(current) }
    handle(.began)
    look()
  }

  func endSupervision() {
    supervision = nil
    ticker?.close()
    ticker = nil
    for timer in timers.values { timer.close() }
    timers = [:]
  }

  /// The shim goes on being served by until its successor has claimed, but is killed.
  func distrust(_ cause: String) {
    Log.error(.shimDistrusted, ["pid": current?.pid ?? 0, "cause": cause])
    handle(.distrusted(cause))
  }

  func want(another: Bool) { handle(.wanted(another: another)) }
  func drain() { handle(.drain) }

  /// Whether another shim serves now.
  func look() {
    guard let region, let supervision else { return }
    let active = region.active
    guard active != supervision.active else { return }
    find(active)
    handle(.seen(active))
  }

  private func handle(_ event: Supervision.Event) {
    for action in supervision?.handle(event) ?? [] { perform(action) }
  }

  private func perform(_ action: Supervision.Action) {
    switch action {
    case .spawn:
      spawn()
    case .wait(let limit, let duration):
      timers[limit]?.close()
      let timer = try? LoopTimer(on: EventLoop.dispatch) { [weak self] in self?.ranOut(limit) }
      timer?.start(after: duration)
      timers[limit] = timer
    case .kill(let identity):
      if identity == supervision?.active { region?.noteKill() }
      for shim in shims where shim.identity == identity { shim.kill(SIGKILL) }
    case .sayDrain:
      owner?.sayDrain()
    case .takenOver(let identity):
      guard let shim = shims.first(where: { $0.identity == identity }) else { return }
      Log.warning(.shimTakenOver, ["pid": shim.pid, "before": current?.pid ?? 0, "epoch": region?.epoch ?? 0])
      current = shim
      owner?.tookOver(shim)
    case .giveUp(let reason):
      owner?.gaveUp(reason)
    }
  }

  private func spawn() {
    guard let owner else { return }
    do throws(LoopError) {
      let shim = try owner.startSuccessor { [weak self] in self?.ended($0) }
      shims.append(shim)
      Log.info(.shimSpawned, ["pid": shim.pid])
      handle(.spawned(shim.identity))
    } catch {
      Log.error(.shimNotSpawned, ["cause": error.description])
      handle(.notSpawned(Supervision.Fault(startFailed: error)))
    }
  }

  private func ranOut(_ limit: Supervision.Limit) {
    timers.removeValue(forKey: limit)?.close()
    look()
    handle(.due(limit))
  }

  private func ticked() {
    guard let region else { return }
    find(region.standby)
    look()
    handle(.tick(heartbeat: region.heartbeat))
  }

  /// Watches a shim that a control plane before us had just started: it is ours too.
  private func find(_ identity: UInt64) {
    guard identity != 0, !shims.contains(where: { $0.identity == identity }), ShimProcess.mayBeShim(identity) else {
      return
    }
    watch(identity)
    handle(.found(identity))
  }

  private func ended(_ shim: ShimProcess) {
    shims.removeAll { $0 === shim }
    guard let end = shim.end else { return }
    guard supervision != nil, let region, let owner else {
      self.owner?.endedEarly(shim)
      return
    }
    Log.warning(.shimEnded, ["pid": shim.pid, "cause": end.description, "active": shim === current])
    if owner.isMountGone { return owner.mountWentAway() }
    // It may have claimed in its last moment.
    look()
    let replies = region.replies
    let death = Supervision.Death(
      end: end, hasAnswered: region.hasAnswered || replies != repliesSeen, heldWork: region.holdsWork,
      registered: region.standby)
    if supervision?.serves(shim.identity) == true { repliesSeen = replies }
    handle(.ended(shim.identity, death))
  }
}
