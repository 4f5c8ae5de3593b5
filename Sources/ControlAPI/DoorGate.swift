import CHTTPD
import CLinux
import ControlModel
import Glibc

/// Who may come in by a door, and what every answer there says besides itself.
protocol DoorGate: AnyObject, Sendable {
  /// Why the request is not served; nil: it is.
  func refusal(of head: RequestHead, needing access: Access, on connection: OpaquePointer?) -> ControlError?
  /// Headers of every answer.
  var headers: [(name: String, value: String)] { get }
}

/// What a request needs.
enum Access: Sendable {
  /// Nothing: it tells no more than that there is somebody.
  case anyone
  /// To be the person whose control plane it is.
  case person
  /// To come from a process of that person, by the socket that only those can reach.
  case process
}

/// The Unix socket's: the kernel says who is at the other end.
final class PeerGate: DoorGate {
  let headers: [(name: String, value: String)] = []

  func refusal(of head: RequestHead, needing access: Access, on connection: OpaquePointer?) -> ControlError? {
    var uid = uid_t()
    var pid = pid_t()
    guard clinux_peer(chttpd_socket(connection), &uid, &pid) == 0, Self.accepts(peer: uid) else {
      return .isOfAnotherUser
    }
    return nil
  }

  /// This process's user, and root, who may do anything anyway.
  static func accepts(peer uid: uid_t) -> Bool { uid == geteuid() || uid == 0 }
}

extension ControlError {
  static let isOfAnotherUser = ControlError(.forbidden, "this control plane belongs to another user")
}
