import CHTTPD
import Core
import Glibc

/// One request of a connection, from its first line to its end. libmicrohttpd calls the handler with the header alone,
/// then with pieces of the body, then once more with nothing. The connection's own thread makes it and uses it, and may
/// wait in it; what it shares is in `BucketDaemon`.
final class BucketExchange {
  /// Path and query as they came; nil for bytes that are no UTF-8.
  private let target: String?
  private let connection: OpaquePointer?
  private let daemon: BucketDaemon
  private var receiver: (any BodyReceiver)?
  private var request: BucketRequest?
  private var isQueued = false

  init(target: String?, connection: OpaquePointer?, daemon: BucketDaemon) {
    self.target = target
    self.connection = connection
    self.daemon = daemon
  }

  private var way: BucketAccess.Way { BucketAccess.Way(rawValue: UInt(chttpd_connection_word(connection))) ?? .socket }

  /// One call of the handler.
  /// - Returns: false to cut the connection.
  func received(method: String, bytes: UnsafeRawBufferPointer) -> Bool {
    guard let receiver else { return begin(method) }
    if !bytes.isEmpty { return receiver.take(bytes) }
    guard !isQueued else { return false }
    do throws(BucketError) {
      return queue(try receiver.finish())
    } catch {
      return queue(reply(error))
    }
  }

  private func begin(_ method: String) -> Bool {
    let receiver: any BodyReceiver
    do throws(BucketError) {
      receiver = try routed(method)
    } catch {
      receiver = NoBody(refusing: error)
    }
    self.receiver = receiver
    // A body that is long and of no use is not read, where its length is told in time.
    guard let refusal = receiver.refusal, (request?.announcedLength ?? 0) > Int64(NoBody.limit) else { return true }
    return queue(reply(refusal))
  }

  private func routed(_ method: String) throws(BucketError) -> any BodyReceiver {
    let request = try BucketRequest(method: method, target: target, connection: connection)
    self.request = request
    guard !daemon.isStopping else { throw .stopping }
    if let refusal = daemon.access.refusal(request, by: way, on: connection) { throw refusal }
    if way == .handed, !BucketRoutes.prefixes.contains(where: request.rawPath.hasPrefix) {
      throw BucketError(
        421, "This connection is the bucket server's, as its first request was; ask for \(request.rawPath) on a new one"
      )
    }
    let context = BucketRoutes.Context(
      service: daemon.service, client: BucketClient(daemon: daemon, socket: chttpd_socket(connection)),
      isLocal: way != .loopback, connection: connection)
    return try BucketRoutes.find(request).begin(request, context)
  }

  private func reply(_ error: BucketError) -> BucketReply {
    var reply = BucketReply(error)
    guard let request else { return reply }
    if error.status == 405 { reply.add(("Allow", BucketRoutes.methods(request))) }
    if error.status == 404, error.sentence == "not found",
      request.header("accept")?.contains("application/json") == true
    {
      reply = BucketReply([("msg", .text("not found"))], status: 404)
    }
    return reply
  }

  private func queue(_ reply: BucketReply) -> Bool {
    isQueued = true
    chttpd_restart_idle_time(connection, BucketDaemon.idleSeconds)
    guard let response = reply.make() else { return false }
    defer { MHD_destroy_response(response) }
    // The next request may be for the API, which this connection does not lead to.
    if way == .handed { MHD_add_response_header(response, "Connection", "close") }
    return MHD_queue_response(connection, UInt32(reply.status), response) == .YES
  }
}

/// The client of a request that waits. It is a value of the connection's thread.
private struct BucketClient: WaitingClient {
  let daemon: BucketDaemon
  let socket: Int32

  func beginWaiting() throws(BucketError) {
    guard daemon.beginWaiting() else {
      throw BucketError(503, "Too many clients wait for events already; try again, or ask with timeout=0")
    }
  }

  func endWaiting() { daemon.endWaiting() }

  var isGone: Bool {
    // Linux' number of POLLRDHUP; the header hides the name without _GNU_SOURCE.
    var watched = pollfd(fd: socket, events: 0x2000, revents: 0)
    return poll(&watched, 1, 0) > 0
  }
}
