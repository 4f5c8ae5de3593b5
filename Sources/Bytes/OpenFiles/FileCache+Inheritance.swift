import Core
import EventLoop
import Store
import Telemetry
import Volume

/// The start after a death: of the control plane alone, with handles and leases that stand, or of everything, with
/// files alone. It runs on the dispatch loop, in steps; files are looked at and unlinked on other threads.
extension FileCache {
  /// Files that are looked at in one step.
  private static var step: Int { 64 }

  /// Takes up what an earlier run left of the volume's bytes: leases with their stores, windows, and files. The volume
  /// has counted the open handles.
  /// - Parameter isNewMount: no kernel has pages of an earlier run.
  package func takeUp(_ inheritance: Inheritance, of volume: VolumeID, isNewMount: Bool) async {
    stores.windowGeneration = inheritance.windowGeneration
    let refused = await takeUp(inheritance.leases, of: volume)
    await takeUp(inheritance.windows, of: volume)
    await claimFiles(of: volume, except: refused)
    if !isNewMount { keeper.inherit(volume) }
    act(change { $0.begin(volume) })
  }

  /// For a second inheritance, which is none.
  package func refuse(_ inheritance: Inheritance, of volume: VolumeID) {
    for window in inheritance.windows { host(volume)?.revoke(window) {} }
    for lease in inheritance.leases { host(volume)?.revoke(lease) {} }
  }

  // MARK: Leases

  private struct Found {
    var lease: any InheritedLease
    var file: BytesFile
    var size: Int64
  }

  /// - Returns: the files of those that were not taken up.
  private func takeUp(_ leases: [any InheritedLease], of volume: VolumeID) async -> Set<BytesFile> {
    var found: [FileKey: Found] = [:]
    var refused: [any InheritedLease] = []
    for (number, lease) in leases.enumerated() {
      if number % Self.step == Self.step - 1 { await pause() }
      let key = FileKey(volume, lease.node)
      guard lease.root == 0, let file = BytesFile(lease.name), file.key == key, let size = owner(volume)?.size(of: key),
        size == lease.length,
        keeper.accepts(file, size: size)
      else {
        refused.append(lease)
        continue
      }
      let new = Found(lease: lease, file: file, size: size)
      guard let other = found[key] else {
        found[key] = new
        continue
      }
      // Openers were given the one that was made later.
      let isLater = file.generation.rawValue > other.file.generation.rawValue
      refused.append(isLater ? other.lease : lease)
      if isLater { found[key] = new }
    }
    for lease in refused { host(volume)?.revoke(lease) {} }
    var count = 0
    var rest = Array(found.values)[...]
    while !rest.isEmpty {
      let openings = rest.prefix(Self.step).map { found in Task { @DispatchLoop in await self.takeUp(found) } }
      rest = rest.dropFirst(Self.step)
      for opening in openings { if await opening.value { count += 1 } }
    }
    if !leases.isEmpty {
      Log.info(.leasesTakenUp, ["leases": count, "refused": leases.count - count, "handles": keeper.openHandles])
    }
    return Set(refused.compactMap { BytesFile($0.name) })
  }

  private func takeUp(_ found: Found) async -> Bool {
    let (key, generation) = (found.file.key, found.file.generation)
    keeper.takeUp(key, size: found.size, generation, at: time)
    guard let order = owner(key.volume)?.order(of: key, file: found.file) else {
      act(keeper.storeFailed(generation, .stale))
      return false
    }
    let failure: SparseStore.Failure? = await withCheckedContinuation { continuation in
      stores.takeUp(order, found.lease) { continuation.resume(returning: $0) }
    }
    // The next open makes another one: nothing to tell people.
    if let failure {
      Log.warning(.storeFailed, ["id": order.label, "errno": failure.errno, "cause": failure.sentence])
    }
    act(failure.map { keeper.storeFailed(generation, $0.errno) } ?? keeper.storeMade(generation))
    return failure == nil
  }

  // MARK: Windows

  /// Files that have a store by now read on by that.
  private func takeUp(_ windows: [any InheritedWindow], of volume: VolumeID) async {
    for window in windows {
      let key = FileKey(volume, window.node)
      guard let size = owner(volume)?.size(of: key), size == window.length, keeper.isFree(key, size: size) else {
        if let standing = keeper[key]?.store { stores.follow(standing, window) }
        host(volume)?.revoke(window) {}
        continue
      }
      let generation = keeper.takeUpWindow(key, size: size, at: time)
      guard let order = owner(volume)?.order(of: key, file: BytesFile(key, generation)) else {
        act(keeper.storeFailed(generation, .stale))
        continue
      }
      let failure: SparseStore.Failure? = await withCheckedContinuation { continuation in
        stores.takeUp(order, window) { continuation.resume(returning: $0) }
      }
      act(failure.map { keeper.storeFailed(generation, $0.errno) } ?? keeper.storeMade(generation, isWindow: true))
    }
    if !windows.isEmpty { Log.info(.windowsTakenUp, ["windows": windows.count]) }
  }

  // MARK: Files

  /// Keeps what the next open of a file may use, and unlinks everything else that earlier runs left.
  private func claimFiles(of volume: VolumeID, except refused: Set<BytesFile>) async {
    // Not the keeper itself: a change of it meanwhile would copy all its tables.
    let (leftovers, first) = (leftovers, keeper.firstGeneration(of: volume))
    let found = await onWorker { () -> (files: Int, latest: [BytesFile], others: [BytesFile]) in
      let files = Set(leftovers.files(of: volume).filter { $0.generation.rawValue < first })
      let latest = Leftovers.latest(files, except: refused)
      let kept = Set(latest)
      return (files.count, latest, files.filter { !kept.contains($0.with(.bytes)) })
    }
    guard found.files > 0 else { return }
    var kept = 0
    var swept = 0
    var rest = found.latest[...]
    while !rest.isEmpty {
      var candidates: [Leftovers.Candidate] = []
      var useless: [BytesFile] = []
      for file in rest.prefix(Self.step) {
        guard let owner = owner(volume), let size = owner.size(of: file.key), keeper.isFree(file.key, size: size),
          let identity = owner.identity(of: file.key)
        else {
          useless.append(file)
          continue
        }
        candidates.append(Leftovers.Candidate(key: file.key, file: file, length: size, identity: identity))
      }
      rest = rest.dropFirst(Self.step)
      let claims = candidates
      let useful = Dictionary(
        uniqueKeysWithValues: await onWorker {
          leftovers.ofUse(claims).map { ($0.file, leftovers.parked($0)) }
        })
      for candidate in candidates {
        if let parked = useful[candidate.file], keeper.keep(parked, size: candidate.length, at: time) {
          kept += 1
        } else {
          useless.append(candidate.file)
        }
      }
      swept += sweep(useless.flatMap { [$0, $0.with(.sums)] })
      await pause()
    }
    for start in stride(from: 0, to: found.others.count, by: Self.step) {
      swept += sweep(Array(found.others[start..<min(start + Self.step, found.others.count)]))
      await pause()
    }
    Log.info(.cacheSwept, ["kept": kept, "unlinked": swept])
  }

  /// Unlinks files that no store uses.
  private func sweep(_ files: [BytesFile]) -> Int {
    let swept = files.filter { !keeper.uses($0) }
    if !swept.isEmpty { unlink(swept) }
    return swept.count
  }
}
