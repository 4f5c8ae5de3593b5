import CHTTPD
import CLinux
import ControlModel
import Core
import EventLoop
import Glibc

/// The control API's server: HTTP on a Unix socket, by libmicrohttpd without a thread of its own. The dispatch loop watches its epoll
/// descriptor, so that a request is an event like any other, and what it asks for is done without a lock or a hop.
@DispatchLoop
package final class ControlServer {
  /// Why a server did not start: one sentence for a person.
  package enum Failure: Error, Sendable, Equatable {
    /// Another control plane answers at the socket.
    case inUse(String)
    case failed(String)

    init(_ failure: SocketFile.Failure, socket: String) {
      switch failure {
      case .inUse: self = .inUse("a control plane is running already (socket \(socket)); stop it with `fsmvp stop`")
      case .notASocket: self = .failed("the control API's socket cannot be made: \(socket) exists and is no socket; remove it")
      case .failed(let error) where error.code == ENAMETOOLONG:
        self = .failed(
          "the control API's socket cannot be made: \(socket) is too long a path for a socket; choose a shorter runtime folder")
      case .failed(let error): self = .failed("the control API's socket \(socket) cannot be made: \(error)")
      }
    }
  }

  /// Connections at once; further ones wait in the socket's backlog.
  private static let connectionLimit: UInt32 = 512
  /// A client that neither sends nor takes a byte for so long is let go.
  private static let idleSeconds: UInt32 = 10

  /// Absolute.
  package nonisolated let socket: String
  private let file: SocketFile
  private let dispatch: ControlDispatch
  let hub: EventHub
  private let feed: EventFeed
  private let idleSeconds: UInt32
  private var daemon: OpaquePointer?
  private var context: Unmanaged<ControlServer>?
  private var poll: LoopPoll?
  private var timer: LoopTimer?
  private var exchanges: [ObjectIdentifier: Exchange] = [:]
  private var drained: (() -> Void)?
  /// Set by `close` and by an accepted stop: whatever comes now is answered with 503.
  private(set) var isStopping = false
  private var isClosing = false

  /// Makes the socket (0600) and answers requests on it from the loop's next turn on.
  /// - Parameters:
  ///   - socket: the absolute path of the socket. A dead process's is replaced. The folder has to exist.
  ///   - operations: kept, as the server itself, until `close`.
  package convenience init(socket: String, operations: any ControlOperations) throws(Failure) {
    try self.init(socket: socket, operations: operations, idleSeconds: Self.idleSeconds)
  }

  init(socket: String, operations: any ControlOperations, idleSeconds: UInt32) throws(Failure) {
    self.socket = socket
    self.idleSeconds = idleSeconds
    dispatch = ControlDispatch(operations: operations)
    // The cache's last report comes with the feed, which begins with the hub.
    var last: () -> CacheReport? = { nil }
    hub = EventHub { ControlSnapshot(status: operations.glance(), items: operations.itemsNow(), cache: last()) }
    feed = EventFeed(operations: operations, hub: hub)
    last = { [weak feed] in feed?.lastCache }
    do {
      file = try SocketFile(path: socket)
    } catch {
      throw Failure(error, socket: socket)
    }
    do {
      try start()
    } catch {
      end()
      throw .failed("the control API's server cannot be started: \(error)")
    }
  }

  private func start() throws {
    var options = chttpd_loop_options()
    options.listen_fd = file.descriptor
    options.connection_limit = Self.connectionLimit
    options.idle_seconds = idleSeconds
    options.begun = { @Sendable context, target, connection in ControlServer.begun(context, target, connection) }
    options.completed = { @Sendable context, _, state, _ in ControlServer.completed(context, state) }
    // Released by `end`, which stops the callbacks first.
    let context = Unmanaged.passRetained(self)
    self.context = context
    options.context = context.toOpaque()
    daemon = chttpd_loop_start(
      { @Sendable context, _, _, method, _, bytes, count, state in ControlServer.called(context, method, bytes, count, state) }, &options)
    guard let daemon else { throw Errno.current }
    timer = try LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.turn() } }
    poll = try LoopPoll(chttpd_loop_epoll(daemon), on: .dispatch) { [weak self] _ in DispatchLoop.assumeIsolated { self?.turn() } }
    poll?.start(.readable)
    turn()
  }

  /// Who may use the API: this process's user, and root, who may do anything anyway.
  nonisolated static func accepts(peer uid: uid_t) -> Bool { uid == geteuid() || uid == 0 }

  // MARK: Requests

  /// Runs the route's operation; its answer goes to the suspended exchange.
  func perform(_ route: Route, body: [UInt8], for exchange: Exchange) {
    Task { @DispatchLoop in
      let answer = await dispatch.answer(route, body: body)
      if route == .stop, answer.status == 202 { isStopping = true }
      if route == .reload, answer.status == 202 { exchange.afterwards { [dispatch] in dispatch.operations.replaceImage() } }
      exchange.deliver(answer)
      turn()
    }
  }

  /// Lets libmicrohttpd do what is due, and asks when it wants to be called again. Never from inside one of its callbacks.
  func turn() {
    guard let daemon else { return }
    MHD_run(daemon)
    var milliseconds: UInt64 = 0
    if MHD_get_timeout(daemon, &milliseconds) == .YES {
      timer?.start(after: .milliseconds(Int64(min(milliseconds, 3_600_000))))
    } else {
      timer?.stop()
    }
  }

  // MARK: The end

  /// Takes no more requests, gives those under way `grace` to get their answers (the rest are told that the control plane stops), and removes
  /// the socket. Safe to call twice.
  package func close(grace: Duration = .milliseconds(500)) async {
    guard daemon != nil, !isClosing else { return }
    isClosing = true
    isStopping = true
    // The name goes first: who looks from now on finds no control plane.
    file.unlinkName()
    let listening = MHD_quiesce_daemon(daemon)
    if listening >= 0 { Glibc.close(listening) }
    feed.close()
    hub.end()
    turn()
    if !exchanges.isEmpty { await drain(within: grace) }
    for exchange in exchanges.values { exchange.deliver(ControlAnswer(.isStopping)) }
    // One turn resumes, the next ones write.
    for _ in 0..<4 where !exchanges.isEmpty { turn() }
    end()
  }

  private func drain(within grace: Duration) async {
    var limit: LoopTimer?
    await withCheckedContinuation { continuation in
      drained = { [weak self] in
        self?.drained = nil
        continuation.resume()
      }
      limit = try? LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.drained?() } }
      if let limit { limit.start(after: grace) } else { drained?() }
    }
    limit?.close()
  }

  private func end() {
    poll?.close()
    timer?.close()
    poll = nil
    timer = nil
    if let daemon {
      // Closes the listening socket too, unless it was taken from it.
      MHD_stop_daemon(daemon)
    } else {
      Glibc.close(file.descriptor)
    }
    daemon = nil
    file.unlinkName()
    context?.release()
    context = nil
  }

  // MARK: libmicrohttpd's callbacks

  private nonisolated static func server(_ context: UnsafeMutableRawPointer?) -> ControlServer? {
    context.map { Unmanaged<ControlServer>.fromOpaque($0).takeUnretainedValue() }
  }

  private nonisolated static func begun(
    _ context: UnsafeMutableRawPointer?, _ target: UnsafePointer<CChar>?, _ connection: OpaquePointer?
  ) -> UnsafeMutableRawPointer? {
    nonisolated(unsafe) let connection = connection
    let text = target.flatMap { String(validatingCString: $0) }
    guard let server = server(context) else { return nil }
    nonisolated(unsafe) var state: UnsafeMutableRawPointer?
    DispatchLoop.assumeIsolated {
      let exchange = Exchange(target: text, connection: connection)
      server.exchanges[ObjectIdentifier(exchange)] = exchange
      // Released by `completed`.
      state = Unmanaged.passRetained(exchange).toOpaque()
    }
    return state
  }

  private nonisolated static func completed(
    _ context: UnsafeMutableRawPointer?, _ state: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
  ) {
    guard let pointer = state?.pointee else { return }
    state?.pointee = nil
    let exchange = Unmanaged<Exchange>.fromOpaque(pointer).takeRetainedValue()
    guard let server = server(context) else { return }
    DispatchLoop.assumeIsolated {
      exchange.completed()
      server.exchanges[ObjectIdentifier(exchange)] = nil
      if server.exchanges.isEmpty { server.drained?() }
    }
  }

  private nonisolated static func called(
    _ context: UnsafeMutableRawPointer?, _ method: UnsafePointer<CChar>?, _ bytes: UnsafePointer<CChar>?,
    _ count: UnsafeMutablePointer<Int>?, _ state: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
  ) -> MHD_Result {
    guard let server = server(context), let method, let count, let pointer = state?.pointee else { return .NO }
    let exchange = Unmanaged<Exchange>.fromOpaque(pointer).takeUnretainedValue()
    let name = String(cString: method)
    nonisolated(unsafe) let piece = UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count.pointee)
    // Taken, all of it.
    count.pointee = 0
    return DispatchLoop.assumeIsolated { exchange.received(method: name, bytes: piece, for: server) } ? .YES : .NO
  }
}
