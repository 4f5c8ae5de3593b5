import CHTTPD
import CLinux
import ControlModel
import Core
import Glibc

/// One request on its way: from its first line until libmicrohttpd has sent the answer or lost the client.
///
/// libmicrohttpd calls the handler with the header alone, then with pieces of the body, then once more with nothing; after a suspension
/// it calls again. `received` is that call. The connection is libmicrohttpd's: it stays valid while suspended, and until `completed`.
@DispatchLoop
final class Exchange {
  /// A larger body is answered with 413.
  static let bodyLimit = 64 << 10
  /// A body too large is read and dropped so far, so that the client gets to hear why; beyond, the connection is cut.
  static let drainLimit = 1 << 20

  private enum Phase {
    /// The header has not been seen.
    case begun
    case body(Result<Route, ControlError>)
    /// The operation runs; the connection is suspended.
    case suspended
    case answered(ControlAnswer)
    case queued
    /// The client or the daemon has gone.
    case over
  }

  private let target: String?
  private var connection: OpaquePointer?
  private var phase = Phase.begun
  private var body: [UInt8] = []
  private var received = 0
  private var next: (@DispatchLoop () -> Void)?
  /// Of a request for events.
  private var follower: EventClient?

  /// - Parameter target: as it came; nil for bytes that are no UTF-8.
  init(target: String?, connection: OpaquePointer?) {
    self.target = target
    self.connection = connection
  }

  var isSuspended: Bool { if case .suspended = phase { true } else { false } }

  /// One call of libmicrohttpd's handler.
  /// - Returns: false to cut the connection.
  func received(method: String, bytes: UnsafeRawBufferPointer, for server: ControlServer) -> Bool {
    switch phase {
    case .begun:
      let route = routed(method: method, isStopping: server.isStopping)
      phase = .body(route)
      // Told before the body is sent, where its length is told in time; libmicrohttpd then reads no more of this connection.
      guard announcedLength > Self.drainLimit else { return true }
      return queue(ControlAnswer(Self.tooLarge))
    case .body(let route):
      if !bytes.isEmpty {
        received += bytes.count
        if received <= Self.bodyLimit { body.append(contentsOf: bytes) } else { body = [] }
        return received <= Self.drainLimit
      }
      guard received <= Self.bodyLimit else { return queue(ControlAnswer(Self.tooLarge)) }
      switch route {
      case .failure(let error):
        var answer = ControlAnswer(error)
        if error.code == .methodNotAllowed { answer.allow = Route.methods(target: target ?? "") }
        return queue(answer)
      case .success(.events(let lastID)): return follow(after: lastID ?? header("Last-Event-ID"), server: server)
      case .success(let route):
        phase = .suspended
        MHD_suspend_connection(connection)
        server.perform(route, body: body, for: self)
        return true
      }
    case .answered(let answer): return queue(answer)
    case .suspended, .queued, .over: return false
    }
  }

  /// The operation's answer; the connection goes on with the daemon's next turn. Without effect once the exchange is over.
  func deliver(_ answer: ControlAnswer) {
    guard isSuspended else { return }
    phase = .answered(answer)
    MHD_resume_connection(connection)
  }

  /// What follows once the answer has gone out or the client has; at once where it is over already.
  func afterwards(_ work: @escaping @DispatchLoop () -> Void) {
    if case .over = phase { work() } else { next = work }
  }

  /// Answers with the events, which end only with the connection or the control plane.
  private func follow(after lastID: String?, server: ControlServer) -> Bool {
    let client = EventClient(connection: connection, hub: server.hub, server: server)
    guard let response = client.makeResponse() else { return false }
    defer { MHD_destroy_response(response) }
    phase = .queued
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream")
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store")
    guard MHD_queue_response(connection, UInt32(MHD_HTTP_OK), response) == .YES else { return false }
    server.hub.add(client, after: lastID)
    follower = client
    return true
  }

  /// libmicrohttpd is done with the request, whatever became of it.
  func completed() {
    phase = .over
    follower?.end()
    follower = nil
    connection = nil
    body = []
    next?()
    next = nil
  }

  private func routed(method: String, isStopping: Bool) -> Result<Route, ControlError> {
    var uid = uid_t()
    var pid = pid_t()
    guard clinux_peer(chttpd_socket(connection), &uid, &pid) == 0, ControlServer.accepts(peer: uid) else {
      return .failure(ControlError(.forbidden, "this control plane belongs to another user"))
    }
    guard let target else { return .failure(ControlError(.invalid, "the request's target is not UTF-8 text")) }
    if isStopping { return .failure(.isStopping) }
    // libmicrohttpd leaves out the body of an answer to HEAD.
    return Result { () throws(ControlError) in try Route.match(method: method == "HEAD" ? "GET" : method, target: target) }
  }

  private var announcedLength: Int {
    // libmicrohttpd refuses what is no number; a number too large for us is too large.
    header(MHD_HTTP_HEADER_CONTENT_LENGTH).map { Int($0) ?? .max } ?? 0
  }

  private func header(_ name: String) -> String? {
    MHD_lookup_connection_value(connection, .HEADER_KIND, name).map { String(cString: $0) }
  }

  private func queue(_ answer: ControlAnswer) -> Bool {
    phase = .queued
    let response = answer.body.withUnsafeBytes {
      MHD_create_response_from_buffer($0.count, UnsafeMutableRawPointer(mutating: $0.baseAddress), .RESPMEM_MUST_COPY)
    }
    guard let response else { return false }
    defer { MHD_destroy_response(response) }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json")
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store")
    if !answer.allow.isEmpty { MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer.allow.joined(separator: ", ")) }
    return MHD_queue_response(connection, UInt32(answer.status), response) == .YES
  }

  private static let tooLarge = ControlError(.tooLarge, "the request's body is larger than \(bodyLimit >> 10) KiB")
}
