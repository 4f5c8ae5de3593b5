import CLinux
import Glibc
import Synchronization
import Syntax

/// Values that other threads put here for one that must not wait, such as a screen's. A bell tells it of them. The
/// verb's main thread makes it and takes the values; the list is behind a lock.
package final class Mailbox<Value: Sendable>: Sendable {
  private let values = Mutex<[Value]>([])
  /// An eventfd; readable while there are values.
  package let bell: Int32

  package init() throws(CommandFailure) {
    bell = clinux_eventfd()
    guard bell >= 0 else { throw CommandFailure(.failed, "no descriptor is free: \(String(cString: strerror(errno)))") }
  }

  deinit { close(bell) }

  /// Returns the values put since the last call.
  package func take() -> [Value] {
    values.withLock { values in
      defer { values = [] }
      return values
    }
  }

  package func put(_ value: Value) {
    values.withLock { $0.append(value) }
    var one: UInt64 = 1
    _ = write(bell, &one, 8)
  }

  /// Runs the body on a thread of its own, which may wait. The thread ends with the body, or with the process.
  package func start(_ body: @escaping @Sendable (Mailbox) -> Void) {
    let context = Unmanaged.passRetained(Body { body(self) }).toOpaque()
    var thread = pthread_t()
    let result = pthread_create(
      &thread, nil,
      { @Sendable context in
        if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, context)
    if result == 0 { pthread_detach(thread) } else { Unmanaged<Body>.fromOpaque(context).release() }
  }
}

/// A closure that C can carry.
private final class Body {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
