import Core
import Volume

/// What a control plane that died left to this one, after the journal's items are back.
extension Tiles {
  /// The start is over: open handles are counted, and what came back for nobody goes. A handle of a node we do not know is counted nowhere. An item
  /// whose tile was lowered gets another grace, as a browser may open it again.
  mutating func begin(_ open: [HandleID: NodeID], at time: Time) -> [TileAction] {
    for (handle, node) in open {
      guard case .file(let seq)? = Place(node), tiles[seq] != nil, handles[handle] == nil else { continue }
      handles[handle] = seq
      tiles[seq]?.openRef += 1
    }
    // The dead one may not have come to say what it changed last.
    var nodes = [Place.staged.node]
    var actions: [TileAction] = []
    var hasLeft = false
    for tile in all where tile.openRef == 0 || !tile.isNamed {
      let seq = tile.entry.seq
      if !tile.isNamed {
        hasLeft = true
        nodes += [tile.entry.directory, tile.entry.file]
        if tile.openRef == 0 { actions += end(seq) }
      } else if tile.order == 0, !tile.isPinned {
        grantGrace(seq, time)
      }
    }
    if hasLeft { actions.insert(touchDirectory(time.wall), at: 0) }
    return [.invalidate(nodes)] + actions + lowerOldest(time)
  }

  /// Whether the store behind an earlier run's lease can be gone on with: it is a standing item's, or one's that was unstaged while open.
  /// - Parameter name: of its file.
  func accepts(_ name: String, node: NodeID, length: Int64) -> (entry: TileEntry, generation: StoreGeneration)? {
    guard !isStopped, case .file(let seq)? = Place(node), let tile = tiles[seq], tile.bytes == .none, tile.isNamed || tile.openRef > 0,
      let file = BytesFile(name), file.node == node, file.kind == .bytes, isEarlier(file.generation), tile.entry.size == length, length > 0
    else { return nil }
    return (tile.entry, file.generation)
  }

  /// The same for a lease over the window, which has no file: the store is a new one.
  func accepts(windowOf node: NodeID, length: Int64) -> TileEntry? {
    guard !isStopped, case .file(let seq)? = Place(node), let tile = tiles[seq], tile.bytes == .none, tile.isNamed || tile.openRef > 0,
      tile.entry.size == length, length > 0
    else { return nil }
    return tile.entry
  }

  mutating func takeUpWindow(_ seq: UInt64, at time: Time) -> StoreGeneration {
    let generation = drawGeneration()
    takeUp(seq, generation, at: time)
    return generation
  }

  /// From here until `storeMade` or `storeFailed` it is as if it were being made.
  mutating func takeUp(_ seq: UInt64, _ generation: StoreGeneration, at time: Time) {
    guard var tile = tiles[seq], tile.bytes == .none else { return }
    tile.bytes = .making(generation)
    pending[generation] = seq
    tile.lastUsed = time
    tiles[seq] = tile
    if tile.openRef == 0 { grantGrace(seq, time) }
  }

  /// The dead one may have dropped bytes whose pages the kernel still has: no OPEN before it has forgotten them.
  mutating func forgetDropped() -> [TileAction] {
    guard !isStopped else { return [] }
    return all.flatMap { tile -> [TileAction] in
      guard tile.isNamed, tile.openRef == 0, tile.bytes == .none, tile.entry.size > 0 else { return [] }
      let generation = drawGeneration()
      tiles[tile.entry.seq]?.bytes = .forgetting(generation)
      pending[generation] = tile.entry.seq
      return [.forgetPages(tile.entry.file, generation)]
    }
  }

  /// Of files that earlier runs left: for each standing item without bytes the latest that has sums.
  func claims(_ files: Set<BytesFile>) -> [Leftovers.Candidate] {
    var latest: [UInt64: BytesFile] = [:]
    for file in files where file.kind == .bytes && isEarlier(file.generation) && files.contains(file.with(.sums)) {
      guard case .file(let seq)? = Place(file.node), let tile = tiles[seq], tile.isNamed, tile.bytes == .none, tile.entry.size > 0 else {
        continue
      }
      if let other = latest[seq], other.generation.rawValue > file.generation.rawValue { continue }
      latest[seq] = file
    }
    return latest.compactMap { seq, file in
      tiles[seq].map { Leftovers.Candidate(seq: seq, file: file, length: $0.entry.size, identity: identity($0.entry)) }
    }
  }

  /// What an earlier run left of a standing item's bytes waits for its next open.
  /// - Returns: false where nobody needs it any more.
  mutating func keep(_ leftover: Leftover, of seq: UInt64, at time: Time) -> Bool {
    guard !isStopped, var tile = tiles[seq], tile.isNamed, tile.bytes == .none, tile.leftover == nil else { return false }
    tile.leftover = leftover
    tile.lastUsed = time
    tiles[seq] = tile
    holding.insert(seq)
    return true
  }

  /// The files of stores that stand or are being made.
  var files: Set<BytesFile> {
    var files: Set<BytesFile> = []
    for tile in tiles.values {
      switch tile.bytes {
      case .making(let generation), .standing(let generation): files.insert(BytesFile(tile.entry, generation))
      case .none, .forgetting: break
      }
    }
    return files
  }

  /// Tells an item's bytes from those of every other item, of another service's list too, whose numbers may be the same.
  func identity(_ entry: TileEntry) -> UInt64 {
    var hash = StableHash()
    for text in [String(made), String(entry.seq), entry.fileID, entry.recipient] { hash.combine(text.utf8) }
    return hash.value
  }

  private mutating func grantGrace(_ seq: UInt64, _ time: Time) {
    tiles[seq]?.graceEnds = time.now + rules.closeGrace
    graces.insert(seq)
  }
}
