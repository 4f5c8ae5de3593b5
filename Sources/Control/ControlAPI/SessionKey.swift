import CCrypto
import Core

/// The token of an instance: a request that carries it is served, and a value signed with it is a session. No session
/// is stored, so that a restarted control plane knows them all; a new token ends them all. It is a value that does not
/// change; `WebFilter` owns it.
struct SessionKey: Sendable {
  /// A session's life, in seconds: 30 days.
  static let lifetime: Int64 = 30 * 86_400

  private let token: Redacted<String>

  init(token: Redacted<String>) { self.token = token }

  func isToken(_ text: some StringProtocol) -> Bool { Self.equal(Array(text.utf8), Array(token.reveal().utf8)) }

  /// A cookie's value: `EXPIRY.SIGNATURE`, good at this port only, since browsers also send it to the next server at
  /// the port.
  /// - Parameter seconds: since 1970.
  /// - Returns: nil where libcrypto cannot sign.
  func session(port: Int, until seconds: Int64) -> String? {
    sign("fsmvp session\nport \(port)\nuntil \(seconds)").map { "\(seconds).\(Secret.hex($0))" }
  }

  func isSession(_ text: String, port: Int, now: Int64) -> Bool {
    guard let end = text.firstIndex(of: "."), let seconds = Int64(text[..<end]), seconds > now,
      let expected = session(port: port, until: seconds)
    else { return false }
    return Self.equal(Array(text.utf8), Array(expected.utf8))
  }

  private func sign(_ text: String) -> [UInt8]? {
    let (key, bytes) = (Array(token.reveal().utf8), Array(text.utf8))
    var digest = [UInt8](repeating: 0, count: CCRYPTO_SHA256_SIZE)
    return ccrypto_hmac_sha256(key, Int32(key.count), bytes, bytes.count, &digest) ? digest : nil
  }

  /// In a time that tells nothing but the length.
  static func equal(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    one.count == other.count && ccrypto_equal(one, other, one.count)
  }
}
