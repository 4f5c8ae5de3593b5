import CHTTPD
import Core
import Glibc
import Synchronization

/// libmicrohttpd's daemon on a loopback socket, with a thread for each connection: a throttled or held answer sleeps in its own thread
/// and delays no other.
final class Listener: Sendable {
  /// Bound before the daemon starts, so that the port is known when the hub is made.
  struct Socket {
    let descriptor: Int32
    let port: UInt16

    init(port wanted: UInt16) throws {
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
          guard bind(descriptor, name, length) == 0, listen(descriptor, 512) == 0, getsockname(descriptor, name, &length) == 0 else {
            return Errno.current
          }
          return nil
        }
      }
      if let failure {
        close(descriptor)
        throw failure
      }
      self.descriptor = descriptor
      port = UInt16(bigEndian: address.sin_port)
    }
  }

  /// The daemon's address as a number, for a pointer to C's own state has no other way through a `Mutex`; 0 after the stop.
  private let daemon: Mutex<UInt>

  /// The daemon's callbacks hold `hub` unretained: `stop` joins their threads, and `Simulator` keeps the hub longer than this.
  init(socket: Socket, hub: Hub) throws {
    var options = chttpd_options()
    options.listen_fd = socket.descriptor
    // Virtual memory for the most part: a thread touches some 20 KiB of it.
    options.stack_size = 256 << 10
    options.connection_memory = 32 << 10
    options.connection_limit = 1000
    options.completed = completed
    options.connected = connected
    options.context = Unmanaged.passUnretained(hub).toOpaque()
    guard let started = chttpd_start(CHTTPD_THREAD_PER_CONNECTION, receive, &options) else {
      close(socket.descriptor)
      throw SimulatorError("libmicrohttpd did not start")
    }
    daemon = Mutex(UInt(bitPattern: started))
  }

  func stop() {
    let address = daemon.withLock { address in
      defer { address = 0 }
      return address
    }
    if let daemon = OpaquePointer(bitPattern: address) { MHD_stop_daemon(daemon) }
  }
}

// libmicrohttpd's callbacks, on the connections' threads. Free functions, for a closure could inherit the isolation of where it is written.

private func receive(
  _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ method: UnsafePointer<CChar>?,
  _ version: UnsafePointer<CChar>?, _ upload: UnsafePointer<CChar>?, _ uploadCount: UnsafeMutablePointer<Int>?,
  _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
  guard let context, let connection, let path, let method, let uploadCount, let slot else { return .NO }
  let hub = Unmanaged<Hub>.fromOpaque(context).takeUnretainedValue()
  guard let known = slot.pointee else {
    // The first call has the headers only. `completed` gives the exchange back.
    let exchange = Exchange(connection: connection, method: String(cString: method), path: String(cString: path))
    slot.pointee = Unmanaged.passRetained(exchange).toOpaque()
    return .YES
  }
  let exchange = Unmanaged<Exchange>.fromOpaque(known).takeUnretainedValue()
  if uploadCount.pointee > 0, let upload {
    guard exchange.receive(UnsafeRawBufferPointer(start: upload, count: uploadCount.pointee)) else { return .NO }
    uploadCount.pointee = 0
    return .YES
  }
  return exchange.send(hub.answer(exchange), hub: hub) ? .YES : .NO
}

private func completed(
  _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ reason: MHD_RequestTerminationCode
) {
  guard let slot, let known = slot.pointee else { return }
  Unmanaged<Exchange>.fromOpaque(known).release()
  slot.pointee = nil
}

private func connected(
  _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ event: MHD_ConnectionNotificationCode
) {
  guard let context, event.rawValue == 0 else { return }
  Unmanaged<Hub>.fromOpaque(context).takeUnretainedValue().state.withLock { $0.statistics.connections += 1 }
}
