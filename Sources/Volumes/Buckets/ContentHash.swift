import CCrypto

/// The SHA-256 of a file's bytes as 64 hex digits in lower case: the name of its blob, and its ETag. It is a plain
/// value.
struct BlobID: Hashable, Sendable {
  let hex: String

  init(hex: String) { self.hex = hex }

  fileprivate init(digest: [UInt8]) {
    let digits = Array("0123456789abcdef".utf8)
    hex = String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  static func isHash(_ text: String) -> Bool {
    text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }
}

/// SHA-256 of bytes that come in pieces. Its maker owns it and uses it on one thread.
struct ContentHash: ~Copyable {
  private let context: OpaquePointer?

  init() {
    context = EVP_MD_CTX_new()
    EVP_DigestInit_ex(context, EVP_sha256(), nil)
  }

  deinit { EVP_MD_CTX_free(context) }

  func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

  consuming func finish() -> BlobID {
    var digest = [UInt8](repeating: 0, count: Int(CCRYPTO_SHA256_SIZE))
    EVP_DigestFinal_ex(context, &digest, nil)
    return BlobID(digest: digest)
  }

  static func of(_ text: String) -> BlobID {
    let hash = ContentHash()
    var text = text
    text.withUTF8 { hash.update(UnsafeRawBufferPointer($0)) }
    return hash.finish()
  }
}
