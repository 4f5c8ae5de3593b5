import CHTTPD
import Core
import Glibc
import Synchronization

/// libmicrohttpd's daemon on a loopback socket, or on connections that come from elsewhere, with a thread for each
/// connection: a throttled or held answer sleeps in its own thread and delays no other. `Simulator` owns it; the daemon
/// is its only state, and what its threads share is in `Hub`.
final class Listener: Sendable {
  /// Bound before the daemon starts, so that the port is known when the hub is made.
  struct Socket {
    let descriptor: Int32
    let port: UInt16

    /// - Parameter listens: false only takes the port.
    init(port wanted: UInt16, listens: Bool = true) throws {
      let descriptor = socket(AF_INET, CHTTPD_STREAM, 0)
      guard descriptor >= 0 else { throw Errno.current }
      var yes: Int32 = 1
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = wanted.bigEndian
      address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let failure: Errno? = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
          guard bind(descriptor, name, length) == 0, !listens || listen(descriptor, 512) == 0,
            getsockname(descriptor, name, &length) == 0
          else {
            return Errno.current
          }
          return nil
        }
      }
      if let failure {
        Glibc.close(descriptor)
        throw failure
      }
      self.descriptor = descriptor
      port = UInt16(bigEndian: address.sin_port)
    }

    func close() { Glibc.close(descriptor) }
  }

  /// The routes that a port serves.
  enum Service: Sendable { case everything, service, storage }

  /// The context of the daemon's callbacks.
  fileprivate final class Door: Sendable {
    let hub: Hub
    let serving: Service
    init(_ hub: Hub, _ serving: Service) { (self.hub, self.serving) = (hub, serving) }
  }

  /// The daemon's address as a number, for a pointer to C's own state has no other way through a `Mutex`; 0 after the
  /// stop.
  private let daemon: Mutex<UInt>
  private let door: Door

  /// The daemon's callbacks hold `door` unretained: `stop` joins their threads.
  ///
  /// - Parameter socket: closed by the stop, or at once where this throws. Nil for connections that `take` brings.
  init(socket: Socket?, serving: Service, of hub: Hub, tls: Certificate?) throws {
    door = Door(hub, serving)
    var options = chttpd_options()
    options.listen_fd = socket?.descriptor ?? -1
    // Virtual memory for the most part: a thread touches some 20 KiB of it.
    options.stack_size = 256 << 10
    options.connection_memory = 32 << 10
    options.connection_limit = 1000
    options.begun = begun
    options.completed = completed
    options.connected = connected
    options.context = Unmanaged.passUnretained(door).toOpaque()
    let started = Certificate.withPEM(tls) { certificate, key in
      (options.certificate, options.key) = (certificate, key)
      return chttpd_start(CHTTPD_THREAD_PER_CONNECTION, receive, &options)
    }
    guard let started else {
      socket?.close()
      throw SimulatorError(
        "libmicrohttpd did not start" + (tls == nil ? "" : "; is the key that of the certificate, and are both PEM?"))
    }
    daemon = Mutex(UInt(bitPattern: started))
  }

  /// Serves a connection that was accepted elsewhere, and closes it.
  func take(_ connection: Int32) {
    var nobody = sockaddr()
    nobody.sa_family = sa_family_t(AF_INET)
    daemon.withLock { address in
      guard let daemon = OpaquePointer(bitPattern: address) else {
        close(connection)
        return
      }
      MHD_add_connection(daemon, connection, &nobody, socklen_t(MemoryLayout<sockaddr>.size))
    }
  }

  func stop() {
    let address = daemon.withLock { address in
      defer { address = 0 }
      return address
    }
    if let daemon = OpaquePointer(bitPattern: address) { MHD_stop_daemon(daemon) }
  }
}

// libmicrohttpd's callbacks, on the connections' threads. Free functions, for a closure could inherit the isolation of
// where it is written.

private func begun(
  _ context: UnsafeMutableRawPointer?, _ target: UnsafePointer<CChar>?, _ connection: OpaquePointer?
) -> UnsafeMutableRawPointer? {
  guard let connection, let target else { return nil }
  // `completed` gives it back.
  return Unmanaged.passRetained(Exchange(connection: connection, target: target)).toOpaque()
}

private func receive(
  _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ path: UnsafePointer<CChar>?,
  _ method: UnsafePointer<CChar>?,
  _ version: UnsafePointer<CChar>?, _ upload: UnsafePointer<CChar>?, _ uploadCount: UnsafeMutablePointer<Int>?,
  _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
  guard let context, let path, let method, let uploadCount, let known = slot?.pointee else { return .NO }
  let door = Unmanaged<Listener.Door>.fromOpaque(context).takeUnretainedValue()
  let exchange = Unmanaged<Exchange>.fromOpaque(known).takeUnretainedValue()
  // The first call has the headers only.
  guard exchange.hasBegun else {
    exchange.begin(method: String(cString: method), path: String(cString: path))
    return .YES
  }
  if uploadCount.pointee > 0, let upload {
    guard exchange.receive(UnsafeRawBufferPointer(start: upload, count: uploadCount.pointee)) else { return .NO }
    uploadCount.pointee = 0
    return .YES
  }
  return exchange.send(door.hub.answer(exchange, on: door.serving)) ? .YES : .NO
}

private func completed(
  _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
  _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ reason: MHD_RequestTerminationCode
) {
  guard let slot, let known = slot.pointee else { return }
  Unmanaged<Exchange>.fromOpaque(known).takeRetainedValue().end(isWhole: reason == .REQUEST_TERMINATED_COMPLETED_OK)
  slot.pointee = nil
}

private func connected(
  _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
  _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ event: MHD_ConnectionNotificationCode
) {
  guard let context, event.rawValue == 0 else { return }
  let silences = Unmanaged<Listener.Door>.fromOpaque(context).takeUnretainedValue().hub.state.withLock { state in
    state.statistics.connections += 1
    return state.silences
  }
  slot?.pointee = UnsafeMutableRawPointer(bitPattern: UInt(silences))
}
