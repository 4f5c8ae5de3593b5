import CHTTPD
import Core
import EventLoop
import Glibc

/// libmicrohttpd with a thread for each connection, so that a request may wait for the disk or for an event and delays
/// no other (docs/adr/0044). Connections are accepted elsewhere and handed over. `BucketServer` owns it; its state is
/// the counts of connections and requests, behind a lock.
final class BucketDaemon: Sendable {
  /// A client that neither sends nor takes a byte for so long is let go.
  static let idleSeconds: UInt32 = 30
  /// Connections that are accepted; as many more may come by the API's socket as a quarter of that.
  static let connections = 256

  private struct State: Sendable {
    /// The ways of connections that libmicrohttpd has not begun yet, by their descriptors.
    var ways: [Int32: BucketAccess.Way] = [:]
    var connections = 0
    var requests = 0
    var waiting = 0
    var isStopping = false
  }

  let service: BucketService
  let access: BucketAccess
  private let state = Monitor(State())
  /// The daemon's address as a number; 0 after the stop.
  private let daemon = Monitor<UInt>(0)
  /// Called when a connection has ended.
  private let freed: @Sendable () -> Void

  /// - Returns: nil if the system has no thread for it.
  init?(_ service: BucketService, _ access: BucketAccess, freed: @escaping @Sendable () -> Void) {
    self.service = service
    self.access = access
    self.freed = freed
    var options = chttpd_options()
    options.listen_fd = -1
    // Virtual memory for the most part.
    options.stack_size = 512 << 10
    options.connection_memory = 128 << 10
    options.connection_limit = UInt32(Self.connections + Self.connections / 4)
    options.idle_seconds = Self.idleSeconds
    options.begun = { @Sendable context, target, connection in BucketDaemon.begun(context, target, connection) }
    options.completed = { @Sendable context, _, slot, _ in BucketDaemon.completed(context, slot) }
    options.connected = { @Sendable context, connection, slot, event in
      BucketDaemon.connected(context, connection, slot, event)
    }
    // `stop` joins the threads that use it.
    options.context = Unmanaged.passUnretained(self).toOpaque()
    let started = chttpd_start(
      CHTTPD_THREAD_PER_CONNECTION,
      { @Sendable _, _, _, method, _, bytes, count, slot in BucketDaemon.called(method, bytes, count, slot) }, &options)
    guard let started else { return nil }
    daemon.withLock { $0 = UInt(bitPattern: started) }
  }

  var isStopping: Bool { state.withLock(\.isStopping) }

  /// Whether one more connection may be accepted.
  var hasRoom: Bool { state.withLock { $0.connections + $0.ways.count < Self.connections } }

  /// Serves a connection that was accepted elsewhere, and closes it. It does not wait.
  func take(_ connection: Int32, _ way: BucketAccess.Way) {
    var address = sockaddr()
    address.sa_family = sa_family_t(way == .loopback ? AF_INET : AF_UNIX)
    state.withLock { $0.ways[connection] = way }
    let isTaken: Bool? = daemon.withLock { number in
      guard let daemon = OpaquePointer(bitPattern: number) else { return nil }
      return MHD_add_connection(daemon, connection, &address, socklen_t(MemoryLayout<sockaddr>.size)) == .YES
    }
    if isTaken == true { return }
    state.withLock { $0.ways[connection] = nil }
    // libmicrohttpd closes what it does not take.
    if isTaken == nil { close(connection) }
  }

  // MARK: Waiting for events

  /// A quarter of the connections stays for other requests.
  func beginWaiting() -> Bool {
    state.withLock { state in
      guard state.waiting < Self.connections / 4 * 3 else { return false }
      state.waiting += 1
      return true
    }
  }

  func endWaiting() { state.withLock { $0.waiting -= 1 } }

  // MARK: The end

  /// New requests are refused from now on.
  func refuse() { state.change { $0.isStopping = true } }

  /// Lets requests end until the deadline, and then cuts them.
  func stop(by deadline: Moment) {
    refuse()
    _ = state.wait(until: deadline) { $0.requests == 0 ? true : nil }
    let number = daemon.withLock { number in
      defer { number = 0 }
      return number
    }
    if let daemon = OpaquePointer(bitPattern: number) { MHD_stop_daemon(daemon) }
  }

  // MARK: The callbacks of libmicrohttpd, on connections' threads

  private static func daemon(_ context: UnsafeMutableRawPointer?) -> BucketDaemon? {
    context.map { Unmanaged<BucketDaemon>.fromOpaque($0).takeUnretainedValue() }
  }

  private static func connected(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ event: MHD_ConnectionNotificationCode
  ) {
    guard let daemon = daemon(context) else { return }
    let isNew = event == .CONNECTION_NOTIFY_STARTED
    let way = daemon.state.withLock { state in
      state.connections += isNew ? 1 : -1
      return isNew ? state.ways.removeValue(forKey: chttpd_socket(connection)) : nil
    }
    if isNew { slot?.pointee = UnsafeMutableRawPointer(bitPattern: (way ?? .socket).rawValue) } else { daemon.freed() }
  }

  private static func begun(
    _ context: UnsafeMutableRawPointer?, _ target: UnsafePointer<CChar>?, _ connection: OpaquePointer?
  ) -> UnsafeMutableRawPointer? {
    guard let daemon = daemon(context) else { return nil }
    daemon.state.withLock { $0.requests += 1 }
    let text = target.flatMap { String(validatingCString: $0) }
    // Released by `completed`.
    return Unmanaged.passRetained(BucketExchange(target: text, connection: connection, daemon: daemon)).toOpaque()
  }

  private static func completed(
    _ context: UnsafeMutableRawPointer?, _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
  ) {
    guard let known = slot?.pointee else { return }
    slot?.pointee = nil
    Unmanaged<BucketExchange>.fromOpaque(known).release()
    daemon(context)?.state.change { $0.requests -= 1 }
  }

  private static func called(
    _ method: UnsafePointer<CChar>?, _ bytes: UnsafePointer<CChar>?, _ count: UnsafeMutablePointer<Int>?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
  ) -> MHD_Result {
    guard let method, let count, let known = slot?.pointee else { return .NO }
    let exchange = Unmanaged<BucketExchange>.fromOpaque(known).takeUnretainedValue()
    let piece = UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count.pointee)
    // Taken, all of it.
    count.pointee = 0
    return exchange.received(method: String(cString: method), bytes: piece) ? .YES : .NO
  }
}
