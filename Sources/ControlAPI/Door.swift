import CHTTPD
import Core
import EventLoop
import Glibc

/// One listening socket and the requests that come by it: libmicrohttpd without a thread of its own. The dispatch loop watches its epoll
/// descriptor, so that a request is an event like any other, and what it asks for is done without a lock or a hop.
@DispatchLoop
final class Door {
  struct Limits: Sendable {
    /// Connections at once; further ones wait in the socket's backlog.
    var connections: UInt32 = 512
    /// A client that neither sends nor takes a byte for so long is let go.
    var idleSeconds: UInt32 = 10
    /// Nil: all who come are trusted.
    var visitors: Visitors.Limits?
  }

  /// How often visitors are looked after.
  private static let round: Duration = .seconds(1)

  let gate: any DoorGate
  let server: ControlServer
  private let clock = SystemClock()
  private var daemon: OpaquePointer?
  private var context: Unmanaged<Door>?
  private var poll: LoopPoll?
  private var timer: LoopTimer?
  private var rounds: LoopTimer?
  private var visitors: Visitors?
  private var exchanges: [ObjectIdentifier: Exchange] = [:]
  /// Called when the last request under way has ended.
  var drained: (() -> Void)?

  /// Answers requests from the loop's next turn on, and keeps itself and the server until `end`.
  /// - Parameter listening: bound, listening, non-blocking; this door's from then on, unless it throws.
  init(listening: Int32, gate: any DoorGate, server: ControlServer, limits: Limits) throws {
    self.gate = gate
    self.server = server
    visitors = limits.visitors.map { Visitors($0) }
    do {
      try start(listening, limits)
    } catch {
      // Stays whose it was.
      if let daemon { MHD_quiesce_daemon(daemon) }
      end()
      throw error
    }
  }

  private func start(_ listening: Int32, _ limits: Limits) throws {
    timer = try LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.turn() } }
    if visitors != nil {
      rounds = try LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.look() } }
    }
    // Released by `end`, which stops the callbacks first.
    let context = Unmanaged.passRetained(self)
    self.context = context
    daemon = Self.makeDaemon(listening, limits, context: context.toOpaque())
    guard let daemon else { throw Errno.current }
    poll = try LoopPoll(chttpd_loop_epoll(daemon), on: .dispatch) { [weak self] _ in DispatchLoop.assumeIsolated { self?.turn() } }
    poll?.start(.readable)
    // On the next turn, when whoever makes the door has it.
    timer?.start(after: .zero)
  }

  var isIdle: Bool { exchanges.isEmpty }

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

  // MARK: Visitors

  func came(_ connection: OpaquePointer) {
    guard visitors != nil else { return }
    if visitors?.isEmpty == true { rounds?.start(after: Self.round, every: Self.round) }
    if let other = visitors?.came(Self.id(connection), at: clock.now()) { cut(other) }
  }

  func went(_ connection: OpaquePointer) {
    visitors?.went(Self.id(connection))
    if visitors?.isEmpty == true { rounds?.stop() }
  }

  func turned(_ phase: Visitors.Phase, _ connection: OpaquePointer?) {
    guard visitors != nil, let connection else { return }
    visitors?.turned(phase, Self.id(connection), at: clock.now())
  }

  private func look() {
    for id in visitors?.overdue(at: clock.now()) ?? [] { cut(id) }
  }

  /// libmicrohttpd, whose the descriptor stays, finds the connection at its end with its next turn.
  private func cut(_ id: Visitors.ID) {
    guard let connection = OpaquePointer(bitPattern: id) else { return }
    shutdown(chttpd_socket(connection), Int32(SHUT_RDWR))
  }

  private static func id(_ connection: OpaquePointer) -> Visitors.ID { UInt(bitPattern: connection) }

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
    guard let daemon else { return }
    let listening = MHD_quiesce_daemon(daemon)
    if listening >= 0 { close(listening) }
  }

  /// Tells those whose answer is not there yet that there will be none.
  func dismiss() {
    for exchange in exchanges.values { exchange.deliver(ControlAnswer(.isStopping)) }
    // One turn resumes, the next ones write.
    for _ in 0..<4 where !exchanges.isEmpty { turn() }
  }

  func end() {
    poll?.close()
    timer?.close()
    rounds?.close()
    poll = nil
    timer = nil
    rounds = nil
    // Closes the listening socket too, unless it was taken from it.
    if let daemon { MHD_stop_daemon(daemon) }
    daemon = nil
    context?.release()
    context = nil
  }
}
