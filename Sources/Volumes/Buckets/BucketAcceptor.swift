import CLinux
import Core
import EventLoop
import Glibc

/// Accepts the connections of the bucket server's sockets, on a thread of its own. Past the limit, or without
/// descriptors or memory, it leaves them in the sockets' backlogs and looks again when a connection has ended, or after
/// a moment. `BucketServer` owns it and ends the thread; the sockets are behind a lock.
final class BucketAcceptor: Sendable {
  private struct State: Sendable {
    var sockets: [(descriptor: Int32, way: BucketAccess.Way)] = []
    var isClosed = false
  }

  /// Connections accepted of one socket before the others have their turn.
  private static let batch = 16
  /// Milliseconds until the next look, if nothing could be accepted.
  private static let pause: Int32 = 100

  private let state: Monitor<State>
  /// An eventfd: something changed.
  private let bell: OwnedDescriptor
  private let spares = SpareDescriptors(count: 8)
  private let thread = Monitor<BucketThread?>(nil)

  /// - Throws: if there is no descriptor.
  init() throws(Errno) {
    let descriptor = clinux_eventfd()
    guard descriptor >= 0 else { throw .current }
    bell = OwnedDescriptor(descriptor)
    state = Monitor(State())
  }

  /// - Returns: false if the system gives no thread.
  func start(
    hasRoom: @escaping @Sendable () -> Bool, take: @escaping @Sendable (Int32, BucketAccess.Way) -> Void
  ) -> Bool {
    let started = BucketThread.start("bucket accepts") { [self] in run(hasRoom, take) }
    thread.withLock { $0 = started }
    return started != nil
  }

  /// Accepts from this socket too, or in place of another one, whose connections go on.
  /// - Parameter listening: bound, listening, non-blocking; the acceptor's from then on.
  func listen(_ listening: Int32, _ way: BucketAccess.Way, inPlaceOf old: Int32? = nil) {
    state.change { state in
      if let old, let index = state.sockets.firstIndex(where: { $0.descriptor == old }) {
        close(old)
        state.sockets.remove(at: index)
      }
      state.sockets.append((listening, way))
    }
    wake()
  }

  /// A connection has ended, or a socket has come.
  func wake() {
    var one: UInt64 = 1
    _ = write(bell.number, &one, MemoryLayout.size(ofValue: one))
  }

  /// Accepts no more, and closes the sockets: connections in their backlogs are refused.
  func stop() {
    state.change { $0.isClosed = true }
    wake()
    thread.withLock { $0 }?.join()
    state.withLock { state in
      for socket in state.sockets { close(socket.descriptor) }
      state.sockets = []
    }
  }

  // MARK: The thread

  private func run(_ hasRoom: () -> Bool, _ take: (Int32, BucketAccess.Way) -> Void) {
    var isResting = false
    while let sockets = state.withLock({ $0.isClosed ? nil : $0.sockets }) {
      var watched = [pollfd(fd: bell.number, events: Int16(POLLIN), revents: 0)]
      let isOpen = !isResting && hasRoom()
      if isOpen { watched += sockets.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) } }
      _ = poll(&watched, nfds_t(watched.count), isOpen ? -1 : Self.pause)
      isResting = false
      if watched[0].revents != 0 { clinux_drain(bell.number) }
      for (socket, found) in zip(sockets, watched.dropFirst()) where found.revents != 0 {
        for _ in 0..<Self.batch {
          guard hasRoom(), let isTaken = accept(socket.descriptor, socket.way, take) else { break }
          if !isTaken {
            isResting = true
            break
          }
        }
      }
    }
  }

  /// - Returns: nil if no connection waits; false if none can be accepted for a while.
  private func accept(_ listening: Int32, _ way: BucketAccess.Way, _ take: (Int32, BucketAccess.Way) -> Void) -> Bool? {
    var address = sockaddr_storage()
    var length = socklen_t()
    // A socket that was replaced meanwhile is closed: EBADF, or another one of its number.
    let isKnown = state.withLock { $0.sockets.contains { $0.descriptor == listening } }
    guard isKnown else { return nil }
    let descriptor = spares.call { clinux_accept(listening, &address, &length) }
    guard descriptor >= 0 else {
      switch errno {
      case EAGAIN: return nil
      case EMFILE, ENFILE, ENOMEM, ENOBUFS, EBADF, EINVAL, ENOTSOCK: return false
      // A signal, or the connection's own failure (accept(2)): the next one is asked for.
      default: return true
      }
    }
    take(descriptor, way)
    return true
  }
}
