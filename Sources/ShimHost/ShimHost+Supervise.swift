import CLinux
import Core
import EventLoop
import Glibc
import Telemetry
import Wire

/// The hands of `Supervision`: what happens to shims goes in, what it decides is done.
extension ShimHost {
  private static let tick = Duration.milliseconds(500)

  /// The mount is there: from now on a shim that ends is replaced.
  func beginSupervision() {
    guard let region, let process else { return }
    var options = Supervision.Options()
    options.keepsStandby = self.options.standby
    options.silentTicks = max(1, Int((self.options.shimTimeout.milliseconds + 499) / Self.tick.milliseconds))
    supervision = Supervision(active: process.who, options: options)
    repliesSeen = region.replies
    let ticker = try? LoopTimer(on: EventLoop.dispatch) { [weak self] in self?.ticked() }
    ticker?.start(after: Self.tick, every: Self.tick)
    self.ticker = ticker
    for shim in shims where shim !== process { supervise(.found(shim.who)) }
    // What happened while an adoption was under way.
    if !process.isRunning { shimEnded(process) }
    supervise(.began)
    look()
    if link == nil, process.isRunning { linkAgain() }
  }

  func endSupervision() {
    supervision = nil
    ticker?.close()
    ticker = nil
    for timer in timers.values { timer.close() }
    timers = [:]
  }

  func supervise(_ event: Supervision.Event) {
    for action in supervision?.handle(event) ?? [] { perform(action) }
  }

  private func perform(_ action: Supervision.Action) {
    switch action {
    case .spawn:
      spawnSuccessor()
    case .wait(let limit, let duration):
      timers[limit]?.close()
      let timer = try? LoopTimer(on: EventLoop.dispatch) { [weak self] in self?.ranOut(limit) }
      timer?.start(after: duration)
      timers[limit] = timer
    case .kill(let who):
      kill(who)
    case .sayDrain:
      link?.write(Order.drainFrame())
    case .takenOver(let who):
      takenOver(by: who)
    case .giveUp(let reason):
      giveUp(reason)
    }
  }

  private func ranOut(_ limit: Supervision.Limit) {
    timers.removeValue(forKey: limit)?.close()
    look()
    supervise(.due(limit))
  }

  private func ticked() {
    guard let region else { return }
    find(region.standby)
    look()
    supervise(.tick(heartbeat: region.heartbeat))
  }

  // MARK: Shims

  /// Whether another shim serves now.
  func look() {
    guard let region, let supervision else { return }
    let active = region.active
    guard active != supervision.active else { return }
    find(active)
    supervise(.seen(active))
  }

  /// One that a control plane before us had just started: it is ours too.
  private func find(_ who: UInt64) {
    guard who != 0, !shims.contains(where: { $0.who == who }), ShimProcess.mayBeShim(who) else { return }
    watch(who)
    supervise(.found(who))
  }

  @discardableResult
  func watch(_ who: UInt64) -> ShimProcess {
    let shim = ShimProcess(adopting: who) { [weak self] in self?.shimEnded($0) }
    shims.append(shim)
    return shim
  }

  private func kill(_ who: UInt64) {
    if who == supervision?.active { region?.noteKill() }
    for shim in shims where shim.who == who { shim.kill(SIGKILL) }
  }

  private func takenOver(by who: UInt64) {
    guard let shim = shims.first(where: { $0.who == who }) else { return }
    Log.warning("shim.taken_over", ["pid": shim.pid, "before": process?.pid ?? 0, "epoch": region?.epoch ?? 0])
    process = shim
    // A shim that died between a row and its count has told nobody of the row.
    releasedSeen = nil
    linkAgain()
    serve()
  }

  func shimEnded(_ shim: ShimProcess) {
    shims.removeAll { $0 === shim }
    guard let end = shim.end else { return }
    guard supervision != nil, let region else {
      // The start under way finds it.
      if shim === process, let greetingSocket { shutdown(greetingSocket.number, Int32(SHUT_RDWR)) }
      return
    }
    Log.warning("shim.ended", ["pid": shim.pid, "cause": end.description, "active": shim === process])
    if let device, Unmount.isGone(device) { return lose("\(mountpoint) was unmounted from outside, or its connection aborted") }
    // It may have claimed in its last moment.
    look()
    let replies = region.replies
    let death = Supervision.Death(
      end: end, hasAnswered: region.hasAnswered || replies != repliesSeen, heldWork: region.holdsWork, registered: region.standby)
    if supervision?.serves(shim.who) == true { repliesSeen = replies }
    supervise(.ended(shim.who, death))
  }

  /// It goes on being served by it only until its successor has claimed.
  func distrust(_ cause: String) {
    guard phase == .serving || phase == .starting else { return }
    Log.error("shim.distrusted", ["pid": process?.pid ?? 0, "cause": cause])
    guard supervision == nil else { return supervise(.distrusted(cause)) }
    // A start under way throws it.
    failure = "the shim is not trusted any more: \(cause)"
    process?.kill(SIGKILL)
  }

  // MARK: The end of it

  /// There is nothing left to serve. The owner is told once.
  private func lose(_ sentence: String) {
    Log.error("mount.gone", ["cause": sentence])
    failure = sentence
    phase = .failed
    endSupervision()
    closeLink()
    for shim in shims { shim.kill(SIGKILL) }
    onShimEnd?(sentence)
  }

  /// Shims end as fast as they come. Readers get errors instead of waiting for ever; we stay, and say so.
  private func giveUp(_ reason: String) {
    Log.error("shim.given_up", ["cause": reason])
    failure = reason
    phase = .failed
    endSupervision()
    closeLink()
    Task { @DispatchLoop [weak self] in
      guard let self else { return }
      await abort()
      // Where that is not to be had, the connection ends with the last descriptor of it.
      for shim in shims { shim.kill(SIGKILL) }
      device = nil
      ring?.failAll(.io)
      releaseAll()
      for done in orders.abandon() { done() }
    }
  }
}
