import ControlAPI
import ControlClient
import ControlModel
import Core
import EventLoop
import Glibc
import ShimHost
import Store
import Telemetry

/// Orders about the two programs: another shim, or all of it new from disk. They run on the dispatch loop, and their
/// state is `reload` and `isReloading`; programs and files are looked at on other threads.
extension ControlPlane {
  func restartShim() async throws -> ShimReply {
    let host = try mounted()
    try await host.restartShim()
    return try served(by: host)
  }

  func killShim() async throws -> ShimReply {
    let host = try mounted()
    try await host.killShim()
    return try served(by: host)
  }

  func setLogLevel(_ level: Log.Level) {
    Log.level = level
    for mount in mounts { mount.host.logLevelChanged() }
  }

  private func mounted() throws -> ShimHost {
    guard let host, host.figures != nil else { throw ControlError(.failed, "the control plane is still starting") }
    return host
  }

  private func served(by host: ShimHost) throws -> ShimReply {
    guard let figures = host.figures else { throw ControlError.isStopping }
    return ShimReply(
      epoch: Int(clamping: figures.epoch), pid: Int(figures.pid), outageMilliseconds: figures.lastOutageMilliseconds)
  }

  // MARK: Reload

  func reload() async throws -> ReloadReply {
    _ = try mounted()
    guard !isReloading, reload?.state != .replacing else {
      throw ControlError(.failed, "a reload is under way already")
    }
    isReloading = true
    do {
      if let fault = await faultForNextImage() {
        throw ControlError(.failed, "nothing was replaced and uploads go on, but \(fault)")
      }
      try await DiskPrograms.check()
      guard stopping == nil else { throw ControlError.isStopping }
    } catch {
      isReloading = false
      throw error
    }
    return ReloadReply(pid: Int(getpid()), count: (reload?.count ?? 0) + 1)
  }

  /// Looks at what the next image will need, most of it on a worker thread: nothing takes its place if it cannot start.
  private func faultForNextImage() async -> String? {
    let (service, folders) = (service, folders)
    let keepsBytes = service.settings[\StoreSettings.fetchMode] == .tempFile
    let fault = await onWorker {
      service.faultForNextImage() ?? StartLimits.faultForNextImage()
        ?? folders.faultForNextImage(keepsBytes: keepsBytes)
    }
    if let fault { return fault }
    return await volume?.restoreList()
  }

  /// Nothing is taken down before: what does not happen must leave everything as it was, and the next image takes over
  /// as after a crash.
  func replaceImage() {
    Task { @DispatchLoop in
      isReloading = false
      guard stopping == nil else { return }
      let handover = Handover(lock: runtime?.lock ?? folders.lock, reloads: (reload?.count ?? 0) + 1)
      Log.info(.reloading, ["program": Installation.path])
      notifier.reloading()
      Log.flush()
      let error = ProcessImage.replace(handing: handover, secrets: service.secrets)
      reload = ControlStatus.Reload(
        count: handover.reloads, state: .failed,
        reason:
          "\(Installation.path) cannot be executed (\(error)); nothing was replaced and uploads go on: install both "
          + "programs again and repeat"
      )
      Log.error(.reloadFailed, ["program": Installation.path, "cause": error])
      notifier.ready()
    }
  }

  /// The second half, in the new image.
  func replaceShims() async {
    guard var reload else { return }
    do {
      for mount in mounts { try await mount.host.replaceShims() }
      reload.state = .done
    } catch {
      Log.error(.reloadShimsFailed, ["cause": error])
      reload.state = .failed
      reload.reason = "the control plane is new, but its shims are not: \(error); `fsmvp shim restart` tries again"
    }
    self.reload = reload
  }

  // MARK: Status for the service manager

  /// A line for `systemctl status`.
  var serviceStatus: String? {
    guard let figures = host?.figures else { return nil }
    switch figures.state {
    case .failed: return "shim failed: \(figures.reason ?? "it is not known why")"
    case .replacing: return "no shim serves, the next one is on its way"
    case .serving:
      let staged = volume?.statistics.files ?? 0
      return "\(staged) staged, \(figures.openHandles) open"
    }
  }
}

extension ControlStatus.Shim {
  /// - Parameter figures: nil before the mount is there.
  init(_ figures: ShimFigures?) {
    guard let figures else {
      self.init(state: .starting, pid: 0, epoch: 0, restarts: 0)
      return
    }
    let state: State =
      switch figures.state {
      case .serving: .serving
      case .replacing: .replacing
      case .failed: .failed
      }
    self.init(
      state: state, reason: figures.reason, pid: Int(figures.pid), epoch: Int(clamping: figures.epoch),
      restarts: figures.restarts,
      standbyPid: figures.standbyPid.map(Int.init), lastOutageMilliseconds: figures.lastOutageMilliseconds)
  }
}
