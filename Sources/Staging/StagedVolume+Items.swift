import Core
import Volume

extension StagedVolume {
  /// By order of staging; those unstaged while open come too, as long as they are.
  package func items() -> [StagedItem] { tiles.all.map { item($0, live: liveUse) } }

  /// Whether a handle is open on any item.
  package var isBusy: Bool { !tiles.handles.isEmpty }

  /// Bytes of items that are gone and whose space is not free yet.
  package var bytesLeaving: Int64 { space.bytes }

  func item(_ tile: Tile) -> StagedItem { item(tile, live: liveUse) }

  private func item(_ tile: Tile, live: [UInt64: Int64]) -> StagedItem {
    let entry = tile.entry
    var fetched: Int64 = 0
    if case .standing(let generation) = tile.bytes { fetched = stores.bytesPresent(of: generation) }
    let failure = belongings[entry.seq]?.failure.sentence
    let state: StagedItem.State =
      if tile.order == 0 { .leaving } else if failure != nil { .failed } else { tile.openRef > 0 ? .open : .ready }
    let open = live[entry.seq] ?? 0
    var item = StagedItem(
      id: entry.id, path: "\(mountpoint)/Staged/\(entry.id)/\(entry.name)", fileId: entry.fileID, name: entry.name.description,
      size: entry.size,
      recipient: entry.recipient, state: state, pinned: tile.isPinned, tileRef: tile.tileRef, openRef: tile.openRef, bytesFetched: fetched,
      bytesServed: min(tile.served, .max - open) + open, failure: failure)
    item.windowed = stores.isWindowed(tile)
    return item
  }

  /// What went through handles that are still open, by item.
  private var liveUse: [UInt64: Int64] {
    guard let host else { return [:] }
    var uses: [UInt64: Int64] = [:]
    for (handle, seq) in tiles.handles { uses[seq, default: 0] &+= max(0, host.use(of: handle).bytes) }
    return uses
  }
}
