import CLinux
import Glibc

/// A thread of the bucket server. Its maker joins it once; the thread holds no state of its own.
struct BucketThread: Sendable {
  /// pthread_t as a number.
  private let id: UInt

  private final class Work: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(_ name: String, _ body: @escaping @Sendable () -> Void) { (self.name, self.body) = (name, body) }
  }

  /// - Parameter name: at most 15 bytes are shown.
  /// - Returns: nil if the system gives no thread.
  static func start(_ name: String, _ body: @escaping @Sendable () -> Void) -> BucketThread? {
    var id = pthread_t()
    let work = Unmanaged.passRetained(Work(name, body))
    let failure = pthread_create(
      &id, nil,
      { @Sendable context in
        guard let context else { return nil }
        let work = Unmanaged<Work>.fromOpaque(context).takeRetainedValue()
        clinux_name_thread(String(work.name.prefix(15)))
        work.body()
        return nil
      }, work.toOpaque())
    guard failure == 0 else {
      work.release()
      return nil
    }
    return BucketThread(id: UInt(id))
  }

  func join() { pthread_join(pthread_t(id), nil) }
}
