import CCrypto
import CHTTPD
import CLinux
import Core
import Glibc

/// The right to use the bucket API, by the way a connection came. It is a value that does not change, which
/// connections' threads use.
struct BucketAccess: Sendable {
  /// The way a connection came.
  enum Way: UInt, Sendable {
    /// By a Unix socket of the bucket server.
    case socket = 1
    /// By the API's Unix socket, which handed it over.
    case handed
    /// By the TCP listener on the loopback device.
    case loopback
  }

  /// Nil: on TCP, the processes of this user and of root alone are served.
  var token: Redacted<String>?
  /// The names of the TCP listener in the header Host, in lower case.
  var hosts: [String] = []
  /// Whether the kernel tells whose a TCP connection is.
  var tellsOwners = true

  /// Why the request is not served; nil: it is.
  func refusal(_ request: BucketRequest, by way: Way, on connection: OpaquePointer?) -> BucketError? {
    guard way == .loopback else {
      var uid = uid_t()
      var pid = pid_t()
      let isKnown = clinux_peer(chttpd_socket(connection), &uid, &pid) == 0 && Self.accepts(uid)
      return isKnown ? nil : Self.isOfAnotherUser
    }
    // A page of the web may make a browser send requests here, by a name of its own that leads to this machine.
    let names = request.values("host")
    guard names.count == 1, hosts.contains(names[0].lowercased()) else {
      return BucketError(403, "Forbidden: the header Host does not name this listener")
    }
    guard request.values("origin").allSatisfy({ hosts.map { "http://" + $0 }.contains($0.lowercased()) }) else {
      return BucketError(403, "Forbidden: a page of another origin may not use the buckets")
    }
    if request.path.first == "_status" { return nil }
    if let token {
      return holds(token, request)
        ? nil : BucketError(401, "Unauthorized: send the token of `bucket_token` as `Authorization: Bearer TOKEN`")
    }
    guard tellsOwners else { return nil }
    var uid = uid_t()
    return clinux_loopback_owner(chttpd_socket(connection), &uid) == 0 && Self.accepts(uid)
      ? nil : Self.isOfAnotherUser
  }

  private static let isOfAnotherUser = BucketError(403, "Forbidden: these buckets belong to another user")

  /// Accepts this process's user, and root, which may do anything anyway.
  private static func accepts(_ uid: uid_t) -> Bool { uid == geteuid() || uid == 0 }

  private func holds(_ token: Redacted<String>, _ request: BucketRequest) -> Bool {
    let words = request.values("authorization").first?.split(separator: " ") ?? []
    guard request.values("authorization").count == 1, words.count == 2, words[0].lowercased() == "bearer" else {
      return false
    }
    let given = Array(words[1].utf8)
    let right = Array(token.reveal().utf8)
    return given.count == right.count && ccrypto_equal(given, right, right.count)
  }
}
