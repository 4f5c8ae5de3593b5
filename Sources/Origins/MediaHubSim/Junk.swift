import CGnuTLS
import Core
import Glibc

/// Sends bytes that belong to no answer, for the client to find on a connection it took for idle. Gives up where the
/// client reads nothing for a second. It runs on the connection's thread and keeps nothing.
///
/// - Parameter session: the connection's gnutls_session_t, nil without TLS.
func sendJunk(_ junk: [UInt8], over session: UnsafeMutableRawPointer?, or socket: Int32) {
  var rest = junk[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { bytes in
      session.map { gnutls_record_send(gnutls_session_t($0), bytes.baseAddress, bytes.count) }
        ?? send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
    if count > 0 {
      rest.removeFirst(count)
      continue
    }
    guard session == nil ? errno == EAGAIN : count == Int(GNUTLS_E_AGAIN) else { return }
    var watched = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
    if poll(&watched, 1, 1000) <= 0 { return }
  }
}
