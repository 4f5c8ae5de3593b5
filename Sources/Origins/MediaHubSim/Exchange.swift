import CHTTPD
import Core
import Glibc

/// The answer to a request.
struct Reply {
  enum Body {
    case bytes([UInt8])
    case stream(BodyStream)
    /// Without a Content-Length: in chunks, or to the end of the connection.
    case endless(BodyStream, isChunked: Bool)
    /// No answer at all: the connection ends, with a TCP reset where `reset` says so.
    case none(reset: Bool)

    /// It is not sent.
    func drop() {
      switch self {
      case .stream(let stream), .endless(let stream, _): stream.finish()
      case .bytes, .none: break
      }
    }
  }

  var status: UInt32
  var headers: [(String, String)] = []
  var body: Body
  /// Follows on the connection when the answer is complete, where no byte should be.
  var junk: [UInt8] = []

  static func json(_ status: UInt32, _ json: JSON) -> Reply {
    Reply(status: status, headers: [("Content-Type", "application/json")], body: .bytes(Array(json.text.utf8)))
  }

  /// A failure in the JSON form of MediaHub's API.
  static func failure(_ status: UInt32, _ message: String) -> Reply {
    json(status, ["error": ["code": .int(Int64(status)), "message": .string(message)]])
  }

  static func hangUp(reset: Bool) -> Reply { Reply(status: 0, body: .none(reset: reset)) }
}

/// One request, from its headers to its completion, and the way to its answer. Used by its connection's thread only.
/// `Listener` makes it and lets it go at libmicrohttpd's word.
final class Exchange {
  /// Ten thousand files in one body of `/_sim/file` are under 2 MiB.
  private static let bodyLimit = 16 << 20

  private(set) var method = ""
  /// Without the query, percent-decoded.
  private(set) var path = ""
  /// Path and query as they came.
  let target: [UInt8]
  private(set) var body: [UInt8] = []
  /// In the storage, while the answer is under way.
  var seat: Seat?
  /// How often all connections had been made silent when this one came.
  let silences: Int
  private var junk: [UInt8] = []
  private let connection: OpaquePointer

  init(connection: OpaquePointer, target: UnsafePointer<CChar>) {
    self.connection = connection
    silences = Int(chttpd_connection_word(connection))
    self.target = Array(UnsafeRawBufferPointer(start: target, count: strlen(target)))
  }

  var hasBegun: Bool { !method.isEmpty }
  /// The headers are there.
  func begin(method: String, path: String) { (self.method, self.path) = (method, path) }

  var socket: Int32 { chttpd_socket(connection) }

  func header(_ name: String) -> String? {
    MHD_lookup_connection_value(connection, .HEADER_KIND, name).map { String(cString: $0) }
  }
  /// Decoded; a parameter without `=` is empty.
  func query(_ name: String) -> String? {
    MHD_lookup_connection_value(connection, .GET_ARGUMENT_KIND, name).map { String(cString: $0) }
  }

  func receive(_ part: UnsafeRawBufferPointer) -> Bool {
    guard body.count + part.count <= Self.bodyLimit else { return false }
    body.append(contentsOf: part)
    return true
  }

  /// False closes the connection.
  func send(_ reply: Reply) -> Bool {
    let made: OpaquePointer?
    switch reply.body {
    case .none(let reset):
      seat?.leave()
      if reset { resetConnection(socket) }
      return false
    case .bytes(let bytes):
      seat?.leave()
      made = bytes.withUnsafeBytes {
        MHD_create_response_from_buffer($0.count, UnsafeMutableRawPointer(mutating: $0.baseAddress), .RESPMEM_MUST_COPY)
      }
    case .stream(let stream): made = response(stream, length: UInt64(stream.length))
    // MHD_SIZE_UNKNOWN, a cast that is not imported.
    case .endless(let stream, _): made = response(stream, length: .max)
    }
    guard let made else { return false }
    defer { MHD_destroy_response(made) }
    if case .endless(_, isChunked: false) = reply.body { chttpd_end_by_closing(made) }
    for (name, value) in reply.headers { MHD_add_response_header(made, name, value) }
    junk = reply.junk
    return MHD_queue_response(connection, reply.status, made) == .YES
  }

  private func response(_ stream: BodyStream, length: UInt64) -> OpaquePointer? {
    stream.seat = seat
    return MHD_create_response_from_callback(
      length, BodyStream.block, readBody, Unmanaged.passRetained(stream).toOpaque(), freeBody)
  }

  /// The last call.
  ///
  /// - Parameter isWhole: the answer went out whole; the connection stays.
  func end(isWhole: Bool) {
    seat?.leave()
    if isWhole, !junk.isEmpty { sendJunk(junk, over: chttpd_tls_session(connection), or: socket) }
  }
}

/// Ends a connection with a TCP reset at once. libmicrohttpd closes in an orderly way whatever it is told, and
/// SO_LINGER would let its shutdown() send the FIN first; "disconnecting" a stream socket makes Linux send the reset
/// (tcp_disconnect).
func resetConnection(_ descriptor: Int32) {
  var nowhere = sockaddr()
  nowhere.sa_family = sa_family_t(AF_UNSPEC)
  connect(descriptor, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
}

private func readBody(
  _ context: UnsafeMutableRawPointer?, _ position: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ count: Int
) -> Int {
  guard let context, let buffer else { return BodyStream.failed }
  let target = UnsafeMutableRawBufferPointer(start: buffer, count: count)
  return Unmanaged<BodyStream>.fromOpaque(context).takeUnretainedValue().read(at: Int64(position), into: target)
}

private func freeBody(_ context: UnsafeMutableRawPointer?) {
  guard let context else { return }
  let stream = Unmanaged<BodyStream>.fromOpaque(context).takeRetainedValue()
  stream.finish()
}
