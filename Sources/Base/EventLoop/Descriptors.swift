import CLinux
import Glibc
import Synchronization

/// The limit of open files (RLIMIT_NOFILE) of this process.
package enum DescriptorLimit {
  /// Raises it to the hard limit, which children inherit. To be called before anything else opens files.
  /// - Returns: how many descriptors the process may have now; 0 if that cannot be read.
  @discardableResult package static func raise() -> UInt64 { clinux_raise_descriptor_limit() }
}

/// Descriptors that are kept open on /dev/null, so that a call which must not fail finds one when all others are in use
/// (docs/adr/0020).
///
/// Each purpose has spares of its own: what starts shims does not take from what answers the control API. Another
/// thread may take a descriptor while the spares are closed, so a call can still fail; then it is repeated later, and
/// the spares are opened again by the next call. The held descriptors are behind a lock, for any thread.
package final class SpareDescriptors: Sendable {
  private let count: Int
  private let held: Mutex<[Int32]>

  /// Opens as many of `count` as can be had.
  package init(count: Int) {
    self.count = count
    held = Mutex(Self.filled([], to: count))
  }

  deinit { held.withLock { for descriptor in $0 { close(descriptor) } } }

  /// How many are open now.
  package var available: Int { held.withLock(\.count) }

  /// Calls `body`. If that fails because there is no descriptor, closes the spares, calls it once more, and opens them
  /// again.
  ///
  /// `body` runs on the calling thread and may not use the same spares.
  /// - Parameter code: the failure's errno, positive or negative.
  package func call<Value, Failure: Error>(_ code: (Failure) -> Int32, _ body: () throws(Failure) -> Value)
    throws(Failure) -> Value
  {
    do throws(Failure) {
      return try body()
    } catch {
      guard Self.isShortage(code(error)) else { throw error }
      release()
      defer { refill() }
      return try body()
    }
  }

  /// The same for a call that returns -1 and sets errno.
  package func call(_ body: () -> Int32) -> Int32 {
    let result = body()
    guard result < 0, Self.isShortage(errno) else { return result }
    release()
    let second = body()
    let error = errno
    refill()
    errno = error
    return second
  }

  /// Whether an errno, positive or negative, says that there is no descriptor, in this process or on this machine.
  package static func isShortage(_ code: Int32) -> Bool { abs(code) == EMFILE || abs(code) == ENFILE }

  private func release() {
    held.withLock { held in
      for descriptor in held { close(descriptor) }
      held = []
    }
  }

  /// Opens again what could not be had before.
  package func refill() { held.withLock { $0 = Self.filled($0, to: count) } }

  private static func filled(_ held: [Int32], to count: Int) -> [Int32] {
    var held = held
    while held.count < count {
      let descriptor = clinux_open("/dev/null", O_RDONLY, 0)
      guard descriptor >= 0 else { break }
      held.append(descriptor)
    }
    return held
  }
}
