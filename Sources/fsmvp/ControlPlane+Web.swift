import ControlAPI
import ControlModel
import MediaHub
import Settings
import Staging
import Transfer

/// What is asked of MediaHub, which takes credentials; and what the page shows of this control plane itself.
extension ControlPlane {
  func jobs(search: String?, start: Int, limit: Int) async throws -> MediaHubPage {
    try await service(mediaHub).jobs(search: search, start: start, limit: limit)
  }

  func job(_ id: String) async throws -> MediaHubJob { try await service(mediaHub).job(id) }

  func stage(_ fileOrJob: String, recipient: String, isWarm: Bool) async throws -> StagedItem {
    try await service(standing()).stage(fileOrJob, recipient: recipient, isWarm: isWarm)
  }

  func setPinned(_ idOrPath: String, _ isPinned: Bool) async throws -> StagedItem {
    let volume = try standing()
    return try await (isPinned ? service(volume) : volume).setPinned(idOrPath, isPinned)
  }

  /// - Throws: `no_credentials`: where that is so, MediaHub need not be asked.
  private func service<Part>(_ part: Part?) throws -> Part {
    guard service.hasCredentials else {
      throw ControlError(
        .noCredentials,
        "no credentials for MediaHub are set: put client_id and client_secret into \(service.settings.configFileToWrite), then run `fsmvp reload`"
      )
    }
    guard let part else { throw StagingError.failed("the control plane is still starting") }
    return part
  }

  func item(_ id: String) async throws -> StagedItem {
    let volume = try standing()
    await volume.findReaders()
    return try volume.item(id: id)
  }

  func recipients() async throws -> [String] { try standing().recipients() }

  func configuration() -> [SettingEntry] {
    service.settings.describe().map(SettingEntry.init)
  }

  var serviceReport: ControlStatus.Service {
    let state: ControlStatus.Service.State = service.simulator != nil ? .demo : service.hasCredentials ? .set : .missing
    return ControlStatus.Service(state: state, host: service.host, configFile: service.settings.configFileToWrite)
  }

  var webOptions: WebOptions {
    let settings = service.settings
    let opening: WebOptions.Opening =
      switch settings.web {
      case true?: .fromStart
      case false?: .never
      case nil: .onDemand
      }
    return WebOptions(opening: opening, runtimeFolder: folders.runtime, port: settings.webPort, assets: .program)
  }
}

extension Service {
  /// Of the MediaHub that is asked, with its port where it names one.
  var host: String {
    let rest = apiBase.firstRange(of: "://").map { apiBase[$0.upperBound...] } ?? apiBase[...]
    return String(rest.prefix { $0 != "/" })
  }
}
