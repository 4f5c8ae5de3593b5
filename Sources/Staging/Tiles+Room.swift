import Core
import Volume

/// Bytes that are fetched or kept without a reader, and bytes that go although their item stands.
extension Tiles {
  // MARK: Pin and warm

  /// Fetched fully and kept from now on, whoever reads it; its tile is put up. What it lacked a store for, it gets.
  mutating func pin(_ seq: UInt64) -> [TileAction] {
    guard var tile = tiles[seq], tile.isNamed else { return [] }
    var actions: [TileAction] = []
    if tile.isCounted { tilesShown -= 1 }
    tile.isPinned = true
    tile.warmth = nil
    warming.remove(seq)
    if tile.order == 0 {
      tile.order = drawOrder()
      actions.append(.journal(.show(seq: seq, order: tile.order)))
    }
    actions += fill(&tile)
    tiles[seq] = tile
    return actions
  }

  /// From here on its bytes are as old as any that were used just now.
  mutating func unpin(_ seq: UInt64, at time: Time) -> [TileAction] {
    guard var tile = tiles[seq], tile.isPinned else { return [] }
    tile.isPinned = false
    tile.lastUsed = time
    if tile.isCounted { tilesShown += 1 }
    tiles[seq] = tile
    var actions: [TileAction] = []
    if case .standing(let generation) = tile.bytes, !tile.wantsFilling { actions.append(.setFilling(generation, false)) }
    return actions + lowerOldest(time)
  }

  /// Fetched before its first open, ends first.
  mutating func warm(_ seq: UInt64) -> [TileAction] {
    guard var tile = tiles[seq], tile.isNamed, tile.openRef == 0, !tile.isPinned, tile.entry.size > 0, !isStopped else { return [] }
    tile.warmth = .fetching
    warming.insert(seq)
    var actions: [TileAction] = []
    if case .standing(let generation) = tile.bytes { actions.append(.fetchFirst(generation, tile.entry.ends)) }
    actions += fill(&tile)
    tiles[seq] = tile
    return actions
  }

  /// Every byte is here.
  mutating func storeComplete(_ generation: StoreGeneration, at time: Time) {
    guard let seq = holding.first(where: { tiles[$0]?.bytes == .standing(generation) }), tiles[seq]?.warmth == .fetching else { return }
    tiles[seq]?.warmth = .complete(until: time.now + rules.warmth)
    tiles[seq]?.lastUsed = time
  }

  /// Pinned items without a store get one: the end of a start.
  mutating func fillPinned() -> [TileAction] {
    all.filter(\.isPinned).flatMap { tile -> [TileAction] in
      var tile = tile
      let actions = fill(&tile)
      tiles[tile.entry.seq] = tile
      return actions
    }
  }

  private mutating func fill(_ tile: inout Tile) -> [TileAction] {
    guard tile.entry.size > 0, !isStopped else { return [] }
    switch tile.bytes {
    case .none: return [make(for: &tile)]
    case .standing(let generation): return [.setFilling(generation, true)]
    case .making, .forgetting: return []
    }
  }

  // MARK: Dropping

  /// The item stays. No OPEN of it is answered before the kernel has forgotten the bytes.
  mutating func dropBytes(_ seq: UInt64) -> [TileAction] {
    guard var tile = tiles[seq], tile.openRef == 0, !tile.isPinned, tile.hasBytes else { return [] }
    var actions: [TileAction] = []
    if let leftover = tile.leftover { actions.append(.unlink(leftover)) }
    if case .standing(let generation) = tile.bytes {
      tile.bytes = .forgetting(generation)
      pending[generation] = seq
      actions += [.closeStore(generation), .forgetPages(tile.entry.file, generation)]
    }
    tile.leftover = nil
    tile.warmth = nil
    // What happens to an uploaded item at the end of its grace is not undone by that.
    if tile.graceEnds == nil { tile.forgetUse() }
    tiles[seq] = tile
    holding.remove(seq)
    warming.remove(seq)
    return actions
  }

  /// Whose bytes may go so that `seq` has room, in this order: those of earlier runs, then those closed longest ago; then, where somebody has `seq` open,
  /// those that are fetched for an open that may come.
  func inTheWay(of seq: UInt64) -> [UInt64] {
    let isOpen = (tiles[seq]?.openRef ?? 0) > 0
    func rank(_ tile: Tile) -> (Int, UInt64, UInt64) {
      let kind = tile.warmth != nil ? 2 : (tile.leftover == nil ? 1 : 0)
      return (kind, tile.lastUsed?.now.nanoseconds ?? 0, tile.entry.seq)
    }
    return holding.compactMap { tiles[$0] }.filter { $0.entry.seq != seq && $0.isIdle && $0.hasBytes && ($0.warmth == nil || isOpen) }
      .sorted { rank($0) < rank($1) }.map(\.entry.seq)
  }

  /// By order of a person: of all items that are open nowhere, within their grace too, but pinned.
  mutating func dropIdle() -> [TileAction] { holding.sorted().flatMap { dropBytes($0) } }

  /// What nobody used for long, and what was warm for nobody.
  mutating func dropOverdue(_ time: Time) -> [TileAction] {
    var actions: [TileAction] = []
    for seq in timed.sorted() {
      guard let tile = tiles[seq], let deadline = tile.deadline(idle: rules.idleEvict), deadline <= time.now else { continue }
      guard tile.warmth == nil else {
        tiles[seq]?.warmth = nil
        warming.remove(seq)
        if case .standing(let generation) = tile.bytes { actions.append(.setFilling(generation, false)) }
        // It may have been idle for long by now.
        if let idle = tiles[seq]?.deadline(idle: rules.idleEvict), idle <= time.now { actions += dropBytes(seq) }
        continue
      }
      actions += dropBytes(seq)
    }
    return actions
  }

  // MARK: Questions

  /// Whether the store of that generation is still waited for.
  func awaits(_ generation: StoreGeneration) -> Bool {
    pending[generation].flatMap { tiles[$0]?.bytes } == .making(generation)
  }

  /// Whether somebody reads it, or waits to.
  func isOpen(_ seq: UInt64) -> Bool { (tiles[seq]?.openRef ?? 0) > 0 }

  /// Whose store it is, while it stands.
  func owner(of generation: StoreGeneration) -> Tile? {
    holding.lazy.compactMap { self.tiles[$0] }.first { $0.bytes == .standing(generation) }
  }

  /// What earlier runs left and no open has asked for, of all items but one.
  func leftovers(except seq: UInt64? = nil) -> [Leftover] {
    holding.filter { $0 != seq }.compactMap { tiles[$0]?.leftover }
  }
}

extension TileEntry {
  /// What players and browsers look at before all else; the one to be fetched last comes first, as the rest is fetched on from there.
  var ends: [ByteRange] {
    let end: Int64 = 1 << 20
    return size <= 2 * end ? [ByteRange(0, size)] : [ByteRange(size - end, size), ByteRange(0, end)]
  }
}
