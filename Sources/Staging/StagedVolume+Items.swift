import ControlModel
import Core
import Volume

extension StagedVolume {
  /// By order of staging; those unstaged while open come too, as long as they are.
  package func items() -> [StagedItem] {
    let live = liveUse
    return tiles.all.map { item($0, live: live) }
  }

  /// How many there are, and what was fetched of them and given to the kernel, all together.
  package var totals: (items: Int, bytesFetched: Int64, bytesServed: Int64) {
    let live = liveUse
    var totals = (items: tiles.tiles.count, bytesFetched: Int64(0), bytesServed: Int64(0))
    for tile in tiles.tiles.values {
      if case .standing(let generation) = tile.bytes { totals.bytesFetched += stores.bytesPresent(of: generation) }
      totals.bytesServed &+= tile.served &+ (live[tile.entry.seq]?.bytes ?? 0)
    }
    return totals
  }

  /// By id, of whatever stands or is still open.
  package func item(id: String) throws(StagingError) -> StagedItem {
    guard let tile = tiles.tiles.values.first(where: { $0.entry.id == id }) else { throw Self.noSuch(id) }
    return item(tile)
  }

  /// Whether a handle is open on any item.
  package var isBusy: Bool { !tiles.handles.isEmpty }

  /// Bytes of items that are gone and whose space is not free yet.
  package var bytesLeaving: Int64 { space.bytes }

  func item(_ tile: Tile) -> StagedItem { item(tile, live: liveUse) }

  func item(_ tile: Tile, live uses: [UInt64: LiveUse]) -> StagedItem {
    let entry = tile.entry
    let glimpse = glimpse(tile, live: uses)
    var item = StagedItem(
      id: entry.id, path: "\(mountpoint)/Staged/\(entry.id)/\(entry.name)", fileId: entry.fileID, name: entry.name.description,
      size: entry.size, recipient: entry.recipient, state: glimpse.state, pinned: glimpse.pinned, tileRef: glimpse.tileRef,
      openRef: glimpse.openRef, bytesFetched: glimpse.fetched, bytesServed: glimpse.served, failure: glimpse.failure)
    item.windowed = glimpse.windowed
    item.bytesRead = glimpse.read
    item.map = map(tile)
    if glimpse.openRef > 0 { item.readers = readers(of: entry.seq) }
    if let meters = live.meters[entry.seq] {
      let now = surroundings.clock.now()
      item.fetchRate = meters.fetched.rate(at: now)
      item.readRate = meters.served.rate(at: now)
    }
    item.etaSeconds = item.eta
    return item
  }
}
