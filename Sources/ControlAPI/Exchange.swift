import CHTTPD
import ControlModel
import Core

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
  let door: Door
  private(set) var connection: OpaquePointer?
  private var phase = Phase.begun
  private var body: [UInt8] = []
  private var received = 0
  private var head = RequestHead(method: "", headers: [])
  private var next: (@DispatchLoop () -> Void)?
  /// Of a request for events.
  private var follower: EventClient?

  /// - Parameter target: as it came; nil for bytes that are no UTF-8.
  init(target: String?, connection: OpaquePointer?, door: Door) {
    self.target = target
    self.connection = connection
    self.door = door
  }

  var isSuspended: Bool { if case .suspended = phase { true } else { false } }

  /// One call of libmicrohttpd's handler.
  /// - Returns: false to cut the connection.
  func received(method: String, bytes: UnsafeRawBufferPointer) -> Bool {
    switch phase {
    case .begun:
      let head = RequestHead(method: method, of: connection)
      self.head = head
      phase = .body(routed(head))
      // Told before the body is sent, where its length is told in time; libmicrohttpd then reads no more of this connection.
      guard head.announcedLength > Self.drainLimit else { return true }
      return queue(ControlAnswer(Self.tooLarge))
    case .body(let route):
      if !bytes.isEmpty {
        received += bytes.count
        if received <= Self.bodyLimit { body.append(contentsOf: bytes) } else { body = [] }
        return received <= Self.drainLimit
      }
      guard received <= Self.bodyLimit else { return queue(ControlAnswer(Self.tooLarge)) }
      switch route {
      case .failure(let error): return queue(door.server.answer(error, target: target ?? ""))
      case .success(.events(let lastID)): return follow(after: lastID ?? head.value("Last-Event-ID"))
      case .success(let route):
        if let answer = door.server.answerAtOnce(route, head: head, at: door) { return queue(answer) }
        phase = .suspended
        door.turned(.served, connection)
        MHD_suspend_connection(connection)
        door.server.perform(route, body: body, for: self)
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
  private func follow(after lastID: String?) -> Bool {
    let client = EventClient(connection: connection, hub: door.server.hub, door: door)
    guard let response = client.makeResponse() else { return false }
    defer { MHD_destroy_response(response) }
    phase = .queued
    door.turned(.served, connection)
    for (name, value) in door.gate.headers { MHD_add_response_header(response, name, value) }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream")
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store")
    guard MHD_queue_response(connection, UInt32(MHD_HTTP_OK), response) == .YES else { return false }
    door.server.hub.add(client, after: lastID)
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

  private func routed(_ head: RequestHead) -> Result<Route, ControlError> {
    guard let target else { return .failure(ControlError(.invalid, "the request's target is not UTF-8 text")) }
    // libmicrohttpd leaves out the body of an answer to HEAD.
    let method = head.method == "HEAD" ? "GET" : head.method
    let route = Result { () throws(ControlError) in try Route.match(method: method, target: target) }
    let access = door.server.access(to: try? route.get())
    if let refusal = door.gate.refusal(of: head, needing: access, on: connection) { return .failure(refusal) }
    return door.server.isStopping && access != .anyone ? .failure(.isStopping) : route
  }

  private func queue(_ answer: ControlAnswer) -> Bool {
    phase = .queued
    door.turned(.answering, connection)
    let response = answer.body.withUnsafeBytes {
      MHD_create_response_from_buffer($0.count, UnsafeMutableRawPointer(mutating: $0.baseAddress), .RESPMEM_MUST_COPY)
    }
    guard let response else { return false }
    defer { MHD_destroy_response(response) }
    for (name, value) in door.gate.headers { MHD_add_response_header(response, name, value) }
    for (name, value) in answer.headers { MHD_add_response_header(response, name, value) }
    return MHD_queue_response(connection, UInt32(answer.status), response) == .YES
  }

  private static let tooLarge = ControlError(.tooLarge, "the request's body is larger than \(bodyLimit >> 10) KiB")
}
