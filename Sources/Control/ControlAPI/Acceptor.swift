import CLinux
import Core
import EventLoop
import Glibc

/// Accepts the connections of one listening socket. Past its limit, or without descriptors or memory, it leaves them in
/// the socket's backlog and looks again after a moment: it neither spins nor stops for good. Descriptors in reserve let
/// some in though all others are in use. Its `Listener` owns it, on the dispatch loop; the listening socket stays the
/// caller's.
@DispatchLoop
final class Acceptor {
  /// Connections accepted in one turn of the loop.
  private static let batch = 16
  /// Until the next look, if none could be accepted.
  private static let pause: Duration = .milliseconds(100)

  private let listening: Int32
  private let spares: SpareDescriptors
  private var poll: LoopPoll?
  private var timer: LoopTimer?
  /// Whether there is room for a connection.
  private let hasRoom: () -> Bool
  private let take: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Void
  /// Called after connections were taken.
  private let taken: () -> Void

  /// - Parameters:
  ///   - listening: bound, listening, non-blocking; this object's from then on, unless it throws.
  ///   - take: gets a connection, which is its own from then on.
  init(
    _ listening: Int32, spares: SpareDescriptors, hasRoom: @escaping @DispatchLoop () -> Bool,
    take: @escaping @DispatchLoop (Int32, UnsafePointer<sockaddr>, socklen_t) -> Void,
    taken: @escaping @DispatchLoop () -> Void
  ) throws {
    self.listening = listening
    self.spares = spares
    self.hasRoom = hasRoom
    self.take = take
    self.taken = taken
    timer = try LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.open() } }
    poll = try LoopPoll(listening, on: .dispatch) { [weak self] _ in DispatchLoop.assumeIsolated { self?.accept() } }
    open()
  }

  /// Looks for connections again: at the start, after a pause, and once a connection has gone.
  func open() {
    timer?.stop()
    poll?.start(.readable)
  }

  private func accept() {
    for _ in 0..<Self.batch {
      guard hasRoom() else { return rest() }
      var address = sockaddr_storage()
      var length = socklen_t()
      let descriptor = spares.call { clinux_accept(listening, &address, &length) }
      guard descriptor >= 0 else {
        switch errno {
        case EAGAIN: return taken()
        case EMFILE, ENFILE, ENOMEM, ENOBUFS, EBADF, EINVAL, ENOTSOCK: return rest()
        // A signal, or the connection's own failure (accept(2)): the next one is asked for.
        default: continue
        }
      }
      withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { take(descriptor, $0, length) }
      }
    }
    taken()
  }

  private func rest() {
    poll?.stop()
    timer?.start(after: Self.pause)
    taken()
  }

  /// Accepts no more, and closes the socket: connections in its backlog are refused.
  func close() {
    guard let poll else { return }
    poll.close()
    timer?.close()
    self.poll = nil
    timer = nil
    Glibc.close(listening)
  }
}
