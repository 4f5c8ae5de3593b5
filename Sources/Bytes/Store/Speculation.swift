import Core

/// Bytes that were fetched ahead of readers and may be gone again before they are read: credit limits how many.
///
/// Each byte that is read earns a part of a byte to fetch ahead; bytes that were dropped unread are taken off twice. So
/// a reader that goes on and on soon has as much fetched ahead as there is room for, and one that jumps about costs
/// little more than what it reads (the sum of waste stays under `share / 2` of what is read, and `free`). It is a value
/// in the file's `FetchPlan`.
struct Speculation: Equatable {
  struct Limits: Equatable {
    /// Allowed before anything was earned.
    var free: Int64 = 1 << 20
    /// One byte ahead for so many that were read.
    var share: Int64 = 8
  }

  /// Fetched ahead and neither read nor dropped.
  private(set) var unread = RangeSet()
  private(set) var unreadCount: Int64 = 0
  private(set) var readCount: Int64 = 0
  private(set) var wasted: Int64 = 0

  /// More bytes that may be fetched ahead; `inFlight` are on their way already. Bytes that are not ahead of any of
  /// `readers` count as dropped.
  func credit(_ limits: Limits, readers: [ByteRange], inFlight: Int64) -> Int64 {
    let useful = readers.reduce(Int64(0)) { sum, ahead in
      sum + ahead.count - unread.missing(in: ahead).reduce(0) { $0 + $1.count }
    }
    let stale = max(0, unreadCount - useful)
    return limits.free + readCount / limits.share - 2 * (wasted + stale) - (unreadCount - stale) - inFlight
  }

  mutating func fetched(_ range: ByteRange) {
    unread.insert(range)
    unreadCount = unread.count
  }

  /// A reader asked for `range`.
  mutating func read(_ range: ByteRange) {
    readCount += range.count
    take(range)
  }

  /// A reader found `range` here; only the part that was fetched ahead is news.
  mutating func used(_ range: ByteRange) { readCount += take(range) }

  mutating func dropped(_ range: ByteRange) { wasted += take(range) }

  @discardableResult private mutating func take(_ range: ByteRange) -> Int64 {
    guard !unread.isEmpty else { return 0 }
    unread.remove(range)
    let left = unread.count
    defer { unreadCount = left }
    return unreadCount - left
  }
}
