import Core
import Glibc

/// The certificate and key that a port shows to TLS clients; they may be wrong on purpose. PEM texts. It is a value:
/// its files are read once, when it is made.
package struct Certificate: Sendable {
  private let certificate: String
  private let key: String

  /// Reads both files.
  package init(file: String, keyFile: String) throws(SimulatorError) {
    certificate = try Self.text(file)
    key = try Self.text(keyFile)
  }

  /// C strings of the two, both nil for none.
  static func withPEM<T>(_ pair: Certificate?, _ body: (UnsafePointer<CChar>?, UnsafePointer<CChar>?) -> T) -> T {
    guard let pair else { return body(nil, nil) }
    return pair.certificate.withCString { certificate in pair.key.withCString { body(certificate, $0) } }
  }

  /// A chain of certificates is some kilobytes.
  private static func text(_ path: String) throws(SimulatorError) -> String {
    guard let file = fopen(path, "re") else { throw SimulatorError("'\(path)' cannot be read: \(Errno.current)") }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 18)
    let count = fread(&bytes, 1, bytes.count, file)
    let text = String(decoding: bytes[0..<count], as: UTF8.self)
    guard text.contains("-----BEGIN ") else { throw SimulatorError("'\(path)' is no PEM file") }
    return text
  }
}
