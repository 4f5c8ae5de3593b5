import Core

/// The readers' positions in a file: a few places from which reads go on, the least recently used forgotten first.
///
/// A read belongs to the cursor whose window it falls into, not to one whose next byte it begins with: the kernel's
/// read-ahead comes in several requests and in any order (mountpoint-s3 allows 1 MiB back and 16 MiB forward before it
/// calls a read a seek). A read outside all windows begins a new cursor: a probe, until it goes on. It is a value in
/// the file's `FetchPlan`.
struct FetchCursors: Equatable {
  struct Cursor: Equatable {
    /// Offset of its first read.
    var start: Int64
    /// One past the furthest byte that was asked for.
    var position: Int64
    var reads = 1
    /// Read on from after the first bytes were here: the kernel asks for the parts of one read at once, before there
    /// are any.
    var isReadOn = false
    /// Bytes it jumped over without asking for them.
    var skipped: Int64 = 0
    /// Rises with every use of any cursor.
    var lastUse: Int

    /// Bytes it has come so far.
    var run: Int64 { position - start - skipped }
    /// How much may be fetched ahead of it; nil: all there is. A reader that only looks at a place has little, and one
    /// that reads on soon has all.
    var credit: Int64? { !isReadOn ? 0 : run >= FetchCursors.creditRun ? nil : run * FetchCursors.creditFactor }
    /// Reads go on and on here, so the next bytes are worth fetching.
    var isStream: Bool { reads > 1 && run >= FetchCursors.streamRun }
  }

  static let limit = 8
  static let back: Int64 = 1 << 20
  static let forward: Int64 = 16 << 20
  static let streamRun: Int64 = 512 << 10
  static let creditRun: Int64 = 4 << 20
  static let creditFactor: Int64 = 4

  private(set) var all: [Cursor] = []
  private var uses = 0

  /// Notes a read of `range`.
  /// - Parameter held: what is there needs no asking, so a reader may have passed it unseen.
  /// - Returns: the cursor it belongs to.
  @discardableResult mutating func read(_ range: ByteRange, held: RangeSet, size: Int64) -> Cursor {
    uses += 1
    if let index = index(of: range, held: held, size: size) {
      if range.end > all[index].position {
        let skipped = held.missing(in: ByteRange(min(all[index].position, range.start), range.start)).reduce(0) {
          $0 + $1.count
        }
        // A look at a place further on is no reading on, however short the way.
        if skipped > Self.back {
          all[index].skipped += skipped
        } else if held.contains(all[index].start), held.firstMissing(in: range) != nil {
          all[index].isReadOn = true
        }
        all[index].position = range.end
      }
      all[index].reads += 1
      all[index].lastUse = uses
      return all[index]
    }
    if all.count == Self.limit, let oldest = all.indices.min(by: { all[$0].lastUse < all[$1].lastUse }) {
      all.remove(at: oldest)
    }
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

  /// Readers that have read on.
  var readOn: [Cursor] { all.filter(\.isReadOn) }
  var isReadOn: Bool { all.contains(where: \.isReadOn) }
  /// One of them has come so far that all of the file is wanted.
  var isCredited: Bool { all.contains { $0.credit == nil } }

  /// The cursors to fetch ahead of; if no reader has gone on from anywhere yet, the first cursor alone.
  var streams: [Cursor] {
    let streams = all.filter(\.isStream)
    return streams.isEmpty ? Array(all.prefix(1)) : streams
  }
}
