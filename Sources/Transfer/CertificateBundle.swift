import CCrypto
import CCurl
import Core
import Glibc

/// Certificates that servers are believed by: the system's and those of one more file. libcurl takes one bundle, so they are put together.
package struct CertificateBundle: Sendable {
  /// A sentence about the file.
  package struct Failure: Error, Equatable {
    package let sentence: String
  }

  /// Longer than any bundle there is.
  private static let longest = 16 << 20

  /// PEM, the file's certificates last.
  let pem: [UInt8]

  /// Reads the file, at the start of the program.
  /// - Parameter systemFile: the system's bundle; the one that libcurl would use.
  package init(adding path: String, to systemFile: String? = CertificateBundle.systemFile) throws(Failure) {
    let extra: [UInt8]
    do throws(Errno) { extra = try Self.read(path) } catch {
      throw Failure(sentence: "the file \(path) of the setting ca_file cannot be read: \(String(cString: strerror(error.code)))")
    }
    guard ccrypto_count_certificates(extra, Int32(clamping: extra.count)) > 0 else {
      throw Failure(sentence: "the file \(path) of the setting ca_file holds no certificate in PEM form")
    }
    // Without it there may still be the system's folder of certificates, which libcurl looks into by itself.
    let system = systemFile.flatMap { path in try? Self.read(path) } ?? []
    pem = system + Array("\n".utf8) + extra
  }

  /// The bundle libcurl was built to use; nil where it was built without.
  package static var systemFile: String? { ccurl_certificate_file().map { String(cString: $0) } }

  private static func read(_ path: String) throws(Errno) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .current }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .current }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
      guard bytes.count <= longest else { throw Errno(EFBIG) }
    }
  }
}
