import CHTTPD
import CLinux
import ControlModel
import Glibc

/// Decides whether a request is served, and adds headers to every answer of its listener. Its `Listener` asks it on the
/// dispatch loop, before a body is read; a filter keeps no state of requests.
protocol RequestFilter: AnyObject, Sendable {
  /// Why the request is not served; nil: it is.
  func refusal(of head: RequestHead, needing access: Access, on connection: OpaquePointer?) -> ControlError?
  /// Headers of every answer.
  var headers: [(name: String, value: String)] { get }
}

/// The right that a request needs.
enum Access: Sendable {
  /// Nothing: the answer tells no more than that the control plane runs.
  case anyone
  /// To be the person whose control plane it is.
  case person
  /// To come from a process of that person, by the socket that only those can reach.
  case process
}

/// The filter of the Unix socket: the kernel tells the user of the process at the other end.
final class PeerFilter: RequestFilter {
  let headers: [(name: String, value: String)] = []

  func refusal(of head: RequestHead, needing access: Access, on connection: OpaquePointer?) -> ControlError? {
    var uid = uid_t()
    var pid = pid_t()
    guard clinux_peer(chttpd_socket(connection), &uid, &pid) == 0, Self.accepts(peer: uid) else {
      return .isOfAnotherUser
    }
    return nil
  }

  /// Accepts this process's user, and root, which may do anything anyway.
  static func accepts(peer uid: uid_t) -> Bool { uid == geteuid() || uid == 0 }
}

extension ControlError {
  static let isOfAnotherUser = ControlError(.forbidden, "this control plane belongs to another user")
}
