import Core
import EventLoop
import Glibc
import Wire

/// Asks a shim for its hello, on worker threads. One at a time; `interrupt` ends the wait. `ShimLink` has one, and each
/// start of a `ShimHost`; its only state is the socket that is waited for, which it changes on the dispatch loop.
@DispatchLoop
final class Greeter {
  /// Descriptors for starting shims and talking to them when all others of the process are in use (docs/adr/0020).
  nonisolated static let spares = SpareDescriptors(count: 16)

  private var socket: OwnedDescriptor?

  /// A connection to the socket, by which our hello has been said.
  func connect(_ path: String) async -> Result<OwnedDescriptor, HelloError> {
    let connected = await onWorker {
      Result { () throws(HelloError) -> OwnedDescriptor in
        try Self.spares.call(\.shortage) { () throws(HelloError) in try Hello.connect(path).get() }
      }
    }
    socket = try? connected.get()
    return connected
  }

  /// Waits for the hello on the connection made last.
  /// - Parameter takesDescriptors: false: those that come with it are dropped, so none is needed for them.
  func hear(within limit: Duration, takesDescriptors: Bool) async -> Result<Greeting, HelloError> {
    guard let socket else { return .failure(.noAnswer(Errno(ENOTCONN))) }
    defer { self.socket = nil }
    let milliseconds = Int32(clamping: limit.milliseconds)
    return await onWorker { Hello.hear(socket, milliseconds: milliseconds, takesDescriptors: takesDescriptors) }
  }

  func interrupt() { if let socket { shutdown(socket.number, Int32(SHUT_RDWR)) } }
}

extension HelloError {
  /// The errno of a call that found no descriptor; 0 of everything else.
  var shortage: Int32 { if case .notReached(let errno) = self { errno.code } else { 0 } }
}

@DispatchLoop
func pause(_ duration: Duration) async {
  await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
    var timer: LoopTimer?
    timer = try? LoopTimer(on: EventLoop.dispatch) {
      timer?.close()
      timer = nil
      continuation.resume()
    }
    if let timer { timer.start(after: duration) } else { continuation.resume() }
  }
}

/// Lets everything else on the loop have its turn.
@DispatchLoop
func yieldLoop() async {
  await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
    EventLoop.dispatch.post { continuation.resume() }
  }
}

/// Waits until `condition` holds; false where it did not within the limit.
@DispatchLoop
func holds(within limit: Duration, _ condition: () -> Bool) async -> Bool {
  let deadline = SystemClock().now() + limit
  while !condition() {
    if SystemClock().now() >= deadline { return false }
    await pause(.milliseconds(2))
  }
  return true
}
