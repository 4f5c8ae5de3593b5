import CLinux
import Glibc
import Synchronization

/// Work that waits for others, on a thread of its own, and what it brings: taken by a thread that must not wait, which a bell tells.
final class Aside<Value: Sendable>: Sendable {
  private let values = Mutex<[Value]>([])
  /// An eventfd.
  let bell: Int32

  init() throws(CommandFailure) {
    bell = clinux_eventfd()
    guard bell >= 0 else { throw CommandFailure(.failed, "no descriptor is free: \(String(cString: strerror(errno)))") }
  }

  deinit { close(bell) }

  /// What came since the last time.
  func take() -> [Value] {
    values.withLock { values in
      defer { values = [] }
      return values
    }
  }

  func put(_ value: Value) {
    values.withLock { $0.append(value) }
    var one: UInt64 = 1
    _ = write(bell, &one, 8)
  }

  /// Runs until it is done or the process ends.
  func start(_ body: @escaping @Sendable (Aside) -> Void) {
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
