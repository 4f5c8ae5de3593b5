import CGnuTLS

/// HMAC-SHA256 as the service's signed URLs use it, by the library that libmicrohttpd brings along. It has no state;
/// the key is `Hub`'s and does not change.
enum Signature {
  /// - Parameter secret: the client's, base64; nil for what is none.
  static func key(fromBase64 secret: String) -> [UInt8]? {
    // The library skips what it does not know.
    let isPlain = secret.utf8.allSatisfy {
      URLText.isUnreserved($0) && !"-._~".utf8.contains($0) || "+/=".utf8.contains($0)
    }
    guard !secret.isEmpty, secret.utf8.count % 4 == 0, isPlain else { return nil }
    var bytes = Array(secret.utf8)
    return bytes.withUnsafeMutableBufferPointer { buffer in
      var encoded = gnutls_datum_t(data: buffer.baseAddress, size: UInt32(buffer.count))
      var decoded = gnutls_datum_t()
      guard gnutls_base64_decode2(&encoded, &decoded) == 0 else { return nil }
      defer { cgnutls_free(decoded.data) }
      return Array(UnsafeBufferPointer(start: decoded.data, count: Int(decoded.size)))
    }
  }

  /// In lower-case hex digits.
  static func hex(of text: some Collection<UInt8>, key: [UInt8]) -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    let text = Array(text)
    let status = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, key.count, text, text.count, &digest)
    precondition(status == 0, "HMAC-SHA256 failed: \(status)")
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}

extension Hub {
  /// Whether a request brings `client_id`, `expiry_time` and `signature` in place of a bearer.
  func isSigned(_ exchange: Exchange) -> Bool { exchange.query("signature") != nil }

  /// Why a signed request is refused; nil where it is good. The signature is over the bytes of the target that came
  /// before it, and comes last: what follows would not be vouched for.
  func flaw(ofSigned exchange: Exchange) -> String? {
    guard let key = signingKey else { return "This simulator's client secret is no base64, which signatures need." }
    let mark = Array("&signature=".utf8)
    guard let place = exchange.target.firstRange(of: mark) else { return "The signature must come last." }
    guard exchange.query("client_id") == options.clientID else { return "Unknown client_id." }
    guard let end = exchange.query("expiry_time").flatMap(Double.init) else { return "expiry_time is missing." }
    guard wallSeconds() < end else { return "The signed URL has expired." }
    let given = String(decoding: exchange.target[place.upperBound...], as: UTF8.self)
    return given == Signature.hex(of: exchange.target[..<place.lowerBound], key: key)
      ? nil : "The signature does not match."
  }
}
