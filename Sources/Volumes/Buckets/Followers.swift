import Core
import EventLoop

/// Tells what happens in buckets: threads that wait for the next event of one, and callbacks of this process.
/// `BucketStore` owns it; the commit queue's thread publishes.
final class Followers: Sendable {
  private struct State: Sendable {
    /// The number of the last event, for each bucket that had one since the start.
    var latest: [String: Int64] = [:]
    var callbacks: [UInt64: @Sendable (String, [BucketEvent]) -> Void] = [:]
    var nextCallback: UInt64 = 0
    var isClosed = false
  }

  enum Wake { case news, deadline, closed }

  private let state = Monitor(State())

  func publish(_ bucket: String, _ events: [BucketEvent]) {
    guard let last = events.last else { return }
    let callbacks = state.change { state in
      state.latest[bucket] = last.seq
      return Array(state.callbacks.values)
    }
    for callback in callbacks { callback(bucket, events) }
  }

  /// Waits for an event behind `seq`.
  func wait(for bucket: String, after seq: Int64, until deadline: Moment) -> Wake {
    state.wait(until: deadline) { state in
      if state.isClosed { return .closed }
      return state.latest[bucket, default: 0] > seq ? .news : nil
    } ?? .deadline
  }

  /// - Returns: a number for `remove`.
  func add(_ callback: @escaping @Sendable (String, [BucketEvent]) -> Void) -> UInt64 {
    state.withLock { state in
      state.nextCallback += 1
      state.callbacks[state.nextCallback] = callback
      return state.nextCallback
    }
  }

  func remove(_ number: UInt64) { state.withLock { $0.callbacks[number] = nil } }

  /// Nobody waits any more.
  func close() { state.change { $0.isClosed = true } }
}
