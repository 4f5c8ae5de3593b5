import SettingsModel

/// The service, and the credentials for it. The keys are values: this file declares them and has no other state.
package struct MediaHubSettings: SettingGroup {
  /// How links are asked for: with a token, or with a signature of the client's secret.
  package enum LinkAuth: String, Sendable, CaseIterable { case bearer, hmac }

  /// Without trailing slash.
  package let base = Setting.address(
    "api_base", default: "https://api.xvid.com/v1", variable: "FSMVP_API_BASE",
    "MediaHub's API; https, or http on this machine")
  /// Empty: not set.
  package let clientID = Setting.text(
    "client_id", variable: "FSMVP_CLIENT_ID",
    "your application's id. Without credentials `fsmvp run` starts only with `web = true`; `fsmvp reload` reads them "
      + "once they are there"
  )
  package let clientSecret = Setting.secret(
    "client_secret", variable: "FSMVP_CLIENT_SECRET", "your application's secret; nothing shows it")
  package let scope = Setting.optionalText(
    "scope", "OAuth scopes to ask for, comma-separated; none asks for the application's own")
  package let linkAuth = Setting.choice(
    "link_auth", default: LinkAuth.bearer, variable: "FSMVP_LINK_AUTH",
    "how download links are asked for. `bearer`: with a token. `hmac`: with a URL signed by `client_secret` (which "
      + "must be base64 then), good for six "
      + "hours by this machine's clock; everything else goes on with a token")

  package init() {}
  package var title: String { "The service" }
}
