import Core
import Volume

/// All staged items with their two references, as a value: events go in, what is to be done comes out. Check and change are one call, so
/// nothing can fall between them; it waits for nothing and touches no file.
///
/// The rule that everything here serves: a store's bytes go if and only if both references are 0 (and the grace after the last close is over),
/// or the item stands, is open nowhere, is not pinned, and its bytes are dropped: uploaded, unused for long, in the way of others, or by order.
struct Tiles {
  struct Rules {
    /// 0: no limit.
    var maxTiles = 0
    var closeGrace: Duration = .seconds(5)
    var afterUpload: StagedVolume.AfterUpload = .keep
    /// How long bytes that nobody uses are kept; 0: for ever.
    var idleEvict: Duration = .zero
    /// How long what was fetched ahead waits for its first open as if it were open.
    var warmth: Duration = .seconds(600)
  }

  /// The time of an event: monotonic for deadlines, wall for mtimes (nanoseconds since 1970).
  struct Time: Equatable {
    var now: Moment
    var wall: Int64
  }

  /// What the journal kept besides the items.
  struct Origins: Equatable, Sendable {
    var nextSeq: UInt64 = 0
    /// When the journal was made: the mtime of the root, whose entries never change.
    var made: Int64 = 0
    var directoryModified: Int64 = 0
    /// Above every generation ever used.
    var nextGeneration: UInt64 = 1
  }

  let rules: Rules
  let made: Int64
  var tiles: [UInt64: Tile] = [:]
  var names = StagedNames()
  /// The standing item of each pair.
  var pairs: [TilePair: UInt64] = [:]
  var handles: [HandleID: UInt64] = [:]
  /// Whose store is being made, or forgotten, under a generation.
  var pending: [StoreGeneration: UInt64] = [:]
  /// Items within their grace.
  var graces: Set<UInt64> = []
  /// Items with a standing store or something of an earlier run.
  var holding: Set<UInt64> = []
  /// Items that are warmed or warm.
  var warming: Set<UInt64> = []
  /// Without pinned ones.
  var tilesShown = 0
  var isStopped = false

  private(set) var directoryModified: Int64
  private var nextSeq: UInt64
  private var nextOrder: UInt64 = 1
  private let firstGeneration: UInt64
  private var nextGeneration: UInt64
  /// The latest mtime given to anything.
  private var latest: Int64

  init(rules: Rules, origins: Origins = Origins()) {
    self.rules = rules
    made = origins.made
    nextSeq = origins.nextSeq
    firstGeneration = origins.nextGeneration
    nextGeneration = origins.nextGeneration
    directoryModified = origins.directoryModified
    latest = max(origins.made, origins.directoryModified)
  }

  // MARK: Numbers

  /// Rising strictly, whatever the wall clock does.
  mutating func stamp(_ wall: Int64) -> Int64 {
    latest = max(wall, latest &+ 1)
    return latest
  }

  mutating func touchDirectory(_ wall: Int64) -> TileAction {
    directoryModified = stamp(wall)
    return .journal(.directory(modified: directoryModified))
  }

  mutating func drawOrder() -> UInt64 {
    defer { nextOrder += 1 }
    return nextOrder
  }

  mutating func drawGeneration() -> StoreGeneration {
    defer { nextGeneration += 1 }
    return StoreGeneration(rawValue: nextGeneration)
  }

  /// Whether an earlier run drew it.
  func isEarlier(_ generation: StoreGeneration) -> Bool { generation.rawValue < firstGeneration }

  // MARK: Coming to stand

  /// Draws number, name and mtime for a new item; nothing is visible yet. Ends with `stage` or `cancel`.
  mutating func reserve(fileID: String, recipient: String, name: FileName, size: Int64, wall: Int64, base: String? = nil) -> TileEntry {
    let seq = nextSeq
    nextSeq += 1
    let id = names.reserve(base: base ?? StableHash.hex(fileID, recipient), seq: seq)
    return TileEntry(seq: seq, id: id, fileID: fileID, recipient: recipient, name: name, size: size, modified: stamp(wall))
  }

  mutating func cancel(_ entry: TileEntry) { names.remove(id: entry.id, seq: entry.seq) }

  /// An item of the journal; nothing goes before `begin`, as its readers may have come through the restart.
  /// - Returns: false where it cannot be (its name or pair is taken): the journal is not to be believed.
  mutating func restore(_ entry: TileEntry, order: UInt64, isLeaving: Bool = false, isPinned: Bool = false) -> Bool {
    guard tiles[entry.seq] == nil else { return false }
    var tile = Tile(entry: entry, order: isLeaving ? 0 : order)
    tile.isNamed = !isLeaving
    tile.isPinned = isPinned && !isLeaving
    if !isLeaving {
      guard pairs[entry.pair] == nil, names.insert(id: entry.id, seq: entry.seq) else { return false }
      pairs[entry.pair] = entry.seq
      if tile.isCounted { tilesShown += 1 }
      // One that was staged in the moment of a death: the entries have changed since the directory's time was written down.
      directoryModified = max(directoryModified, entry.modified)
    }
    tiles[entry.seq] = tile
    nextSeq = max(nextSeq, entry.seq + 1)
    nextOrder = max(nextOrder, order + 1)
    latest = max(latest, entry.modified)
    return true
  }

  // MARK: Questions

  /// The standing item of a pair, whose name leads to it.
  func standing(_ pair: TilePair) -> UInt64? { pairs[pair] }

  func isStanding(_ seq: UInt64) -> Bool { tiles[seq]?.isNamed == true }

  /// By order of staging; those that were unstaged while open among them.
  var all: [Tile] { tiles.values.sorted { $0.entry.seq < $1.entry.seq } }

  /// When `advance` is next to be called.
  var nextDeadline: Moment? {
    let kept = timed.compactMap { tiles[$0]?.deadline(idle: rules.idleEvict) }
    return (graces.compactMap { tiles[$0]?.graceEnds } + kept).min()
  }

  /// Whose bytes time alone may concern.
  var timed: Set<UInt64> { rules.idleEvict > .zero ? holding.union(warming) : warming }

  var statistics: VolumeStatistics {
    var bytes: Int64 = 0
    for seq in names.seqs { bytes = min(bytes, .max - (tiles[seq]?.entry.size ?? 0)) + (tiles[seq]?.entry.size ?? 0) }
    return VolumeStatistics(bytes: bytes, files: Int64(names.seqs.count))
  }
}
