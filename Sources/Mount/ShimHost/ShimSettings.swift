import SettingsModel

/// The processes that serve a mount. The keys are values: this file declares them and copies them into
/// `ShimHost.Options`, without state of its own.
package struct ShimSettings: SettingGroup {
  package let workers = Setting.count("workers", 1...16, default: 2, "threads of the shim that read requests")
  package let standby = Setting.flag(
    "standby", default: true, variable: "FSMVP_STANDBY",
    "a second shim waits beside the active one and takes over within milliseconds when it dies; without it the next "
      + "one has to be started first"
  )
  package let shimTimeout = Setting.duration(
    "shim_timeout", .seconds(1) ... .seconds(300), default: .seconds(5), variable: "FSMVP_SHIM_TIMEOUT",
    "a shim that does nothing for so long with requests in its hands is taken for hung and replaced")
  package let orphanTimeout = Setting.duration(
    "orphan_timeout", .seconds(1) ... .seconds(86_400), default: .seconds(600), variable: "FSMVP_ORPHAN_TIMEOUT",
    "how long readers wait for a new control plane when the old one died; then reads of bytes that are not here fail, "
      + "and the mount goes once no file is "
      + "open")

  package init() {}
  package var title: String { "Shims" }
}

extension ShimHost.Options {
  /// Takes over what the settings say.
  package mutating func apply(_ settings: SettingValues) {
    workers = settings[\ShimSettings.workers]
    standby = settings[\ShimSettings.standby]
    shimTimeout = settings[\ShimSettings.shimTimeout]
    orphanTimeout = settings[\ShimSettings.orphanTimeout]
  }
}
