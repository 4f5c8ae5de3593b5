import Core
import Volume

/// Stores as they come and go. It is a part of the value that `FileCache` owns: no input or output, on the dispatch
/// loop.
extension FileKeeper {
  package mutating func storeMade(_ generation: StoreGeneration, isWindow: Bool = false) -> [FileAction] {
    guard awaits(generation), let key = table.owner(of: generation) else { return [.closeStore(generation)] }
    if isStopped(key.volume) {
      // Only a pinned file is still waited for, because its bytes are kept.
      edit(key) { $0.beginParking(generation) }
      return [.parkStore(generation)] + pump()
    }
    let unused = edit(key) { $0.stand(generation, isWindow: isWindow) } ?? nil
    let waiters = edit(key) { $0.takeWaiters() } ?? []
    var actions: [FileAction] = unused.map { [.unlink($0)] } ?? []
    guard let file = table[key] else { return actions }
    if file.warmth == .fetching { actions.append(.fetchFirst(generation, file.ends)) }
    actions.append(.setFilling(generation, file.wantsFilling))
    actions += waiters.map { .answer($0, .store(generation)) }
    // It may have been made for an open that has gone.
    return actions + (file.wantsFill ? [] : settle(key)) + trim()
  }

  /// The next open tries again.
  package mutating func storeFailed(_ generation: StoreGeneration, _ error: Errno) -> [FileAction] {
    guard awaits(generation), let key = table.owner(of: generation) else { return [] }
    let waiters = edit(key) { file in
      file.failed()
      return file.takeWaiters()
    }
    return (waiters ?? []).map { .answer($0, .failed(error)) } + pump()
  }

  /// - Parameter parked: nil if nothing of it could be kept.
  package mutating func parked(_ generation: StoreGeneration, _ parked: ParkedFile?) -> [FileAction] {
    guard let key = table.owner(of: generation), case .parking? = table[key]?.state else {
      // Its file went meanwhile.
      return (parked.map { [.unlink($0)] } ?? []) + pump()
    }
    guard let parked else { return forgetAfter(key, generation) + pump() }
    edit(key) { $0.park(parked) }
    guard let file = table[key], !isStopped(key.volume) else { return pump() }
    if !file.waiters.isEmpty { return make(key) + pump() }
    return (file.isDoomed ? drop(key) : []) + pump()
  }

  private mutating func forgetAfter(_ key: FileKey, _ generation: StoreGeneration) -> [FileAction] {
    edit(key) { file in
      file.drop()
      file.forget(generation, keeping: nil)
    }
    return replace(key) + [.forgetPages(key, generation)]
  }

  package mutating func pagesForgotten(_ generation: StoreGeneration) -> [FileAction] {
    guard let key = table.owner(of: generation), case .forgetting? = table[key]?.state else { return [] }
    edit(key) { $0.forgotten() }
    guard let file = table[key], !isStopped(key.volume) else { return pump() }
    guard !file.waiters.isEmpty else { return pump() }
    guard file.size > 0 else { return (edit(key) { $0.takeWaiters() } ?? []).map { .answer($0, .empty) } + pump() }
    return make(key)
  }

  /// Every byte is here.
  package mutating func storeComplete(_ generation: StoreGeneration, at time: FileTime) -> [FileAction] {
    guard let key = table.owner(of: generation), let file = table[key], file.store == generation else { return [] }
    let until = time.now + rules.warmth
    edit(key) { $0.complete(warmUntil: until, at: time) }
    // Pinned or warm, it needs its place no more.
    guard file.wantsFill, !file.isWindow else { return pump() }
    return settle(key) + pump()
  }

  /// Bytes of it are bad and are fetched again.
  package mutating func storeIncomplete(_ generation: StoreGeneration) {
    guard let key = table.owner(of: generation) else { return }
    edit(key) { $0.incomplete() }
  }

  /// Fetching without a reader gave up: it gives back its place, and is tried again after a while, because no reader
  /// would ask for it.
  package mutating func storeStuck(_ generation: StoreGeneration, at time: FileTime) -> [FileAction] {
    guard let key = table.owner(of: generation), let file = table[key], file.wantsFill, file.store == generation,
      !file.isWindow,
      !isStopped(key.volume)
    else { return [] }
    edit(key) { file in
      file.pause(at: time.now)
      file.beginParking(generation)
    }
    return [.parkStore(generation)]
  }

  // MARK: A start after a death

  /// Whether the store behind an earlier run's lease can be gone on with.
  package func accepts(_ file: BytesFile, size: Int64) -> Bool {
    !isStopped(file.key.volume) && file.kind == .bytes && isEarlier(file.generation) && isFree(file.key, size: size)
  }

  /// Whether a store may be taken up for the file.
  package func isFree(_ key: FileKey, size: Int64) -> Bool {
    guard !isStopped(key.volume), size > 0 else { return false }
    guard let state = table[key]?.state else { return true }
    return state == .none
  }

  /// From here until `storeMade` or `storeFailed` it is as if it were being made.
  package mutating func takeUp(_ key: FileKey, size: Int64, _ generation: StoreGeneration, at time: FileTime) {
    guard isFree(key, size: size) else { return }
    let grace = rules.closeGrace
    edit(key, size: size) { file in
      file.makeUp(generation, at: time)
      file.grantGrace(grace, at: time)
    }
  }

  package mutating func takeUpWindow(_ key: FileKey, size: Int64, at time: FileTime) -> StoreGeneration {
    let generation = drawGeneration(key.volume)
    takeUp(key, size: size, generation, at: time)
    return generation
  }

  /// A file that a browser may open again, after a start.
  package mutating func grantGrace(_ key: FileKey, size: Int64, at time: FileTime) {
    let grace = rules.closeGrace
    edit(key, size: size) { $0.grantGrace(grace, at: time) }
  }

  /// Keeps, as parked, the bytes of a file that an earlier run left.
  /// - Returns: false if it is not needed any more.
  package mutating func keep(_ parked: ParkedFile, size: Int64, at time: FileTime) -> Bool {
    let key = parked.file.key
    guard isFree(key, size: size) else { return false }
    edit(key, size: size) { $0.keep(parked, at: time) }
    return true
  }

  /// The files of stores that stand, are being made or are parked, among `files`.
  package func uses(_ file: BytesFile) -> Bool {
    guard let known = table[file.key] else { return false }
    if known.generation == file.generation, known.isHeld { return true }
    return known.parked?.file == file.with(.bytes)
  }
}

extension OpenFile {
  /// The parts that players and browsers read before all others; the one to be fetched last comes first, because the
  /// rest is fetched on from there.
  var ends: [ByteRange] {
    let end: Int64 = 1 << 20
    return size <= 2 * end ? [ByteRange(0, size)] : [ByteRange(size - end, size), ByteRange(0, end)]
  }
}
