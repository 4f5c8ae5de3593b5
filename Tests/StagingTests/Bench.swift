import Core
import Testing
import Volume

@testable import Staging

/// `Tiles` with a clock and a list of what it asked for.
struct Bench {
  var tiles: Tiles
  var seconds = 0.0
  var asked: [TileAction] = []

  init(maxTiles: Int = 0, afterUpload: StagedVolume.AfterUpload = .keep, idleEvict: Duration = .zero, firstGeneration: UInt64 = 1) {
    tiles = Tiles(
      rules: Tiles.Rules(maxTiles: maxTiles, closeGrace: .seconds(5), afterUpload: afterUpload, idleEvict: idleEvict),
      origins: Tiles.Origins(nextGeneration: firstGeneration))
  }

  var time: Tiles.Time { Tiles.Time(now: Moment(nanoseconds: UInt64(seconds * 1e9)), wall: 1000) }

  mutating func stage(_ fileID: String, size: Int64 = 100) -> TileEntry {
    let entry = tiles.reserve(fileID: fileID, recipient: "r", name: FileName("\(fileID).mp4"), size: size, wall: 1000)
    asked = tiles.stage(entry, order: tiles.drawOrder(), at: time)
    return entry
  }
  mutating func show(_ entry: TileEntry) { asked = tiles.show(entry.seq, at: time) }
  mutating func unstage(_ entry: TileEntry) { asked = tiles.unstage([entry.seq], at: time) }
  mutating func open(_ entry: TileEntry, _ handle: UInt64) { asked = tiles.open(entry.file, handle: HandleID(handle)) }
  mutating func close(_ handle: UInt64, read: Int64 = 0) {
    asked = tiles.released(HandleID(handle), use: HandleUse(bytes: read, furthest: read), at: time)
  }
  mutating func pass(_ seconds: Double) {
    self.seconds += seconds
    asked = tiles.advance(to: time)
  }
  /// The store that was asked for last.
  var asking: StoreGeneration? {
    for case .makeStore(_, let generation) in asked { return generation }
    return nil
  }
  /// Makes it.
  mutating func made() throws -> StoreGeneration {
    let generation = try #require(asking)
    asked = tiles.storeMade(generation)
    return generation
  }
  mutating func restore(_ entry: TileEntry, order: UInt64, isLeaving: Bool = false) -> Bool {
    tiles.restore(entry, order: order, isLeaving: isLeaving)
  }
  mutating func begin(_ open: [HandleID: NodeID] = [:]) { asked = tiles.begin(open, at: time) }

  mutating func pin(_ entry: TileEntry) { asked = tiles.pin(entry.seq) }
  mutating func unpin(_ entry: TileEntry) { asked = tiles.unpin(entry.seq, at: time) }
  mutating func warm(_ entry: TileEntry) { asked = tiles.warm(entry.seq) }
  /// A standing store that was read to a place and closed, its grace over.
  mutating func idle(_ fileID: String, _ handle: UInt64, size: Int64 = 100) throws -> (TileEntry, StoreGeneration) {
    let entry = stage(fileID, size: size)
    open(entry, handle)
    let store = try made()
    close(handle)
    pass(5)
    return (entry, store)
  }
  func bytes(_ entry: TileEntry) -> Tile.Bytes? { tiles.tiles[entry.seq]?.bytes }

  /// [tileRef, openRef], nil for an item that is gone.
  func refs(_ entry: TileEntry) -> [Int]? { tiles.tiles[entry.seq].map { [$0.tileRef, $0.openRef] } }
  func isThere(_ entry: TileEntry) -> Bool { (try? tiles.lookup(FileName(entry.id), in: NodeID(2)).node) == entry.directory }
}
