import CLinux
import Core
import Glibc

/// A file of one line that only the user of this process can read: the port and the token of the page's listener, which
/// `WebEndpoint` keeps in the runtime folder. The value holds the path and nothing else; the state is the file.
///
/// Every call waits for the disk: worker threads only.
struct SmallFile {
  let path: String
  /// More is none of ours.
  private static let limit = 256

  /// Its line; nil where it cannot be read or is no such file.
  /// - Parameter isPrivate: nil, too, if users other than the owner could read or change it.
  func read(isPrivate: Bool = false) -> String? {
    let descriptor = clinux_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(),
      !isPrivate || status.st_mode & 0o077 == 0
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: Self.limit)
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    guard count > 0, bytes[count - 1] == UInt8(ascii: "\n") else { return nil }
    return String(validating: bytes[..<(count - 1)], as: UTF8.self)
  }

  /// All of it, or as it was.
  /// - Returns: why it could not be written.
  func write(_ line: String) -> Errno? {
    let fresh = path + ".new"
    unlink(fresh)
    let descriptor = clinux_open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return .current }
    let bytes = Array("\(line)\n".utf8)
    let isWritten = Glibc.write(descriptor, bytes, bytes.count) == bytes.count
    let error = isWritten && rename(fresh, path) == 0 ? nil : Errno.current
    close(descriptor)
    if error != nil { unlink(fresh) }
    return error
  }
}
