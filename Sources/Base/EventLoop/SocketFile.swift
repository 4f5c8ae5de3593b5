import CLinux
import Core
import Glibc

/// A listening Unix socket and its name in the file system. A server holds the value and owns the descriptor; the file
/// system is touched at the server's start and end, and on threads that may wait in between.
package struct SocketFile: Sendable {
  package enum Failure: Error, Equatable {
    /// Another process answers there.
    case inUse
    /// Something that is no socket has the name.
    case notASocket
    case failed(Errno)
  }

  package let path: String
  /// Listening, non-blocking.
  package let descriptor: Int32
  private let device: dev_t
  private let inode: ino_t

  /// Binds and listens. A socket that a dead process left behind is replaced; one that is listened to is not.
  package init(path: String) throws(Failure) {
    var descriptor = clinux_listen(path)
    if descriptor < 0, errno == EADDRINUSE {
      try Self.removeStale(path)
      descriptor = clinux_listen(path)
    }
    guard descriptor >= 0 else { throw errno == EADDRINUSE ? .inUse : .failed(.current) }
    var attributes = stat()
    guard lstat(path, &attributes) == 0 else {
      let error = Errno.current
      Glibc.close(descriptor)
      throw .failed(error)
    }
    self.path = path
    self.descriptor = descriptor
    device = attributes.st_dev
    inode = attributes.st_ino
  }

  /// Whether the name still leads to this socket.
  package var isNamed: Bool {
    var attributes = stat()
    return lstat(path, &attributes) == 0 && attributes.st_dev == device && attributes.st_ino == inode
  }

  /// Removes the name, unless another process has taken it by now.
  package func unlinkName() {
    var attributes = stat()
    guard lstat(path, &attributes) == 0, attributes.st_dev == device, attributes.st_ino == inode else { return }
    unlink(path)
  }

  private static func removeStale(_ path: String) throws(Failure) {
    var attributes = stat()
    guard lstat(path, &attributes) == 0 else { return }
    guard attributes.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket }
    guard isDeserted(path) else { throw .inUse }
    unlink(path)
  }

  /// Whether no process listens. Asked without waiting: a listener whose backlog is full is alive all the same.
  private static func isDeserted(_ path: String) -> Bool {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { Glibc.close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    let connected = withUnsafeBytes(of: &address) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { connect(descriptor, $0.baseAddress, socklen_t(bytes.count)) }
    }
    return connected != 0 && errno == ECONNREFUSED
  }
}
