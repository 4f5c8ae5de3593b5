import SettingsModel

/// The page on 127.0.0.1. The keys are values: this file declares them and copies them into `WebOptions`, without state
/// of its own.
package struct WebSettings: SettingGroup {
  /// nil: from the first request for the page on.
  package let web = Setting.optionalFlag(
    "web", variable: "FSMVP_WEB",
    "the page, on 127.0.0.1. `true`: from the start, also without credentials, which it shows how to set; left out: "
      + "from the first `fsmvp ui` on, over "
      + "restarts; `false`: never")
  package let port = Setting.count(
    "web_port", 0...65_535, default: 0, variable: "FSMVP_WEB_PORT",
    "its port; 0: the last one of this runtime folder if it is free, else any")

  package init() {}
  package var title: String { "The page" }
}

extension WebOptions {
  package init(_ settings: SettingValues, runtimeFolder: String, assets: PageAssets) {
    let opening: Opening =
      switch settings[\WebSettings.web] {
      case true?: .fromStart
      case false?: .never
      case nil: .onDemand
      }
    self.init(opening: opening, runtimeFolder: runtimeFolder, port: settings[\WebSettings.port], assets: assets)
  }
}
