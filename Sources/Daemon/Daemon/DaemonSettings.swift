import SettingsModel

/// The settings of the control plane itself. The keys are values: this file declares them and has no other state.
struct DaemonSettings: SettingGroup {
  enum LogLevel: String, Sendable, CaseIterable { case debug, info, warning, error }

  let logLevel = Setting.choice(
    "log_level", default: LogLevel.info, variable: "FSMVP_LOG_LEVEL", "lines of the log below this level are left out")
  let inhibitSleep = Setting.flag(
    "inhibit_sleep", default: true,
    "while files are open the machine does not go to sleep: an inhibitor of systemd's logind (`sleep:idle`, mode "
      + "`block`), held until two seconds after the "
      + "last close. A lid that closes still suspends, unless logind has `LidSwitchIgnoreInhibited=no`. If there is no "
      + "logind, or it refuses, the log says so "
      + "once and all else goes on")
  let enableAppNap = Setting.flag(
    "enable_app_nap", default: false, isMacOnly: true, "macOS only; a warning says that it is ignored")
  let debugFSKitSingleThread = Setting.flag(
    "debug_fskit_single_thread", default: false, isMacOnly: true, "macOS only; a warning says that it is ignored")

  var title: String { "The control plane" }
}
