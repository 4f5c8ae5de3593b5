import CCrypto
import CCurl
import Core
import Glibc

/// The certificates that servers and proxies are verified by: the system's and those of one more file. They are read
/// and parsed once, and all connections share the parsed store; libcurl alone would read Debian's bundle anew for each
/// connection, some 17 ms of the transfer loop.
///
/// A bundle that changes on disk counts from the next reload on. The system's folder of certificates is still looked
/// into, for one certificate at a time, if a chain ends at one that the bundle lacks. Its state, a store of libcrypto,
/// does not change after `init`, which reads files; the transfer loop uses it.
package final class CertificateBundle: Sendable {
  /// A sentence about the file.
  package struct Failure: Error, Equatable {
    package let sentence: String
  }

  /// Longer than any bundle there is.
  private static let longest = 16 << 20

  /// OpenSSL's store, which locks itself; owned.
  private nonisolated(unsafe) let store: OpaquePointer
  /// Certificates from files; a folder's are not counted.
  let count: Int

  /// The system's alone, read when they are first asked for.
  package static let system = CertificateBundle(systemFile: systemFile, folder: systemFolder)

  /// Reads the files, at the start of the program.
  /// - Parameters:
  ///   - path: the setting `ca_file`.
  ///   - systemFile: the system's bundle; the one that libcurl would use.
  package convenience init(adding path: String, to systemFile: String? = systemFile, folder: String? = systemFolder)
    throws(Failure)
  {
    let extra: [UInt8]
    do throws(Errno) { extra = try Self.read(path) } catch {
      throw Failure(
        sentence: "the file \(path) of the setting ca_file cannot be read: \(String(cString: strerror(error.code)))")
    }
    // By itself first: the two together would be fine if the file were empty.
    guard let alone = ccrypto_store_new(nil) else { preconditionFailure("no memory for certificates") }
    defer { ccrypto_store_free(alone) }
    guard ccrypto_store_add(alone, extra, Int32(clamping: extra.count)) > 0 else {
      throw Failure(sentence: "the file \(path) of the setting ca_file holds no certificate in PEM form")
    }
    self.init(systemFile: systemFile, folder: folder, extra: extra)
  }

  package init(systemFile: String?, folder: String?, extra: [UInt8] = []) {
    guard let store = ccrypto_store_new(folder) else { preconditionFailure("no memory for certificates") }
    self.store = store
    // A system without a bundle may have a folder, or the file of the setting is all there is.
    let system = systemFile.flatMap { path in try? Self.read(path) } ?? []
    var count = 0
    for pem in [system, extra] where !pem.isEmpty {
      count += max(0, Int(ccrypto_store_add(store, pem, Int32(clamping: pem.count))))
    }
    self.count = count
  }

  deinit { ccrypto_store_free(store) }

  /// Has the connections of `context`, OpenSSL's SSL_CTX, verify by these.
  func use(in context: UnsafeMutableRawPointer) { ccrypto_store_use(store, context) }

  /// The bundle and the folder that libcurl was built to use; nil if it was built without.
  package static var systemFile: String? { ccurl_certificate_file().map { String(cString: $0) } }
  package static var systemFolder: String? { ccurl_certificate_folder().map { String(cString: $0) } }

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
