import CHTTPD
import Core
import Glibc
import Synchronization

/// The thread that accepts the storage's connections where it has a port of its own: libmicrohttpd cannot stop
/// listening and begin again, and a storage that refuses connections is one of the things to show. `Simulator` owns it
/// and joins the thread when it stops.
final class Acceptor: Sendable {
  /// A port that stays taken while nothing listens on it: of two sockets bound to it, one never listens.
  struct Address {
    fileprivate let reserved: Listener.Socket
    fileprivate let listening: Listener.Socket
    var port: UInt16 { reserved.port }

    /// - Parameter port: 0 is any free one.
    init(port: UInt16) throws {
      reserved = try Listener.Socket(port: port, listens: false)
      do { listening = try Acceptor.listen(reserved.port) } catch {
        reserved.close()
        throw error
      }
    }

    func close() {
      listening.close()
      reserved.close()
    }
  }

  /// Before what cannot be done now is tried again.
  private static let pause = Duration.milliseconds(20)
  /// Nil after the join.
  private let thread: Mutex<pthread_t?>

  /// Takes over `address`.
  init(_ address: Address, hub: Hub, listener: Listener) {
    var thread = pthread_t()
    let work = Unmanaged.passRetained(Work(address, hub, listener))
    let failure = pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<Work>.fromOpaque(context).takeRetainedValue().run()
        return nil
      }, work.toOpaque())
    precondition(failure == 0, "no thread: \(Errno(failure))")
    self.thread = Mutex(thread)
  }

  /// Waits for the thread, which ends with the hub. Harmless the second time.
  func join() {
    let thread = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    if let thread { pthread_join(thread, nil) }
  }

  /// Non-blocking: a connection that was there may be gone when it is accepted.
  private static func listen(_ port: UInt16) throws -> Listener.Socket {
    let socket = try Listener.Socket(port: port)
    chttpd_set_nonblocking(socket.descriptor)
    return socket
  }

  private final class Work {
    private let reserved: Listener.Socket
    private var listening: Listener.Socket?
    private let hub: Hub
    private let listener: Listener

    init(_ address: Address, _ hub: Hub, _ listener: Listener) {
      (reserved, listening, self.hub, self.listener) = (address.reserved, address.listening, hub, listener)
    }

    func run() {
      defer {
        listening?.close()
        reserved.close()
      }
      while true {
        let (signal, refusal, isStopping) = hub.state.withLock { ($0.signal, $0.refusal, $0.isStopping) }
        if isStopping { return }
        let time = hub.now()
        let isRefusing = refusal.isOn(at: time)
        if follow(isRefusing: isRefusing) { continue }
        // Listening is tried again if another process listens on the port meanwhile.
        let deadline = isRefusing ? refusal.end : listening == nil ? time + Acceptor.pause : nil
        if signal.wait(listening: listening?.descriptor ?? -1, until: deadline) { accept() }
      }
    }

    /// True where the port was opened or closed.
    private func follow(isRefusing: Bool) -> Bool {
      if isRefusing, let socket = listening {
        socket.close()
        listening = nil
      } else if !isRefusing, listening == nil {
        guard let socket = try? Acceptor.listen(reserved.port) else { return false }
        listening = socket
      } else {
        return false
      }
      hub.state.withLock { state in
        state.isStorageListening = listening != nil
        state.wake()
      }
      return true
    }

    private func accept() {
      guard let listening else { return }
      let connection = chttpd_accept(listening.descriptor)
      if connection >= 0 {
        listener.take(connection)
      } else if errno == EMFILE || errno == ENFILE {
        // The connection stays in the queue, and would be seen again at once.
        sleep(until: hub.now() + Acceptor.pause)
      }
    }
  }
}
