import CHTTPD
import Core

/// A body that is made while it is sent. The connection's thread owns it and may wait in `fill`.
protocol ReplyStream: AnyObject {
  /// - Returns: how many bytes were written, at least one; nil at the end.
  func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(BucketError) -> Int?
}

/// A status, headers and a body: what goes back for a request. It is a value of the connection's thread.
struct BucketReply {
  enum Body {
    case bytes([UInt8])
    /// A part of a file.
    case file(OwnedDescriptor, ByteRange)
    /// - count: nil: the body ends when the stream does.
    case stream(any ReplyStream, count: Int64?)
  }

  var status: Int
  private(set) var headers: [(String, String)]
  var body: Body

  init(status: Int = 200, type: String, headers: [(String, String)] = [], body: Body) {
    self.status = status
    self.headers = [("Content-Type", type)] + headers
    self.body = body
  }

  /// 304: the client has the bytes already.
  init(notModified headers: [(String, String)]) { (status, self.headers, body) = (304, headers, .bytes([])) }

  mutating func add(_ header: (String, String)) { headers.append(header) }

  init(_ members: [(String, JSONText)], status: Int = 200) {
    self.init(status: status, type: "application/json", body: .bytes(JSONText.object(members).bytes))
  }

  init(_ answer: MutationAnswer) {
    self.init(status: answer.status, type: "application/json", body: .bytes(answer.body))
    if let etag = answer.etag { headers.append(("ETag", "\"\(etag)\"")) }
  }

  init(_ error: BucketError) {
    self.init(status: error.status, type: "text/plain; charset=utf-8", body: .bytes(Array(error.sentence.utf8)))
    if error.status == 401 { headers.append(("WWW-Authenticate", "Bearer realm=\"fsmvp buckets\"")) }
    if error.status == 503 { headers.append(("Retry-After", "1")) }
  }

  /// The response for libmicrohttpd, which destroys it once it is sent. Nil without memory.
  func make() -> OpaquePointer? {
    let made: OpaquePointer?
    switch body {
    case .bytes(let bytes):
      made = bytes.withUnsafeBytes {
        MHD_create_response_from_buffer($0.count, UnsafeMutableRawPointer(mutating: $0.baseAddress), .RESPMEM_MUST_COPY)
      }
    case .file(let file, let range):
      // libmicrohttpd closes its own.
      let copy = range.isEmpty ? -1 : chttpd_duplicate(file.number)
      made =
        range.isEmpty
        ? MHD_create_response_from_buffer(0, nil, .RESPMEM_PERSISTENT)
        : copy < 0 ? nil : MHD_create_response_from_fd_at_offset64(UInt64(range.count), copy, UInt64(range.start))
    case .stream(let stream, let count): made = ReplyPump(stream).response(count: count)
    }
    guard let made else { return nil }
    for (name, value) in headers { MHD_add_response_header(made, name, value) }
    return made
  }
}

/// Moves the pieces of a stream to a connection. libmicrohttpd keeps it with the response; the connection's thread uses
/// it.
private final class ReplyPump {
  private static let portion = 64 << 10
  private let stream: any ReplyStream

  init(_ stream: any ReplyStream) { self.stream = stream }

  func response(count: Int64?) -> OpaquePointer? {
    // Released by the response.
    let context = Unmanaged.passRetained(self).toOpaque()
    let made = MHD_create_response_from_callback(
      count.map { UInt64($0) } ?? .max, Self.portion,
      { @Sendable context, _, buffer, room in
        guard let context, let buffer else { return -2 }
        let pump = Unmanaged<ReplyPump>.fromOpaque(context).takeUnretainedValue()
        do throws(BucketError) {
          return try pump.stream.fill(UnsafeMutableRawBufferPointer(start: buffer, count: room)) ?? -1
        } catch {
          // The head has gone out: all that is left is to cut the body short.
          return -2
        }
      }, context,
      { @Sendable context in
        if let context { Unmanaged<ReplyPump>.fromOpaque(context).release() }
      })
    if made == nil { Unmanaged<ReplyPump>.fromOpaque(context).release() }
    return made
  }
}
