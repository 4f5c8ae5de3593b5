import SettingsModel

/// The way to servers: time limits, rates, proxies, certificates. The keys are values: this file declares them and
/// copies them into `HTTPClient.Options`, without state of its own.
package struct TransferSettings: SettingGroup {
  package let idleTimeout = Setting.duration(
    "idle_timeout", .seconds(1) ... .seconds(3600), default: .seconds(30),
    "a connection that brings no byte for so long is made anew; above 30 s also the limit for an answer's first byte, "
      + "and a third of it that for "
      + "connecting")
  /// Bytes a second over all ranges together; 0: no limit.
  package let maxDownloadRate = Setting.bytes(
    "max_download_rate", 0...(1 << 40), default: 0, unit: "a second", variable: "FSMVP_MAX_DOWNLOAD_RATE",
    "the rate of all downloads together; 0: no limit. Bytes that a reader waits for come first")
  /// It may hold user and password; nil: as the environment says.
  package let proxy = Setting.proxy(
    "proxy",
    "`http://`, `https://`, `socks5://` or `socks5h://` with host and port, maybe with `user:password@`, which nothing "
      + "shows; none: as `https_proxy` and "
      + "`all_proxy` in the environment say. This machine itself is never asked for through one")
  /// Comma-separated; nil: as the environment says.
  package let noProxy = Setting.optionalText(
    "no_proxy",
    "hosts, domains and networks that no proxy is used for, comma-separated; none: as `no_proxy` in the environment "
      + "says"
  )
  package let caFile = Setting.optionalPath(
    "ca_file", "certificates in PEM form to trust besides the system's. TLS is always verified")

  package init() {}
  package var title: String { "Connections" }
}

extension HTTPClient.Options {
  /// Takes over what the settings say, except for the certificates, which are read from a file; the proxy of the
  /// environment is the caller's matter, too.
  package mutating func apply(_ settings: SettingValues) {
    // The origin's own pace decides when a request is sent once more (docs/adr/0024); these are the ends of attempts
    // that bring nothing.
    idleTimeout = settings[\TransferSettings.idleTimeout]
    headerTimeout = max(headerTimeout, idleTimeout)
    connectTimeout = max(connectTimeout, idleTimeout / 3)
    maxDownloadRate = settings[\TransferSettings.maxDownloadRate]
    (proxy, noProxy) = (settings[\TransferSettings.proxy], settings[\TransferSettings.noProxy])
  }
}
