import CCrypto
import Core
import FoundationEssentials

/// Requests signed with the client's secret, which need no token: HMAC-SHA-256 over path and query, as MediaHub's
/// manual has it. It is a value that does not change: it is made with the configuration, and `MediaHubClient` holds it.
package struct LinkSigner: Sendable {
  /// How long a signed request, and the link it is answered with, are good, in seconds: long enough to upload one file.
  static let validity: Int64 = 6 * 3600

  private let clientID: String
  private let key: Redacted<[UInt8]>

  /// Nil where the secret is not base64, which the key is the decoded form of.
  package init?(clientID: String, clientSecret: Redacted<String>) {
    let text = clientSecret.reveal()
    // Foundation reads more than there is: "====", too.
    guard let key = Data(base64Encoded: text), !key.isEmpty, key.base64EncodedString() == text else { return nil }
    self.clientID = clientID
    self.key = Redacted(Array(key))
  }

  /// - Parameters:
  ///   - target: path and query, encoded, from the host's root on.
  ///   - wallSeconds: seconds since 1970.
  /// - Returns: the same with all that the service wants to see, the signature last: what goes out as it is.
  func signed(_ target: String, wallSeconds: Int64) -> String {
    let claims: KeyValuePairs = [
      "multi_use": "true", "client_id": clientID, "expiry_time": "\(wallSeconds + Self.validity)",
    ]
    let text = target + "&" + PercentEncoding.query(claims)
    return text + "&signature=" + signature(of: text)
  }

  /// In lowercase hex.
  func signature(of text: String) -> String {
    let (key, bytes) = (key.reveal(), Array(text.utf8))
    var digest = [UInt8](repeating: 0, count: CCRYPTO_SHA256_SIZE)
    guard ccrypto_hmac_sha256(key, Int32(key.count), bytes, bytes.count, &digest) else {
      preconditionFailure("libcrypto has no SHA-256")
    }
    return digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
