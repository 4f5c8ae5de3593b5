import Core
import Volume

// MARK: Staging

extension Tiles {
  /// A reserved item stands from here on. Only now, and only beyond the limit, do other tiles go down.
  mutating func stage(_ entry: TileEntry, order: UInt64, at time: Time) -> [TileAction] {
    guard names.insert(id: entry.id, seq: entry.seq) else { preconditionFailure("staged \(entry.id) without a reservation") }
    tiles[entry.seq] = Tile(entry: entry, order: order)
    pairs[entry.pair] = entry.seq
    tilesShown += 1
    return [touchDirectory(time.wall), .invalidate([Place.staged.node])] + lowerOldest(time)
  }

  /// The tile of a standing item is put up again. The item itself is not touched.
  mutating func show(_ seq: UInt64, at time: Time) -> [TileAction] {
    guard var tile = tiles[seq], tile.isNamed else { return [] }
    if tile.order == 0, !tile.isPinned { tilesShown += 1 }
    tile.order = drawOrder()
    tiles[seq] = tile
    return [.journal(.show(seq: seq, order: tile.order))] + lowerOldest(time)
  }

  /// Takes down what is beyond the limit, the oldest first; also for a start with a lower limit than the last one's.
  mutating func lowerOldest(_ time: Time) -> [TileAction] {
    guard rules.maxTiles > 0, tilesShown > rules.maxTiles else { return [] }
    let shown = tiles.values.filter(\.isCounted).sorted { $0.order < $1.order }
    return shown.prefix(tilesShown - rules.maxTiles).flatMap { lower($0.entry.seq, time) }
  }

  private mutating func lower(_ seq: UInt64, _ time: Time) -> [TileAction] {
    guard var tile = tiles[seq], tile.isCounted else { return [] }
    tile.order = 0
    tilesShown -= 1
    tiles[seq] = tile
    if tile.openRef == 0, tile.graceEnds == nil { return evict(seq, time) }
    return [.journal(.show(seq: seq, order: 0))]
  }

  /// By order of a person: the names go at once, the bytes with the last close, without a grace, as nobody can open them again.
  mutating func unstage(_ seqs: [UInt64], at time: Time) -> [TileAction] {
    var nodes: [NodeID] = []
    var actions: [TileAction] = []
    for seq in seqs {
      guard let tile = tiles[seq], tile.isNamed else { continue }
      nodes += [tile.entry.directory, tile.entry.file]
      removeName(seq)
      if tile.openRef == 0 { actions += end(seq) }
    }
    guard !nodes.isEmpty else { return [] }
    return [touchDirectory(time.wall), .invalidate([Place.staged.node] + nodes)] + actions
  }

  /// Both references are 0: name and bytes go together.
  private mutating func evict(_ seq: UInt64, _ time: Time) -> [TileAction] {
    [.journal(.leave(seq: seq))] + unstage([seq], at: time)
  }

  private mutating func removeName(_ seq: UInt64) {
    guard var tile = tiles[seq], tile.isNamed else { return }
    if tile.isCounted { tilesShown -= 1 }
    tile.isNamed = false
    tile.order = 0
    tile.graceEnds = nil
    tile.isPinned = false
    tile.warmth = nil
    graces.remove(seq)
    warming.remove(seq)
    names.remove(id: tile.entry.id, seq: seq)
    if pairs[tile.entry.pair] == seq { pairs[tile.entry.pair] = nil }
    tiles[seq] = tile
  }

  /// The item has neither name nor reader. A store that is still being made is closed when it comes.
  mutating func end(_ seq: UInt64) -> [TileAction] {
    guard let tile = tiles.removeValue(forKey: seq) else { return [] }
    holding.remove(seq)
    let left: [TileAction] = tile.leftover.map { [.unlink($0)] } ?? []
    let gone = left + [.journal(.remove(seq: seq)), .gone(tile.entry)]
    switch tile.bytes {
    case .none: return gone
    case .standing(let generation): return [.closeStore(generation)] + gone
    case .making(let generation), .forgetting(let generation):
      pending[generation] = nil
      return gone
    }
  }
}

// MARK: Handles

extension Tiles {
  /// Counts the handle, whatever the answer; again for the same handle, as a successor of the shim may ask twice.
  mutating func open(_ node: NodeID, handle: HandleID) -> [TileAction] {
    guard case .file(let seq)? = Place(node) else {
      return [.answer(handle, .failed((try? attributes(of: node)) == nil ? .stale : .isDirectory))]
    }
    guard var tile = tiles[seq] else { return [.answer(handle, .failed(.stale))] }
    let counted = handles[handle]
    if let counted {
      guard counted == seq else { return [.answer(handle, .failed(.badHandle))] }
    } else {
      handles[handle] = seq
      tile.openRef += 1
    }
    tile.graceEnds = nil
    tile.warmth = nil
    graces.remove(seq)
    warming.remove(seq)
    defer { tiles[seq] = tile }
    if isStopped { return [.answer(handle, .failed(.io))] }
    // Asked again for a handle that came in by the name, it is answered again, whatever became of the name since.
    guard tile.isNamed || counted != nil else { return [.answer(handle, .failed(.stale))] }
    guard tile.entry.size > 0 else { return [.answer(handle, .empty)] }
    switch tile.bytes {
    case .standing(let generation): return [.setFilling(generation, true), .answer(handle, .store(generation))]
    case .making, .forgetting:
      if !tile.waiters.contains(handle) { tile.waiters.append(handle) }
      return []
    case .none:
      tile.waiters.append(handle)
      return [make(for: &tile)]
    }
  }

  mutating func make(for tile: inout Tile) -> TileAction {
    let generation = drawGeneration()
    tile.bytes = .making(generation)
    pending[generation] = tile.entry.seq
    return .makeStore(tile.entry, generation)
  }

  /// Idempotent, as it is told again after a death.
  mutating func released(_ handle: HandleID, use: HandleUse, at time: Time) -> [TileAction] {
    guard let seq = handles.removeValue(forKey: handle), var tile = tiles[seq] else { return [] }
    var actions: [TileAction] = []
    tile.openRef -= 1
    tile.add(use)
    if let index = tile.waiters.firstIndex(of: handle) {
      tile.waiters.remove(at: index)
      actions.append(.answer(handle, .failed(.io)))
    }
    if tile.openRef == 0 { tile.lastUsed = time }
    if tile.openRef == 0, tile.isNamed {
      tile.graceEnds = time.now + rules.closeGrace
      graces.insert(seq)
    }
    tiles[seq] = tile
    if tile.openRef == 0, !tile.isNamed { actions += end(seq) }
    return actions + advance(to: time)
  }

  /// Ends the graces that are over, and what else has had its time.
  mutating func advance(to time: Time) -> [TileAction] {
    var actions: [TileAction] = []
    for seq in graces.sorted() {
      guard var tile = tiles[seq], let end = tile.graceEnds, end <= time.now else { continue }
      graces.remove(seq)
      tile.graceEnds = nil
      tiles[seq] = tile
      actions += tile.order == 0 && !tile.isPinned ? evict(seq, time) : settle(seq, time)
    }
    return actions + dropOverdue(time)
  }

  /// An item with a tile, open nowhere for some time.
  private mutating func settle(_ seq: UInt64, _ time: Time) -> [TileAction] {
    guard let tile = tiles[seq] else { return [] }
    if tile.isPinned {
      if case .standing(let generation) = tile.bytes { return [.tryDisk(generation)] }
      return []
    }
    if tile.wasReadWhole, rules.afterUpload == .unstage { return evict(seq, time) }
    switch tile.bytes {
    case .making: return []
    case .none, .forgetting:
      // Dropped by order within the grace, or never there.
      tiles[seq]?.forgetUse()
      return []
    case .standing(let generation):
      if tile.wasReadWhole, rules.afterUpload == .dropBytes { return dropBytes(seq) }
      return tile.wantsFilling ? [] : [.setFilling(generation, false)]
    }
  }
}

// MARK: Stores

extension Tiles {
  mutating func storeMade(_ generation: StoreGeneration) -> [TileAction] {
    guard let seq = pending[generation], var tile = tiles[seq], tile.bytes == .making(generation) else { return [.closeStore(generation)] }
    pending[generation] = nil
    let waiters = tile.waiters
    tile.waiters = []
    tile.bytes = .standing(generation)
    tile.leftover = nil
    tiles[seq] = tile
    holding.insert(seq)
    let first: [TileAction] = tile.warmth == nil ? [] : [.fetchFirst(generation, tile.entry.ends)]
    return first + [.setFilling(generation, tile.wantsFilling)] + waiters.map { .answer($0, .store(generation)) }
  }

  /// The next open tries again.
  mutating func storeFailed(_ generation: StoreGeneration, _ error: Errno) -> [TileAction] {
    guard let seq = pending.removeValue(forKey: generation), var tile = tiles[seq], tile.bytes == .making(generation) else { return [] }
    let waiters = tile.waiters
    tile.waiters = []
    tile.bytes = .none
    tile.warmth = nil
    warming.remove(seq)
    tiles[seq] = tile
    return waiters.map { .answer($0, .failed(error)) }
  }

  mutating func pagesForgotten(_ generation: StoreGeneration) -> [TileAction] {
    guard let seq = pending.removeValue(forKey: generation), var tile = tiles[seq], tile.bytes == .forgetting(generation) else { return [] }
    tile.bytes = .none
    defer { tiles[seq] = tile }
    return tile.wantsStore ? [make(for: &tile)] : []
  }

  /// The end: every wait is answered, every store closed. Names stay until the unmount.
  mutating func stop() -> [TileAction] {
    guard !isStopped else { return [] }
    isStopped = true
    pending = [:]
    graces = []
    holding = []
    warming = []
    var actions: [TileAction] = []
    for var tile in all {
      actions += tile.waiters.map { .answer($0, .failed(.io)) }
      if case .standing(let generation) = tile.bytes { actions.append(.closeStore(generation)) }
      tile.waiters = []
      tile.graceEnds = nil
      tile.warmth = nil
      tile.bytes = .none
      tiles[tile.entry.seq] = tile
    }
    return actions
  }
}
