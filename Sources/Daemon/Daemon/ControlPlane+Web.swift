import ControlAPI
import ControlModel
import ControlRoutes
import Core
import EventLoop
import MediaHub
import Settings
import ShimHost
import Staging
import Transfer

/// The parts of the API that are put together here, and the page's view of this control plane. It runs on the dispatch
/// loop and changes nothing; links of a path are read on a worker thread.
extension ControlPlane {
  /// The control plane's own, the service's, and those of the volumes that are mounted.
  func groups(_ mediaHub: MediaHubClient) -> [RouteGroup] {
    [DaemonRoutes.group(self), JobRoutes.group(mediaHub) { [weak self] in try self?.checkService() }]
      + mounts.map(\.routes)
  }

  func stagedRoutes(_ volume: StagedVolume) -> RouteGroup {
    let dependencies = StagedRoutes.Dependencies {
      [weak self] in
      try self?.checkService()
    } resolve: {
      [weak self] in
      await self?.address($0) ?? $0
    }
    return StagedRoutes.group(volume, dependencies)
  }

  /// An item's path as the volume gives it, though links may lead to the mount by other names; a path of something else
  /// as it came.
  private func address(_ path: String) async -> String {
    let named = service.settings.mountpoint
    guard !path.hasPrefix(named + "/"), let mount = host?.mountpoint else { return path }
    let real = await withCheckedContinuation { (continuation: CheckedContinuation<String?, Never>) in
      EventLoop.dispatch.background({
        let ours = MountTable.current().entries.filter { $0.type == Mountpoint.type }.map(\.mountpoint)
        return RealPath.of(path, untouched: Set(ours))
      }) { continuation.resume(returning: $0) }
    }
    guard let real, real.hasPrefix(mount + "/") else { return path }
    return named + real.dropFirst(mount.count)
  }

  /// - Throws: `no_credentials`: where that is so, MediaHub need not be asked.
  private func checkService() throws {
    guard service.hasCredentials else {
      throw ControlError(
        .noCredentials,
        "no credentials for MediaHub are set: put client_id and client_secret into "
          + "\(service.settings.configFileToWrite), then run `fsmvp reload`"
      )
    }
  }

  func configuration() -> [SettingEntry] {
    service.settings.describe().map(SettingEntry.init)
  }

  var serviceReport: ControlStatus.Service {
    let state: ControlStatus.Service.State = service.simulator != nil ? .demo : service.hasCredentials ? .set : .missing
    var report = ControlStatus.Service(state: state, host: service.host, configFile: service.settings.configFileToWrite)
    report.rest = mediaHub?.restSentence
    return report
  }

  func webOptions(_ assets: PageAssets) -> WebOptions {
    WebOptions(service.settings.values, runtimeFolder: folders.runtime, assets: assets)
  }
}

extension Service {
  /// Host and, if it is given, port of the MediaHub in use.
  var host: String {
    let rest = apiBase.firstRange(of: "://").map { apiBase[$0.upperBound...] } ?? apiBase[...]
    return String(rest.prefix { $0 != "/" })
  }
}
