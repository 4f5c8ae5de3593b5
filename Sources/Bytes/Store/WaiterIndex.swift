import Core

/// The reads that wait, sorted by the first byte that each still lacks. New bytes concern one run of the array and give
/// all of it the same next missing byte, so thousands of waiters cost a binary search and the waiters that move, not a
/// walk over all. It is a value in `Demand`.
struct WaiterIndex: Equatable {
  struct Waiter: Equatable {
    let id: Int
    /// Not empty, inside the file.
    let range: ByteRange
    let since: Moment
    /// The first byte of `range` that is not in the file.
    var missing: Int64
  }

  private(set) var waiters: [Waiter] = []
  /// Changes with every arrival, so that what was computed from the waiters can be kept until then.
  private(set) var arrivals = 0
  /// No waiter's range is longer; bounds the walk of `firstEnd`.
  private var longest: Int64 = 0

  var isEmpty: Bool { waiters.isEmpty }

  private func index(from offset: Int64) -> Int {
    var low = 0
    var high = waiters.count
    while low < high {
      let middle = (low + high) / 2
      if waiters[middle].missing < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Equal first missing bytes keep their order of arrival.
  mutating func add(_ waiter: Waiter) {
    waiters.insert(waiter, at: index(from: waiter.missing + 1))
    arrivals += 1
    longest = max(longest, waiter.range.count)
  }

  /// The lowest missing byte in `range`.
  func firstMissing(in range: ByteRange) -> Int64? {
    let index = index(from: range.start)
    guard index < waiters.count, waiters[index].missing < range.end else { return nil }
    return waiters[index].missing
  }

  /// The furthest end of the ranges that lack `offset` first.
  func furthestEnd(missing offset: Int64) -> Int64 {
    var index = index(from: offset)
    var end = offset
    while index < waiters.count, waiters[index].missing == offset {
      end = max(end, waiters[index].range.end)
      index += 1
    }
    return end
  }

  /// The furthest end of the ranges whose first missing byte is in `range`; nil if there are none.
  func furthestEnd(missingIn range: ByteRange) -> Int64? {
    let slice = waiters[index(from: range.start)..<index(from: range.end)]
    return slice.map(\.range.end).max()
  }

  /// The first end of a waiter's range after `offset` and not after `limit`, of waiters that lack bytes before that
  /// end: writing the received bytes there completes the range.
  func firstEnd(after offset: Int64, upTo limit: Int64) -> Int64? {
    let slice = waiters[index(from: max(0, offset - longest))..<index(from: limit)]
    var first: Int64?
    for waiter in slice where waiter.range.end > offset && waiter.range.end <= limit && waiter.range.end < first ?? .max
    {
      first = waiter.range.end
    }
    return first
  }

  /// `range` was written, and the bytes after its start are whole up to `nextMissing`: waiters that have all bytes
  /// leave, in order.
  mutating func written(_ range: ByteRange, nextMissing: Int64) -> [Int] {
    let low = index(from: range.start)
    let high = index(from: range.end)
    guard low < high else { return [] }
    var done: [Int] = []
    var kept: [Waiter] = []
    for var waiter in waiters[low..<high] {
      if waiter.range.end <= nextMissing {
        done.append(waiter.id)
      } else {
        waiter.missing = nextMissing
        kept.append(waiter)
      }
    }
    waiters.replaceSubrange(low..<high, with: kept)
    if waiters.isEmpty { longest = 0 }
    return done
  }

  /// Bytes were taken back: each waiter's first missing byte is found again.
  mutating func recompute(_ extents: RangeSet) {
    for index in waiters.indices {
      let range = waiters[index].range
      waiters[index].missing = extents.firstMissing(in: range)?.start ?? range.end
    }
    waiters.sort { ($0.missing, $0.id) < ($1.missing, $1.id) }
    arrivals += 1
  }

  mutating func takeAll() -> [Int] {
    defer { waiters = [] }
    return waiters.map(\.id)
  }

  mutating func take(where isChosen: (Waiter) -> Bool) -> [Int] {
    let chosen = waiters.filter(isChosen).map(\.id)
    if !chosen.isEmpty { waiters.removeAll(where: isChosen) }
    return chosen
  }
}
