/// A setting as `GET /config` and `fsmvp config --json` show it. This file has the API's values about settings, log and
/// login; all are plain values.
package struct SettingEntry: Sendable, Equatable, Codable {
  package var key: String
  /// The value as the file would have it; `‹redacted›` for a secret, "" for nothing.
  package var value: String
  /// "default", "FILE:LINE", "environment NAME" or "flag NAME".
  package var source: String

  package init(key: String, value: String, source: String) {
    self.key = key
    self.value = value
    self.source = source
  }
}

/// The answer to `GET /log`, and the body of `PUT /log`.
package struct LogLevel: Sendable, Equatable, Codable {
  /// "debug", "info", "warning" or "error": lines below it are not written.
  package var level: String

  package init(level: String) { self.level = level }
}

/// The answer to `POST /login`.
package struct LoginReply: Sendable, Equatable, Codable {
  /// A link that gives a session to the first browser that opens it.
  package var url: String
  /// Until it is good no more.
  package var expiresSeconds: Int

  package init(url: String, expiresSeconds: Int) {
    self.url = url
    self.expiresSeconds = expiresSeconds
  }
}
