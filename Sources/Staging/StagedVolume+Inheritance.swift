import Core
import EventLoop
import Store
import Telemetry
import Volume

/// The start after a death: of the control plane alone, with handles and leases that stand, or of everything, with files alone.
extension StagedVolume {
  /// Only the first call counts.
  package func inherit(_ inheritance: Inheritance) async {
    stores.windowGeneration = inheritance.windowGeneration
    guard !hasBegun else {
      for window in inheritance.windows { host?.revoke(window) {} }
      return refuse(inheritance.leases)
    }
    await begin(with: inheritance)
    act(tiles.forgetDropped())
    act(tiles.fillPinned())
  }

  private func begin(with inheritance: Inheritance) async {
    hasBegun = true
    act(tiles.begin(inheritance.handles, at: time))
    let refused = await takeUp(inheritance.leases)
    await takeUp(inheritance.windows)
    await claimFiles(except: refused)
  }

  /// A start with nothing open and leased, on a new mount; does nothing where `inherit` was called.
  package func begin() async {
    guard !hasBegun else { return }
    await begin(with: Inheritance())
    act(tiles.fillPinned())
  }

  // MARK: Leases

  private struct Found {
    var lease: any InheritedLease
    var entry: TileEntry
    var generation: StoreGeneration
  }

  /// - Returns: the files of those that were not taken up.
  private func takeUp(_ leases: [any InheritedLease]) async -> Set<BytesFile> {
    var found: [UInt64: Found] = [:]
    var refused: [any InheritedLease] = []
    for lease in leases {
      guard lease.root == 0, let (entry, generation) = tiles.accepts(lease.name, node: lease.node, length: lease.length) else {
        refused.append(lease)
        continue
      }
      let new = Found(lease: lease, entry: entry, generation: generation)
      guard let other = found[entry.seq] else {
        found[entry.seq] = new
        continue
      }
      // The one that was made later is the one that openers were given.
      let isLater = generation.rawValue > other.generation.rawValue
      refused.append(isLater ? other.lease : lease)
      if isLater { found[entry.seq] = new }
    }
    refuse(refused)
    let openings = found.values.map { found in Task { @DispatchLoop in await self.takeUp(found) } }
    var count = 0
    for opening in openings { if await opening.value { count += 1 } }
    if !leases.isEmpty { Log.info("leases.taken-up", ["leases": count, "refused": leases.count - count, "handles": tiles.handles.count]) }
    return Set(refused.compactMap { BytesFile($0.name) })
  }

  private func takeUp(_ found: Found) async -> Bool {
    let generation = found.generation
    tiles.takeUp(found.entry.seq, generation, at: time)
    let order = order(found.entry, generation)
    let failure: SparseStore.Failure? = await withCheckedContinuation { continuation in
      stores.takeUp(order, found.lease) { continuation.resume(returning: $0) }
    }
    // The next open makes another one: nothing to tell people.
    if let failure { Log.warning("store.failed", ["id": found.entry.id, "error": failure.errno, "reason": failure.sentence]) }
    act(failure.map { tiles.storeFailed(generation, $0.errno) } ?? tiles.storeMade(generation))
    return failure == nil
  }

  // MARK: Windows

  /// Files that have a store by now read on by that.
  private func takeUp(_ windows: [any InheritedWindow]) async {
    for window in windows {
      guard let entry = tiles.accepts(windowOf: window.node, length: window.length) else {
        host?.revoke(window) {}
        continue
      }
      let generation = tiles.takeUpWindow(entry.seq, at: time)
      let failure: SparseStore.Failure? = await withCheckedContinuation { continuation in
        stores.takeUp(order(entry, generation), window) { continuation.resume(returning: $0) }
      }
      act(failure.map { tiles.storeFailed(generation, $0.errno) } ?? tiles.storeMade(generation))
    }
    if !windows.isEmpty { Log.info("windows.taken-up", ["windows": windows.count]) }
  }

  private func refuse(_ leases: [any InheritedLease]) { for lease in leases { host?.revoke(lease) {} } }

  // MARK: Files

  /// Keeps what the next open of an item may use, and unlinks all else that earlier runs left.
  private func claimFiles(except refused: Set<BytesFile>) async {
    let leftovers = surroundings.leftovers
    let files = Set(await Self.onWorker { leftovers.files() }.filter { tiles.isEarlier($0.generation) })
    guard !files.isEmpty else { return }
    let claims = tiles.claims(files.subtracting(refused))
    let useful = await Self.onWorker { leftovers.ofUse(claims).map { ($0, Leftover(file: $0.file, bytes: leftovers.bytes(of: $0.file))) } }
    var kept = tiles.files
    for (claim, leftover) in useful where tiles.keep(leftover, of: claim.seq, at: time) { kept.insert(claim.file) }
    let swept = files.filter { !kept.contains($0.with(.bytes)) }
    Log.info("cache.swept", ["kept": kept.count, "unlinked": swept.count])
    unlink(Array(swept))
  }

  /// - Parameter bytes: what they take on the disk, as far as it is known.
  func unlink(_ files: [BytesFile], bytes: Int64 = 0) {
    let leftovers = surroundings.leftovers
    let ticket = space.leave(bytes)
    EventLoop.dispatch.background({ leftovers.unlink(files) }, then: { [space] _ in space.left(ticket) })
  }
}
