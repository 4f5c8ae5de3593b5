import EventLoop

/// Names that one thread at a time may hold. `BucketService` owns it.
final class PathLocks: Sendable {
  /// One for each connection at most.
  private let held = Monitor<Set<String>>([])

  func withLock<Result>(_ name: String, _ body: () throws(BucketError) -> Result) throws(BucketError) -> Result {
    _ = held.wait { $0.insert(name).inserted ? true : nil }
    defer { held.change { _ = $0.remove(name) } }
    return try body()
  }
}
