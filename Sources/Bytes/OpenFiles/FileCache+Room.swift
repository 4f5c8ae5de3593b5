import Core
import EventLoop
import Store
import Telemetry
import Volume

/// The bytes that are here: which go so that others have room, and how much there is. It runs on the dispatch loop;
/// files are unlinked on the thread of deletions.
extension FileCache {
  /// How long a clearing waits for the space to be free; a shim that hangs is replaced before.
  private static var clearPatience: Duration { .seconds(30) }
  /// Files in one step of a clearing.
  private static var step: Int { 32 }

  /// Bytes in the folder that no store answers for, when one is made for `key`.
  func bytesBeside(_ key: FileKey) -> Int64 { space.bytes &+ keeper.parkedBytes(except: key) }

  /// Drops the bytes of one file that is in the way of another, and calls back once their space is free. If space is on
  /// its way to be free already, that is waited for.
  /// - Returns: false if nothing may go, or too little.
  func freeSpace(for key: FileKey, short: Int64, then done: @escaping @DispatchLoop () -> Void) -> Bool {
    guard space.isEmpty else {
      space.whenNextLeft(done)
      return true
    }
    // Bytes that are dropped in vain would only be fetched again.
    guard let first = keeper.inTheWay(of: key), keeper.couldBeFreed(for: key) >= short else { return false }
    Log.info(.cacheDroppedForRoom, ["file": first.node, "bytes": bytesInFolder(of: first)])
    act(change { $0.dropBytes(first) })
    space.whenNextLeft(done)
    return true
  }

  /// Drops the bytes of a volume's files that are open nowhere and not pinned, some at a time, so that neither the loop
  /// nor the disk is kept from anything else. Returns once the space is free.
  /// - Returns: how many files, how many bytes, and whether their space is free.
  package func clear(_ volume: VolumeID) async -> (items: Int, bytes: Int64, isFree: Bool) {
    var cleared = (items: 0, bytes: Int64(0), isFree: true)
    var from: UInt64? = 0
    while let node = from {
      let before = space.bytes
      let (actions, next) = change { $0.dropIdle(volume, from: node, limit: Self.step) }
      cleared.items += actions.count { action in
        switch action {
        case .closeStore, .unlink: true
        default: false
        }
      }
      act(actions)
      cleared.bytes += max(0, space.bytes - before)
      let tickets = space.tickets
      if tickets.isEmpty {
        await pause()
      } else {
        cleared.isFree = await wait(atMost: Self.clearPatience, alarm) { space.whenLeft(tickets, $0) }
      }
      from = cleared.isFree ? next : nil
    }
    Log.info(.cacheCleared, ["items": cleared.items, "bytes": cleared.bytes])
    return cleared
  }

  /// Lets the loop do everything else that is due.
  package func pause() async {
    await withCheckedContinuation { continuation in EventLoop.dispatch.post { continuation.resume() } }
  }

  // MARK: Unlinking

  /// On a thread of its own, in order.
  /// - Parameter bytes: what they take on the disk, as far as it is known.
  func unlink(_ files: [BytesFile], bytes: Int64 = 0) {
    let (leftovers, space) = (leftovers, space)
    let ticket = space.leave(bytes)
    SerialThread.deletion.run(on: .dispatch) {
      leftovers.unlink(files)
    } then: { _ in
      DispatchLoop.assumeIsolated { space.left(ticket) }
    }
  }

  // MARK: Looking

  package func figures() async throws(SparseStore.Failure) -> CacheUsage { try await maker.figures() }
  package func bytesPresent(of key: FileKey) -> Int64 {
    guard let file = keeper[key] else { return 0 }
    if let generation = file.store { return stores.bytesPresent(of: generation) }
    return file.parked?.present(of: file.size) ?? 0
  }
  /// The bytes that are present of the volume's files with a store, counted some files at a time.
  package func countStanding(_ volume: VolumeID) async -> Int64 {
    var (bytes, from, looked): (Int64, UInt64, Int) = (0, 0, 0)
    while let node = keeper.nextMoving(volume, from: from) {
      if let generation = keeper[FileKey(volume, NodeID(node))]?.store {
        bytes &+= stores.bytesPresent(of: generation)
      }
      (from, looked) = (node + 1, looked + 1)
      if looked % Self.filesALook == 0 { await pause() }
    }
    return bytes
  }
  private static var filesALook: Int { 256 }
  /// On the disk.
  package func bytesInFolder(of key: FileKey) -> Int64 {
    guard let file = keeper[key] else { return 0 }
    if let generation = file.store { return stores.bytesInFolder(of: generation) }
    return file.parked?.bytes ?? 0
  }
  /// Whether the bytes that are not here stream through memory.
  package func isWindowed(_ key: FileKey) -> Bool {
    guard let file = keeper[key], let generation = file.store else { return false }
    return stores.isWindowed(generation)
  }

  /// How much of each of at most `cells` equal parts of the file is here, 0 to 15; empty if there is nothing.
  package func presence(of key: FileKey, cells: Int) -> [UInt8] {
    guard let file = keeper[key] else { return [] }
    if let generation = file.store { return stores.presence(of: generation, cells: cells) }
    guard let parked = file.parked, file.size > 0 else { return [] }
    let count = min(cells, Int(clamping: file.size))
    guard !parked.isComplete else { return [UInt8](repeating: 15, count: count) }
    let here = RangeSet(parked.extents)
    return (0..<count).map { cell in
      let start = file.size / Int64(count) * Int64(cell)
      let end = cell == count - 1 ? file.size : file.size / Int64(count) * Int64(cell + 1)
      let missing = here.missing(in: ByteRange(start, end)).reduce(Int64(0)) { $0 + $1.count }
      return UInt8(15 * (end - start - missing) / max(1, end - start))
    }
  }
}
