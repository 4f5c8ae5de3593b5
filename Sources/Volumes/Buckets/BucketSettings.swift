import Core
import SettingsModel

/// The settings of the bucket server: the table `[buckets]`. The keys are values: this file declares them and copies
/// them into `BucketServer.Options`, without state of its own.
package struct BucketSettings: SettingGroup {
  package let listen = Setting.optionalText(
    "buckets.bucket_listen", variable: "FSMVP_BUCKET_LISTEN",
    "another socket of the bucket server: `127.0.0.1:PORT` (0: any port, told by `fsmvp status --json`), or the "
      + "absolute path of a Unix socket; none: the API's Unix socket alone")
  package let token = Setting.secret(
    "buckets.bucket_token", variable: "FSMVP_BUCKET_TOKEN",
    "with `bucket_listen` on 127.0.0.1: every request has to send it (`Authorization: Bearer ...`), and whoever has it "
      + "is served; none: processes of this user and of root alone are served. Nothing shows it")
  package let maxBody = Setting.bytes(
    "buckets.bucket_max_body", 0...1 << 50, default: 0, "the largest upload that is taken; 0: no limit")
  package let versions = Setting.count(
    "buckets.bucket_versions", 0...1_000_000, default: 1000,
    "versions of a bucket that can be read (`at`); older ones are given up, and the bytes that only they have go. 0: "
      + "all are kept")

  package init() {}
  package var title: String { "Buckets" }
}

/// The address that `bucket_listen` names. It is a plain value.
package enum BucketAddress: Sendable, Equatable {
  case loopback(port: UInt16)
  /// Absolute.
  case unix(String)

  /// - Parameter text: "127.0.0.1:5001", "localhost:5001", "/run/buckets.sock" or "unix:/run/buckets.sock".
  /// - Returns: nil for another text.
  package init?(_ text: String) {
    if text.hasPrefix("/") || text.hasPrefix("unix:/") {
      self = .unix(text.hasPrefix("/") ? text : String(text.dropFirst("unix:".count)))
      return
    }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, ["127.0.0.1", "localhost"].contains(parts[0].lowercased()),
      parts[1].allSatisfy({ $0.isASCII && $0.isNumber }), let port = UInt16(parts[1])
    else { return nil }
    self = .loopback(port: port)
  }
}

extension BucketServer.Options {
  /// - Throws: a sentence about a setting that is wrong.
  package init(_ settings: SettingValues) throws(BucketSettingsError) {
    if let text = settings[\BucketSettings.listen] {
      guard let address = BucketAddress(text) else {
        throw BucketSettingsError(
          sentence: "`bucket_listen` has to be 127.0.0.1:PORT or the absolute path of a Unix socket, not “"
            + "\(PrintableText.of(text))”")
      }
      listen = address
    }
    let secret = settings[\BucketSettings.token]
    token = secret.reveal().isEmpty ? nil : secret
    maxBody = settings[\BucketSettings.maxBody]
    keptVersions = settings[\BucketSettings.versions]
  }
}

/// One sentence about a setting of the buckets that is wrong.
package struct BucketSettingsError: Error, Sendable, Equatable {
  package var sentence: String
}
