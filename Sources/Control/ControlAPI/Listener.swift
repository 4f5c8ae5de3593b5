import CHTTPD
import CLinux
import Core
import EventLoop
import Glibc

/// One listening socket and the requests that come by it: libmicrohttpd without a thread of its own. The dispatch loop
/// watches its epoll descriptor, so that a request is an event like any other, and what it asks for is done without a
/// lock or a hop. `ControlServer` owns one for each socket; the listener owns the daemon, the acceptor and the requests
/// under way.
@DispatchLoop
final class Listener {
  struct Limits: Sendable {
    /// Connections at once; further ones wait in the socket's backlog. At most an eighth of the descriptors that the
    /// process may have.
    var connections: UInt32 = 512
    /// Descriptors kept for connections if all others are in use.
    var spares = 16
    /// A client that neither sends nor takes a byte for so long is let go.
    var idleSeconds: UInt32 = 10
    /// Nil: connections have no time limits of their own.
    var clients: WebClients.Limits?
  }

  /// How often clients are looked after.
  private static let round: Duration = .seconds(1)

  let filter: any RequestFilter
  let server: ControlServer
  private let clock = SystemClock()
  private let connections: UInt32
  private let spares: SpareDescriptors
  private var daemon: OpaquePointer?
  private var acceptor: Acceptor?
  /// Nil: all connections are ours.
  private var sorter: ConnectionSorter?
  private var context: Unmanaged<Listener>?
  private var poll: LoopPoll?
  private var timer: LoopTimer?
  private var rounds: LoopTimer?
  private var clients: WebClients?
  private var exchanges: [ObjectIdentifier: Exchange] = [:]
  /// Called when the last request under way has ended.
  var drained: (() -> Void)?

  /// Answers requests from the loop's next turn on, and keeps itself and the server until `end`.
  /// - Parameters:
  ///   - listening: bound, listening, non-blocking; this listener's from then on, unless it throws.
  ///   - adopters: take connections over whose first request is for one of their paths.
  init(
    listening: Int32, filter: any RequestFilter, server: ControlServer, limits: Limits,
    adopters: [ConnectionAdopter] = []
  ) throws {
    self.filter = filter
    self.server = server
    clients = limits.clients.map { WebClients($0) }
    connections = min(limits.connections, max(8, UInt32(clamping: clinux_descriptor_limit() / 8)))
    spares = SpareDescriptors(count: limits.spares)
    do {
      if !adopters.isEmpty {
        sorter = try ConnectionSorter(adopters) { [weak self] in
          self?.add($0, $1, $2)
        } decided: { [weak self] in
          self?.sorted()
        }
      }
      try start(limits)
      try listen(on: listening)
    } catch {
      end()
      throw error
    }
  }

  /// Takes connections of another socket, in place of the one before; those that stand go on.
  /// - Parameter listening: bound, listening, non-blocking; this listener's from then on, unless it throws.
  func listen(on listening: Int32) throws {
    let fresh = try Acceptor(listening, spares: spares) { [weak self] in
      self?.hasRoom ?? false
    } take: { [weak self] descriptor, address, length in
      guard let self else {
        close(descriptor)
        return
      }
      if let sorter { sorter.take(descriptor, address, length) } else { add(descriptor, address, length) }
    } taken: { [weak self] in
      self?.handed = 0
      self?.turn()
    }
    acceptor?.close()
    acceptor = fresh
  }

  private func add(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) {
    guard let daemon else {
      close(descriptor)
      return
    }
    // It closes what it cannot take.
    _ = MHD_add_connection(daemon, descriptor, address, length)
    handed += 1
  }

  /// Connections have left the sorter; those that another server took over have made room.
  private func sorted() {
    handed = 0
    turn()
    acceptor?.open()
  }

  /// Connections that libmicrohttpd will count with its next turn.
  private var handed: UInt32 = 0

  private var hasRoom: Bool {
    guard let daemon else { return false }
    return chttpd_loop_connections(daemon) + handed + (sorter?.count ?? 0) < connections
  }

  /// Whether one more connection may be kept for the events: a quarter, and descriptors in reserve, stay for other
  /// requests.
  var mayFollow: Bool {
    exchanges.values.count(where: \.isStream) < connections / 4 * 3 && (spares.available > 0 || refillSpares() > 0)
  }

  private func refillSpares() -> Int {
    spares.refill()
    return spares.available
  }

  private func start(_ limits: Limits) throws {
    timer = try LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.turn() } }
    if clients != nil {
      rounds = try LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.look() } }
    }
    // Released by `end`, which stops the callbacks first.
    let context = Unmanaged.passRetained(self)
    self.context = context
    daemon = Self.makeDaemon(limits, context: context.toOpaque())
    guard let daemon else { throw Errno.current }
    poll = try LoopPoll(chttpd_loop_epoll(daemon), on: .dispatch) { [weak self] _ in
      DispatchLoop.assumeIsolated { self?.turn() }
    }
    poll?.start(.readable)
    // The first turn is the loop's next, after the initializer has returned.
    timer?.start(after: .zero)
  }

  var isIdle: Bool { exchanges.isEmpty }

  /// Lets libmicrohttpd do what is due, and asks when it wants to be called again. Never from inside one of its
  /// callbacks.
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

  // MARK: Clients

  func came(_ connection: OpaquePointer) {
    guard clients != nil else { return }
    if clients?.isEmpty == true { rounds?.start(after: Self.round, every: Self.round) }
    if let other = clients?.came(Self.id(connection), at: clock.now()) { cut(other) }
  }

  func went(_ connection: OpaquePointer) {
    // Its descriptor is closed once libmicrohttpd is through with this turn; the acceptor may have to wait for it.
    DispatchLoop.post { self.madeRoom() }
    clients?.went(Self.id(connection))
    if clients?.isEmpty == true { rounds?.stop() }
  }

  private func madeRoom() {
    guard daemon != nil else { return }
    spares.refill()
    acceptor?.open()
  }

  func turned(_ phase: WebClients.Phase, _ connection: OpaquePointer?) {
    guard clients != nil, let connection else { return }
    clients?.turned(phase, Self.id(connection), at: clock.now())
  }

  private func look() {
    for id in clients?.overdue(at: clock.now()) ?? [] { cut(id) }
  }

  /// libmicrohttpd, whose the descriptor stays, finds the connection at its end with its next turn.
  private func cut(_ id: WebClients.ID) {
    guard let connection = OpaquePointer(bitPattern: id) else { return }
    shutdown(chttpd_socket(connection), Int32(SHUT_RDWR))
  }

  private static func id(_ connection: OpaquePointer) -> WebClients.ID { UInt(bitPattern: connection) }

  // MARK: Requests

  func begin(_ exchange: Exchange) {
    exchanges[ObjectIdentifier(exchange)] = exchange
    turned(.asking, exchange.connection)
  }

  func finish(_ exchange: Exchange) {
    turned(.silent, exchange.connection)
    exchange.completed()
    exchanges[ObjectIdentifier(exchange)] = nil
    if exchanges.isEmpty { drained?() }
  }

  // MARK: The end

  /// Takes no more connections.
  func shut() {
    acceptor?.close()
    acceptor = nil
    sorter?.end()
  }

  /// Tells those whose answer is not there yet that there will be none.
  func dismiss() {
    for exchange in exchanges.values {
      exchange.deliver(ControlAnswer(.isStopping))
      exchange.cut()
    }
    // One turn resumes, the next ones write.
    for _ in 0..<4 where !exchanges.isEmpty { turn() }
  }

  func end() {
    acceptor?.close()
    acceptor = nil
    sorter?.end()
    sorter = nil
    poll?.close()
    timer?.close()
    rounds?.close()
    poll = nil
    timer = nil
    rounds = nil
    if let daemon { MHD_stop_daemon(daemon) }
    daemon = nil
    context?.release()
    context = nil
  }
}
