import CHTTPD
import ControlModel
import Core

/// One request on its way: from its first line until libmicrohttpd has sent the answer or lost the client.
///
/// libmicrohttpd calls the handler with the header alone, then with pieces of the body, then once more with nothing;
/// after a suspension it calls again. `received` is that call. The connection is libmicrohttpd's: it stays valid while
/// suspended, and until `completed`. Its `Listener` keeps it until then; everything happens on the dispatch loop.
@DispatchLoop
final class Exchange {
  /// A larger body is answered with 413.
  static let bodyLimit = 64 << 10
  /// A body too large is read and dropped so far, so that the client gets to hear why; beyond, the connection is cut.
  static let drainLimit = 1 << 20

  private enum Phase {
    /// The header has not been seen.
    case begun
    case body(Result<RouteTable.Match, ControlError>)
    /// The route's handler runs; the connection is suspended.
    case suspended
    case answered(ControlAnswer)
    case queued
    /// The client or the daemon has gone.
    case over
  }

  private let target: String?
  let listener: Listener
  private(set) var connection: OpaquePointer?
  private var phase = Phase.begun
  private var body: [UInt8] = []
  private var received = 0
  private var head = RequestHead(method: "", headers: [])
  private var next: (@DispatchLoop () -> Void)?
  /// The pump of an answer that is made while it is sent.
  private var pump: BodyPump?

  /// - Parameter target: as it came; nil for bytes that are no UTF-8.
  init(target: String?, connection: OpaquePointer?, listener: Listener) {
    self.target = target
    self.connection = connection
    self.listener = listener
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
      // Told before the body is sent, where its length is told in time; libmicrohttpd then reads no more of this
      // connection.
      guard head.announcedLength > Self.drainLimit else { return true }
      return queue(ControlAnswer(Self.tooLarge))
    case .body(let match):
      if !bytes.isEmpty {
        received += bytes.count
        if received <= Self.bodyLimit { body.append(contentsOf: bytes) } else { body = [] }
        return received <= Self.drainLimit
      }
      guard received <= Self.bodyLimit else { return queue(ControlAnswer(Self.tooLarge)) }
      switch match {
      case .failure(let error): return queue(listener.server.answer(error, target: target ?? ""))
      case .success(.own(.events(let lastID))): return follow(after: lastID ?? head.value("Last-Event-ID"))
      case .success(let match):
        if let answer = listener.server.answerAtOnce(match, head: head, at: listener) { return queue(answer) }
        phase = .suspended
        listener.turned(.served, connection)
        MHD_suspend_connection(connection)
        listener.server.perform(match, body: body, for: self)
        return true
      }
    case .answered(let answer): return queue(answer)
    case .suspended, .queued, .over: return false
    }
  }

  /// The route's answer; the connection goes on with the daemon's next turn. Without effect once the exchange is over.
  func deliver(_ answer: ControlAnswer) {
    guard isSuspended else { return }
    phase = .answered(answer)
    MHD_resume_connection(connection)
  }

  /// Runs `work` once the answer has gone out or the client has; at once if the exchange is over already.
  func afterwards(_ work: @escaping @DispatchLoop () -> Void) {
    if case .over = phase { work() } else { next = work }
  }

  /// Answers with the events, which end only with the connection or the control plane.
  private func follow(after lastID: String?) -> Bool {
    guard listener.mayFollow else { return queue(ControlAnswer(.hasTooManyFollowers)) }
    let client = EventClient(hub: listener.server.hub)
    guard queue(ControlAnswer(status: 200, stream: client, type: "text/event-stream")) else { return false }
    client.pump = pump
    listener.server.hub.add(client, after: lastID)
    return true
  }

  /// Whether the answer is a stream of events, which lasts for as long as its client likes.
  var isStream: Bool { pump.map { $0.source is EventClient } ?? false }

  /// The daemon is about to end: it cannot while a connection is suspended.
  func cut() { pump?.cut() }

  /// libmicrohttpd is done with the request, whatever became of it.
  func completed() {
    phase = .over
    pump?.end()
    pump = nil
    connection = nil
    body = []
    next?()
    next = nil
  }

  private func routed(_ head: RequestHead) -> Result<RouteTable.Match, ControlError> {
    guard let target else { return .failure(ControlError(.invalid, "the request's target is not UTF-8 text")) }
    // libmicrohttpd leaves out the body of an answer to HEAD.
    let method = head.method == "HEAD" ? "GET" : head.method
    let routes = listener.server.routes
    let match = Result { () throws(ControlError) in try routes.match(method: method, target: target) }
    let access = listener.server.access(to: try? match.get())
    if let refusal = listener.filter.refusal(of: head, needing: access, on: connection) { return .failure(refusal) }
    if let refusal = listener.server.refusalOfAdopted(target, at: listener) { return .failure(refusal) }
    return listener.server.isStopping && access != .anyone ? .failure(.isStopping) : match
  }

  private func queue(_ answer: ControlAnswer) -> Bool {
    phase = .queued
    listener.turned(answer.stream == nil ? .answering : .served, connection)
    guard let response = makeResponse(answer) else { return false }
    defer { MHD_destroy_response(response) }
    for (name, value) in listener.filter.headers { MHD_add_response_header(response, name, value) }
    for (name, value) in answer.headers { MHD_add_response_header(response, name, value) }
    return MHD_queue_response(connection, UInt32(answer.status), response) == .YES
  }

  private func makeResponse(_ answer: ControlAnswer) -> OpaquePointer? {
    if let stream = answer.stream {
      let pump = BodyPump(stream, connection: connection, listener: listener)
      self.pump = pump
      if let waking = stream as? any WakingBody { waking.ready = { [weak pump] in pump?.wake() } }
      return pump.makeResponse()
    }
    guard answer.body.count <= Self.copied else {
      let pump = BodyPump(BytesBody(answer.body), connection: connection, listener: listener)
      self.pump = pump
      return pump.makeResponse(size: answer.body.count)
    }
    return answer.body.withUnsafeBytes {
      MHD_create_response_from_buffer($0.count, UnsafeMutableRawPointer(mutating: $0.baseAddress), .RESPMEM_MUST_COPY)
    }
  }

  /// A longer body is copied in portions, as the connection takes it.
  private static let copied = 64 << 10
  private static let tooLarge = ControlError(.tooLarge, "the request's body is larger than \(bodyLimit >> 10) KiB")
}
