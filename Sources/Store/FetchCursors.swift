import Core

/// Where readers are in a file: a few places that somebody reads onwards from, the least recently used forgotten first.
///
/// A read belongs to the cursor whose window it falls into, not to one whose next byte it begins with: the kernel's read-ahead comes in several
/// requests and in any order (mountpoint-s3 allows 1 MiB back and 16 MiB forward before it calls a read a seek). What falls into none is a new place: a
/// probe, until it goes on.
struct FetchCursors: Equatable {
  struct Cursor: Equatable {
    /// Where it began.
    var start: Int64
    /// One past the furthest byte that was asked for.
    var position: Int64
    var reads = 1
    /// Rises with every use of any cursor.
    var lastUse: Int

    /// Bytes it has come so far.
    var run: Int64 { position - start }
    /// Somebody reads on and on here: it is worth fetching what comes next.
    var isStream: Bool { reads > 1 && run >= FetchCursors.streamRun }
  }

  static let limit = 8
  static let back: Int64 = 1 << 20
  static let forward: Int64 = 16 << 20
  static let streamRun: Int64 = 512 << 10

  private(set) var all: [Cursor] = []
  private var uses = 0

  /// Somebody asked for `range`.
  /// - Parameter held: what is there needs no asking, so a reader may have passed it unseen.
  /// - Returns: the cursor it belongs to.
  @discardableResult mutating func read(_ range: ByteRange, held: RangeSet, size: Int64) -> Cursor {
    uses += 1
    if let index = index(of: range, held: held, size: size) {
      all[index].position = max(all[index].position, range.end)
      all[index].reads += 1
      all[index].lastUse = uses
      return all[index]
    }
    if all.count == Self.limit, let oldest = all.indices.min(by: { all[$0].lastUse < all[$1].lastUse }) { all.remove(at: oldest) }
    let cursor = Cursor(start: range.start, position: range.end, lastUse: uses)
    all.append(cursor)
    return cursor
  }

  /// The nearest one that `range` goes on from.
  private func index(of range: ByteRange, held: RangeSet, size: Int64) -> Int? {
    all.indices.filter { index in
      let cursor = all[index]
      guard range.start >= cursor.position - Self.back else { return false }
      if range.start - cursor.position <= Self.forward { return true }
      let missing = held.firstMissing(in: ByteRange(min(cursor.position, size), size))?.start ?? size
      return range.start <= missing || range.start - missing <= Self.forward
    }.min { abs(range.start - all[$0].position) < abs(range.start - all[$1].position) }
  }

  /// Those to fetch ahead of, or, where nobody has gone on from anywhere yet, the first place of all.
  var streams: [Cursor] {
    let streams = all.filter(\.isStream)
    return streams.isEmpty ? Array(all.prefix(1)) : streams
  }
}
