import ControlModel
import Core
import Store
import Telemetry
import Volume

/// The bytes that are here: what is shown of them, which are kept, and which go so that others have room.
extension StagedVolume {
  /// How long a clearing waits for the space to be free; a shim that hangs is replaced before.
  private static var clearPatience: Duration { .seconds(30) }

  // MARK: Orders

  /// Fetches an item fully and keeps its bytes, or lets them be dropped again. Pinned already, it tries again what failed.
  /// - Returns: once its file is made; its bytes come afterwards.
  /// - Throws: `failed` where there is no room; it is not pinned then.
  package func setPinned(_ idOrPath: String, _ isPinned: Bool) async throws(StagingError) -> StagedItem {
    guard !isStopping else { throw .failed("fsmvp is stopping: nothing is pinned any more") }
    guard let seq = standing(idOrPath) else { throw Self.noSuch(idOrPath) }
    guard !isPinned || !isWindowed else {
      throw .invalid("`fetch_mode` is \"range-lru\", which keeps no bytes: pinning needs \"temp-file\"")
    }
    guard !isPinned || !streams(seq) else { throw .invalid(Self.streaming) }
    let wasPinned = tiles.tiles[seq]?.isPinned == true
    if wasPinned != isPinned, let error = await journal.write([.pin(seq: seq, isPinned)]) { throw unwritten(error) }
    guard !isStopping, tiles.isStanding(seq) else { throw Self.noSuch(idOrPath) }
    if isPinned { try await pin(seq, wasPinned: wasPinned) } else { act(tiles.unpin(seq, at: time)) }
    guard let tile = tiles.tiles[seq] else { throw Self.noSuch(idOrPath) }
    Log.info(isPinned ? "item.pinned" : "item.unpinned", ["id": tile.entry.id])
    return item(tile)
  }

  private static let streaming = "it streams through memory while its disk is full: close it, make room and pin it then"
  private func streams(_ seq: UInt64) -> Bool { tiles.tiles[seq].map(stores.isWindowed) == true }

  private func pin(_ seq: UInt64, wasPinned: Bool) async throws(StagingError) {
    act(tiles.pin(seq))
    if wasPinned, case .standing(let generation)? = tiles.tiles[seq]?.bytes { stores.tryAgain(generation) }
    let failure = await storeFailure(of: seq)
    // An opener was given a window meanwhile.
    guard failure != nil || streams(seq) else { return }
    if !wasPinned, tiles.tiles[seq]?.isPinned == true {
      journal.note([.pin(seq: seq, false)])
      act(tiles.unpin(seq, at: time))
    }
    throw failure.map { .failed("\($0.sentence); it is not pinned") } ?? .invalid(Self.streaming)
  }

  /// Waits for the store that is being made, if one is.
  private func storeFailure(of seq: UInt64) async -> SparseStore.Failure? {
    guard let tile = tiles.tiles[seq] else { return nil }
    switch tile.bytes {
    case .making, .forgetting: break
    case .standing, .none: return nil
    }
    return await withCheckedContinuation { continuation in
      whenMade[seq, default: []].append { continuation.resume(returning: $0) }
    }
  }

  func warm(_ seq: UInt64) {
    act(tiles.warm(seq))
    guard let tile = tiles.tiles[seq], case .standing(let generation) = tile.bytes else { return }
    guard stores.bytesPresent(of: generation) >= tile.entry.size else { return }
    tiles.storeComplete(generation, at: time)
    act([])
  }

  /// Drops the bytes of all items that are open nowhere and not pinned; they stay staged. Returns once the space is free.
  package func clearCache() async throws(StagingError) -> CacheCleared {
    guard !isStopping else { throw .failed("fsmvp is stopping: its bytes go with it") }
    let before = space.bytes
    let actions = tiles.dropIdle()
    let items = actions.count { action in
      switch action {
      case .closeStore, .unlink: true
      default: false
      }
    }
    act(actions)
    let bytes = space.bytes - before
    let tickets = space.tickets
    Log.info("cache.cleared", ["items": items, "bytes": bytes])
    let isFree = await wait(atMost: Self.clearPatience, surroundings) { done in space.whenLeft(tickets, done) }
    guard isFree else {
      throw .failed(
        "\(ByteCount.format(bytes)) were dropped, but the space is not free after \(Int(Self.clearPatience.seconds)) s: "
          + "a shim that hangs holds it; see `fsmvp status`")
    }
    return CacheCleared(items: items, bytes: bytes)
  }

  // MARK: Looking

  package func cache() async throws(StagingError) -> CacheReport {
    let figures: CacheFigures
    do throws(SparseStore.Failure) { figures = try await surroundings.stores.figures() } catch { throw .failed(error.sentence) }
    let leftovers = tiles.leftovers()
    let items = tiles.all.compactMap { tile -> CacheReport.Item? in
      let entry = tile.entry
      let bytes = stores.bytesPresent(of: tile)
      guard bytes > 0 || tile.isPinned else { return nil }
      return CacheReport.Item(
        id: entry.id, name: entry.name.description, bytes: bytes, pinned: tile.isPinned, open: tile.openRef > 0,
        lastUsed: tile.lastUsed.map { $0.wall / 1_000_000_000 })
    }
    let left = leftovers.reduce(0) { $0 + $1.bytes }
    var report = CacheReport(
      folder: figures.folder, bytes: items.reduce(space.bytes) { $0 + $1.bytes }, reserved: figures.reserved,
      limit: figures.space.limit, free: figures.space.free, minFree: figures.space.minFree,
      leftovers: CacheReport.Leftovers(files: leftovers.count, bytes: left), leaving: space.bytes, items: items)
    (report.windowBytes, report.windowLimit) = (figures.windowBytes, figures.windowLimit)
    return report
  }

  // MARK: Room

  /// Bytes in the folder that no store answers for, when one is made for `seq`.
  func bytesBeside(_ seq: UInt64) -> Int64 { tiles.leftovers(except: seq).reduce(space.bytes) { $0 + $1.bytes } }

  /// Drops the bytes of one item that is in the way of another, and calls back once their space is free. Where space is on its way to be free already,
  /// that is waited for.
  /// - Returns: false where nothing may go, or too little.
  func freeSpace(for seq: UInt64, short: Int64, then done: @escaping @DispatchLoop () -> Void) -> Bool {
    guard !isStopping else { return false }
    guard space.isEmpty else {
      space.whenNextLeft(done)
      return true
    }
    let candidates = tiles.inTheWay(of: seq).compactMap { tiles.tiles[$0] }
    // An idle store gives back what it was promised, too. What is dropped in vain would only be fetched again.
    let most = candidates.reduce(Int64(0)) { sum, tile in
      min(sum, .max - tile.entry.size - (tile.leftover?.bytes ?? 0)) + tile.entry.size + (tile.leftover?.bytes ?? 0)
    }
    guard let first = candidates.first, most >= short else { return false }
    Log.info("cache.dropped-for-room", ["id": first.entry.id, "bytes": stores.bytesPresent(of: first)])
    act(tiles.dropBytes(first.entry.seq))
    space.whenNextLeft(done)
    return true
  }
}
