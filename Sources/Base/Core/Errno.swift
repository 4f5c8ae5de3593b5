import Glibc

/// An errno value as an error: what the kernel needs of a failure. The sentence for people goes to the log and to
/// `FailureNote`, not through here. It is a plain value.
package struct Errno: Error, Hashable, Sendable, CustomStringConvertible {
  package var code: Int32
  package init(_ code: Int32) { self.code = code }

  /// The calling thread's errno; take it at once after the failing call.
  package static var current: Errno { Errno(errno) }

  package static let badHandle = Errno(EBADF)
  package static let connectionAborted = Errno(ECONNABORTED)
  package static let invalid = Errno(EINVAL)
  package static let io = Errno(EIO)
  package static let isDirectory = Errno(EISDIR)
  package static let noEntry = Errno(ENOENT)
  package static let noMemory = Errno(ENOMEM)
  package static let noSpace = Errno(ENOSPC)
  package static let notSupported = Errno(EOPNOTSUPP)
  package static let notDirectory = Errno(ENOTDIR)
  package static let stale = Errno(ESTALE)
  package static let tooManyFiles = Errno(ENFILE)

  package var description: String { "\(String(cString: strerror(code))) (\(code))" }
}
