import SettingsModel

/// The folders: settings that every program of the house reads, with or without a control plane. The keys are values:
/// this file declares them and has no other state.
package struct FolderSettings: SettingGroup {
  package let mountpoint = Setting.path(
    "mountpoint", default: .home("FuseStream"), variable: "FSMVP_MOUNTPOINT",
    "the folder to mount on; it is made if it is missing, and must be empty. `fsmvp run --mountpoint` wins")
  package let runtimeFolder = Setting.path(
    "runtime_dir", default: .runtime, variable: "FSMVP_RUNTIME_DIR",
    "lock and sockets, the page's token (`api.token`) and port (`web.port`); one control plane a folder")
  package let stateFolder = Setting.path(
    "state_dir", default: .xdg("XDG_STATE_HOME", otherwise: ".local/state"), variable: "FSMVP_STATE_DIR",
    "the list of staged items")
  package let cacheFolder = Setting.path(
    "cache_dir", default: .xdg("XDG_CACHE_HOME", otherwise: ".cache"), variable: "FSMVP_CACHE_DIR",
    "fetched bytes; not inside a FUSE mount")
  package let temporaryFolder = Setting.optionalPath(
    "temp_dir", variable: "FSMVP_TEMP_DIR", "fetched bytes; if it is set it beats `cache_dir`")

  package init() {}
  package var title: String { "Folders" }
}

extension SettingDeclaration.Default {
  /// The value for this user.
  func value(_ inputs: SettingsInputs) -> SettingValue {
    switch self {
    case .value(let value): value
    case .home(let name): .text(inputs.home == "/" ? "/" + name : inputs.home + "/" + name)
    case .xdg(let variable, let otherwise): .text(inputs.xdg(variable, otherwise))
    case .runtime: .text(inputs.runtimeFolder)
    }
  }
}
