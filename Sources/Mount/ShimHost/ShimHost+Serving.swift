import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

/// A mount that is there: its shims come and go, and it may be lost. These are the calls of `ShimFleet` and `ShimLink`
/// back to their owner, on the dispatch loop.
extension ShimHost: FleetOwner {
  /// The start is over: from now on a shim that ends is replaced.
  func serve(_ mounted: Mounted) {
    enter(.serving(mounted))
    mounted.channel.region.setVolume(options.volumeID)
    Log.info(.mountReady, ["path": mountpoint, "pid": fleet.current?.pid ?? 0, "connection": mounted.connection])
    fleet.supervise(mounted.channel.region, keepsStandby: options.standby, shimTimeout: options.shimTimeout)
    if !link.isOpen, fleet.isRunning { linkAgain() }
    mounted.channel.dispatch.serve()
  }

  /// The doorbell's callback.
  func rang() {
    fleet.look()
    channel?.dispatch.serve()
  }

  private var isServing: Bool { if case .serving = phase { true } else { false } }

  // MARK: Shims

  func startSuccessor(ended: @escaping (ShimProcess) -> Void) throws(LoopError) -> ShimProcess {
    guard let channel else { throw LoopError(code: -ENOTCONN) }
    let shared = channel.forSuccessor
    var arguments = ["--successor"]
    for (index, one) in shared.enumerated() { arguments += [one.name, String(3 + index)] }
    arguments +=
      roots(from: 3 + shared.count) + commonArguments + ["--shim-timeout", String(options.shimTimeout.milliseconds)]
    return try ShimProcess(
      options.shimPath, arguments: arguments, descriptors: shared.map(\.descriptor) + options.allRoots, ended: ended)
  }

  /// The shim that mounts.
  func startFirst(listening: OwnedDescriptor) throws(ShimHostError) {
    let arguments =
      ["--listen", "3"] + roots(from: 4) + commonArguments + ["--workers", String(options.workers)]
      + (options.allowOther ? ["--allow-other"] : []) + (volume.hasExtendedAttributes ? ["--xattr"] : [])
    do throws(LoopError) {
      try fleet.start(options.shimPath, arguments: arguments, descriptors: [listening.number] + options.allRoots)
    } catch {
      throw .notStarted(options.shimPath, error.description)
    }
  }

  private var commonArguments: [String] {
    ["--mountpoint", mountpoint, "--fsname", options.fsname, "--subtype", options.subtype]
      + (volume.isReadOnly ? ["--read-only"] : [])
      + ["--read-ahead", String(options.readAhead >> 10)]
      + ["--log-level", String(Log.level.shimNumber), "--orphan-timeout", String(options.orphanTimeout.milliseconds)]
  }

  private func roots(from first: Int) -> [String] {
    options.allRoots.indices.flatMap { ["--root", String(first + $0)] }
  }

  func tookOver(_ shim: ShimProcess) {
    channel?.dispatch.forgetReleasedCount()
    linkAgain()
    channel?.dispatch.serve()
  }

  func endedEarly(_ shim: ShimProcess) {
    // The start under way finds it.
    if case .starting(let start) = phase, shim === fleet.current { start.greeter.interrupt() }
  }

  func sayDrain() { link.sayDrain() }

  // MARK: The link

  func linkAgain() {
    link.close()
    guard let identity = fleet.active else { return }
    Task { @DispatchLoop [weak self] in
      guard let self else { return }
      // The attempts go on as long as this shim serves: the next takeover begins new ones.
      let cause = await link.connect(to: identity) { [weak self] in self?.serves(identity) == true }
      if let cause {
        if serves(identity) { fleet.distrust("it cannot be linked to, as \(cause)") }
      } else if link.isOpen, let region = channel?.region {
        Log.info(
          .shimLinked, ["pid": fleet.current?.pid ?? 0, "epoch": region.epoch, "outage_us": region.outage / 1000])
      }
    }
  }

  private func serves(_ identity: UInt64) -> Bool {
    isServing && fleet.active == identity && channel?.region.active == identity
  }

  /// The news of a death, or of a shim that trusts us no more.
  func linkEnded(_ identity: UInt64) {
    Task { @DispatchLoop [weak self] in
      // If the shim died, the end of its process says more, and is reported within milliseconds.
      await pause(.milliseconds(500))
      guard let self, !link.isOpen, let current = fleet.current, current.identity == identity, current.isRunning else {
        return
      }
      distrust(identity, "it closed its link but goes on running")
    }
  }

  func distrust(_ identity: UInt64, _ cause: String) {
    switch phase {
    case .serving: fleet.distrust(cause)
    case .starting(let start):
      Log.error(.shimDistrusted, ["pid": fleet.current?.pid ?? 0, "cause": cause])
      // The start throws it.
      start.distrust = "the shim is not trusted any more: \(cause)"
      // If the mount was adopted, the standby takes over.
      fleet.killActive()
      start.greeter.interrupt()
    case .idle, .failed, .stopping, .ended: break
    }
  }

  // MARK: The end of it

  var isMountGone: Bool { channel.map { Unmount.isGone($0.device) } ?? true }

  func mountWentAway() {
    guard case .serving(let mounted) = phase else { return }
    let sentence = "\(mountpoint) was unmounted from outside, or its connection aborted"
    Log.error(.mountGone, ["cause": sentence])
    giveUp(mounted, sentence)
    fleet.killAll()
    onShimEnd?(sentence)
  }

  /// Shims end as fast as they come. Readers get errors instead of waiting for ever; we stay, and say so.
  func gaveUp(_ reason: String) {
    guard case .serving(let mounted) = phase else { return }
    Log.error(.shimGivenUp, ["cause": reason])
    giveUp(mounted, reason)
    Task { @DispatchLoop [weak self] in
      await Self.abort(mounted)
      guard let self, case .failed(let reason, _?) = phase else { return }
      // If the abort fails, the connection ends with the last descriptor of it.
      fleet.killAll()
      mounted.channel.dispatch.end()
      await mounted.channel.dispatch.releaseAll()
      // A stop may have come meanwhile, and takes the rest down.
      guard case .failed = phase else { return }
      mounted.channel.close()
      enter(.failed(reason, nil))
      link.abandonOrders()
    }
  }

  private func giveUp(_ mounted: Mounted, _ reason: String) {
    enter(.failed(reason, mounted))
    fleet.endSupervision()
    link.interrupt()
    link.close()
  }

  static func abort(_ mounted: Mounted) async {
    let (connection, device) = (mounted.connection, mounted.channel.device)
    let isAborted = await onWorker { Unmount.abort(connection: connection, device: device) }
    Log.info(.mountAborted, ["connection": connection, "done": isAborted])
  }
}
