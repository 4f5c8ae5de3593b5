import Core

/// The waiters of a file, and the offset at which the next fetch for one of them begins: demand is served like a lift,
/// onwards from the end of the last fetch, then from the start.
///
/// It is a value in the file's `FetchPlan`, which owns it and is used on the transfer loop. It knows the time only as
/// passed in, does no input or output, and waits for nothing.
struct Demand: Equatable {
  private(set) var waiters = WaiterIndex()
  private var cursor: Int64 = 0
  private var lastEnd: Int64 = -1
  private var readAhead: Int64 = 0
  /// The least that is fetched where one demand begins at the end of another, and the most.
  private let steps: ClosedRange<Int64>

  init(steps: ClosedRange<Int64>) { self.steps = steps }

  var isEmpty: Bool { waiters.isEmpty }

  mutating func add(_ waiter: WaiterIndex.Waiter) { waiters.add(waiter) }

  /// If many waiters get nothing, the one at `offset` is served next: its bytes may come.
  mutating func turn(to offset: Int64) { cursor = offset }

  /// The parts of a file of `size` bytes in the order they are served.
  func order(_ size: Int64) -> [ByteRange] {
    let middle = min(cursor, size)
    return [ByteRange(middle, size), ByteRange(0, middle)]
  }

  /// How much is to be fetched for a waiter from `start` on: nothing beyond what it asked for, unless it goes on where
  /// the last one ended.
  mutating func extent(from start: Int64) -> Int64 {
    readAhead = start == lastEnd ? min(steps.upperBound, max(steps.lowerBound, readAhead * 2)) : 0
    return readAhead
  }

  /// A fetch for a waiter ends there; the lift goes on behind it.
  mutating func served(to end: Int64, of size: Int64) {
    lastEnd = end
    cursor = end >= size ? 0 : end
  }

  /// - Returns: waiters that have all their bytes now, and leave.
  mutating func written(_ range: ByteRange, nextMissing: Int64) -> [Int] {
    waiters.written(range, nextMissing: nextMissing)
  }

  /// Bytes were taken back.
  mutating func recompute(_ extents: RangeSet) { waiters.recompute(extents) }

  /// All of them leave, without an answer yet.
  mutating func takeAll() -> [WaiterIndex.Waiter] {
    let all = waiters.waiters
    _ = waiters.takeAll()
    return all
  }

  /// Waiters that saw no progress for `limit` leave.
  mutating func takeStalled(since progress: Moment, limit: Duration, _ now: Moment) -> [WaiterIndex.Waiter] {
    let stalled = waiters.waiters.filter { max($0.since, progress) + limit <= now }
    if !stalled.isEmpty { _ = waiters.take { max($0.since, progress) + limit <= now } }
    return stalled
  }

  /// When the first of them waits for `limit` without progress.
  func stall(since progress: Moment, limit: Duration) -> Moment? {
    waiters.waiters.lazy.map(\.since).min().map { max($0, progress) + limit }
  }
}
