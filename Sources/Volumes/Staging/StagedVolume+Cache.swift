import ControlModel
import Core
import OpenFiles
import Store
import Telemetry
import Volume

/// The bytes that are here, as people order and see them. It runs on the dispatch loop: the bytes and their pins are
/// `FileCache`'s, and the journal is told of pins.
extension StagedVolume {
  // MARK: Orders

  /// Fetches an item fully and keeps its bytes, or lets them be dropped again. Pinned already, it tries again what
  /// failed.
  /// - Returns: once its first missing bytes came, are on their way for a while, or its turn is waited for.
  /// - Throws: `failed` if there is no room; it is not pinned then. Also if the origin refuses it: then it is fetched
  ///   as soon as the origin is right again.
  package func setPinned(_ idOrPath: String, _ isPinned: Bool) async throws(StagingError) -> StagedItem {
    guard !isStopping else { throw .failed("fsmvp is stopping: nothing is pinned any more") }
    guard let seq = standing(idOrPath) else { throw Self.noSuch(idOrPath) }
    guard !isPinned || !isWindowed else {
      throw .invalid("`fetch_mode` is \"range-lru\", which keeps no bytes: pinning needs \"temp-file\"")
    }
    guard !isPinned || !files.isWindowed(Self.key(seq)) else { throw .invalid(Self.streaming) }
    let wasPinned = files.keeper[Self.key(seq)]?.isPinned == true
    if wasPinned != isPinned, let error = await journal.write([.pin(seq: seq, isPinned)]) { throw unwritten(error) }
    guard !isStopping, staged.isStanding(seq) else { throw Self.noSuch(idOrPath) }
    if isPinned { try await pin(seq, wasPinned: wasPinned) } else { unpin(seq) }
    guard let item = item(seq) else { throw Self.noSuch(idOrPath) }
    Log.info(isPinned ? .itemPinned : .itemUnpinned, ["id": item.id])
    return item
  }

  static func key(_ seq: UInt64) -> FileKey { FileKey(id, StagedNode.file(seq).node) }
  private static let streaming = "it streams through memory while its disk is full: close it, make room and pin it then"

  private func unpin(_ seq: UInt64) {
    act(change { $0.unpin(seq, at: $1, &$2) })
  }

  private func pin(_ seq: UInt64, wasPinned: Bool) async throws(StagingError) {
    let key = Self.key(seq)
    act(change { items, _, files in items.pin(seq, &files) })
    let failure = await files.storeFailure(of: key)
    // An opener was given a window meanwhile.
    guard failure != nil || files.isWindowed(key) else {
      // A file that is replaced meanwhile gets another note.
      let note = objects[seq]?.failure
      guard await !files.tryAgain(key) else { return }
      let reason = note?.sentence ?? "no byte of it came"
      throw .failed("\(reason). It is fetched and kept as soon as the origin is right again; `fsmvp unpin` ends that")
    }
    if !wasPinned, files.keeper[key]?.isPinned == true {
      journal.note([.pin(seq: seq, false)])
      unpin(seq)
    }
    throw failure.map { .failed("\($0.sentence); it is not pinned") } ?? .invalid(Self.streaming)
  }

  func warm(_ seq: UInt64) {
    guard let record = staged[seq] else { return }
    let (key, size, time) = (Self.key(seq), record.size, time)
    files.act(files.change { $0.warm(key, size: size, at: time) })
    guard let generation = files.keeper[key]?.store, files.bytesPresent(of: key) >= size else { return }
    files.act(files.change { $0.storeComplete(generation, at: time) })
  }

  /// Drops the bytes of all items that are open nowhere and not pinned; they stay staged. Returns once the space is
  /// free.
  package func clearCache() async throws(StagingError) -> CacheCleared {
    guard !isStopping else { throw .failed("fsmvp is stopping: its bytes go with it") }
    let cleared = await files.clear(Self.id)
    guard cleared.isFree else {
      throw .failed(
        "\(ByteCount.format(cleared.bytes)) were dropped, but the space is not free after 30 s: "
          + "a shim that hangs holds it; see `fsmvp status`")
    }
    return CacheCleared(items: cleared.items, bytes: cleared.bytes)
  }

  // MARK: Looking

  /// Items that are looked at in one step.
  private static var step: Int { 128 }

  package func cache() async throws(StagingError) -> CacheReport {
    let figures: CacheUsage
    do throws(SparseStore.Failure) { figures = try await files.figures() } catch { throw .failed(error.sentence) }
    var listed: [CacheReport.Item] = []
    var bytes = files.space.bytes
    var from: UInt64? = 0
    while let node = from {
      let page = files.keeper.page(Self.id, from: node, limit: Self.step)
      for (node, file) in page {
        guard case .file(let seq)? = StagedNode(NodeID(node)) else { continue }
        let own = files.bytesInFolder(of: Self.key(seq))
        guard own > 0 || file.isPinned, let entry = staged.entry(seq) else { continue }
        bytes &+= own
        listed.append(
          CacheReport.Item(
            id: entry.id, name: entry.name.description, bytes: own, pinned: file.isPinned, open: file.openRef > 0,
            lastUsed: file.lastUsed.map { $0.wall / 1_000_000_000 }))
      }
      from = page.count == Self.step ? page.last.map { $0.key + 1 } : nil
      if from != nil { await files.pause() }
    }
    let left = files.keeper.leftovers
    var report = CacheReport(
      folder: figures.folder, bytes: bytes, reserved: figures.reserved, limit: figures.space.limit(holding: bytes),
      free: figures.space.free, minFree: figures.space.minFree,
      leftovers: CacheReport.Leftovers(files: left.files, bytes: left.bytes), leaving: files.space.bytes, items: listed)
    (report.windowBytes, report.windowLimit) = (figures.windowBytes, figures.windowLimit)
    return report
  }
}
