import CHTTPD
import CLinux
import ControlModel
import Core
import Glibc

/// The filter of 127.0.0.1, which every process of this machine can reach, and every website that a browser of this
/// machine shows.
///
/// Asked in this order: is it a process of this user, is the address ours (a name that was made to point here is not),
/// does the page that asks lie here, does it bring the token or a session, and is its body JSON, which no form of
/// another page can send.
///
/// The listener of 127.0.0.1 asks it on the dispatch loop; the port and the key do not change.
final class WebFilter: RequestFilter {
  let port: Int
  private let key: SessionKey
  private let clock: any TimeSource
  private let hosts: Set<String>
  private let tellsOwners: Bool

  /// - Parameter tellsOwners: whether the kernel says whose a connection is; without that, token or session alone
  ///   decide.
  init(port: Int, key: SessionKey, tellsOwners: Bool, clock: any TimeSource = SystemClock()) {
    self.port = port
    self.key = key
    self.tellsOwners = tellsOwners
    self.clock = clock
    let names = ["127.0.0.1", "localhost"]
    // A browser leaves the port of http out.
    hosts = Set(names.map { "\($0):\(port)" } + (port == 80 ? names : []))
  }

  /// The page's address for a browser.
  var address: String { "http://127.0.0.1:\(port)" }
  /// Cookies know no ports, so the name has it.
  private var cookie: String { "fsmvp-\(port)" }

  let headers: [(name: String, value: String)] = [
    (
      "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri "
        + "'none'; "
        + "form-action 'none'; frame-ancestors 'none'"
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    // Another page of this machine is of the same site for cookies: it is not to get at ours as a picture, a script or
    // a window.
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
  ]

  func refusal(of head: RequestHead, needing access: Access, on connection: OpaquePointer?) -> ControlError? {
    guard isOfThisUser(connection) else { return .isOfAnotherUser }
    guard head.values("Host").count == 1, head.values("Host").allSatisfy({ hosts.contains($0.lowercased()) }) else {
      return ControlError(.forbidden, "the header Host does not name this listener: its address is \(address)")
    }
    guard head.values("Origin").allSatisfy(isOurs) else {
      return ControlError(.forbidden, "the page that asks is not ours: only \(address) itself may")
    }
    guard access != .anyone else { return nil }
    guard isKnown(head) else {
      return ControlError(
        .unauthorized, "nobody is signed in: `fsmvp ui` opens the page; programs send the token of the file api.token")
    }
    guard access == .person else {
      return ControlError(.forbidden, "only the Unix socket takes this: use `fsmvp ui`")
    }
    guard head.saysJSON != false, head.saysJSON == true || !head.announcesBody else {
      return ControlError(.invalid, "a body has to be JSON and say so: Content-Type: application/json")
    }
    return nil
  }

  /// Checks the peer's user, because browsers send a cookie to every port of a host: another user's server that this
  /// user's browser visited gets the session, but cannot use it.
  private func isOfThisUser(_ connection: OpaquePointer?) -> Bool {
    guard tellsOwners else { return true }
    var uid = uid_t()
    return clinux_loopback_owner(chttpd_socket(connection), &uid) == 0 && PeerFilter.accepts(peer: uid)
  }

  private func isOurs(_ origin: String) -> Bool {
    let origin = origin.lowercased()
    return origin.hasPrefix("http://") && hosts.contains(String(origin.dropFirst("http://".count)))
  }

  private func isKnown(_ head: RequestHead) -> Bool {
    let authorizations = head.values("Authorization")
    guard authorizations.isEmpty else {
      let words = authorizations[0].split(separator: " ")
      return authorizations.count == 1 && words.count == 2 && words[0].lowercased() == "bearer" && key.isToken(words[1])
    }
    let now = clock.wallNanoseconds() / 1_000_000_000
    return head.cookies(cookie).contains { key.isSession($0, port: port, now: now) }
  }

  /// The header `Set-Cookie` for a browser that has just shown a good code.
  func newSession() -> String? {
    let seconds = SessionKey.lifetime
    let value = key.session(port: port, until: clock.wallNanoseconds() / 1_000_000_000 + seconds)
    return value.map { "\(cookie)=\($0); Path=/; Max-Age=\(seconds); HttpOnly; SameSite=Strict" }
  }
}
