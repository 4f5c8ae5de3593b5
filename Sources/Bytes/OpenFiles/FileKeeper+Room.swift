import Core
import Volume

/// Bytes that are fetched or kept without a reader, and bytes that go although their file stays. It is a part of the
/// value that `FileCache` owns: no input or output, on the dispatch loop.
extension FileKeeper {
  // MARK: Pin and warm

  /// Fetched fully and kept from now on, whatever reads it. At most `filling` files are fetched so at once; the others
  /// wait for their turn.
  package mutating func pin(_ key: FileKey, size: Int64) -> [FileAction] {
    guard table[key]?.isNamed != false else { return [] }
    edit(key, size: size) { $0.pin() }
    guard let file = table[key], size > 0, !isStopped(key.volume), hasBegun(key.volume) else { return [] }
    if let generation = file.store {
      if file.wantsFilling { return [.setFilling(generation, true)] }
      return file.isIdleStore ? settle(key) : []
    }
    return pump()
  }

  /// From here on its bytes are as old as any that were used just now. The volume settles it, if it keeps it.
  package mutating func unpin(_ key: FileKey, at time: FileTime) -> [FileAction] {
    guard let file = table[key], file.isPinned else { return [] }
    edit(key) { $0.unpin(at: time) }
    guard let generation = file.store, let file = table[key] else { return pump() }
    // For readers alone, if there are any.
    return [.setFilling(generation, file.wantsFilling)] + pump()
  }

  /// Fetched before its first open, ends first.
  package mutating func warm(_ key: FileKey, size: Int64, at time: FileTime) -> [FileAction] {
    let file = table[key] ?? OpenFile(size: size)
    guard file.isNamed, file.openRef == 0, !file.isPinned, size > 0, !isStopped(key.volume) else { return [] }
    edit(key, size: size) { $0.warm() }
    if file.isComplete {
      let until = time.now + rules.warmth
      edit(key) { $0.complete(warmUntil: until, at: time) }
      return pump()
    }
    guard let file = table[key], let generation = file.store else { return pump() }
    return [.fetchFirst(generation, file.ends), .setFilling(generation, true)]
  }

  // MARK: Dropping

  /// The file stays, its bytes go. No OPEN of it is answered before the kernel has forgotten them.
  package mutating func dropBytes(_ key: FileKey) -> [FileAction] {
    guard let file = table[key], file.openRef == 0, !file.isPinned else { return [] }
    if case .parking = file.state { edit(key) { $0.doom() } }
    guard file.hasBytes else { return [] }
    return drop(key)
  }

  /// The origin has another file. Open handles keep the bytes of the old one; the next open, once there is none, gets
  /// the new one.
  /// - Parameters:
  ///   - size: of the new file, if it is another one.
  ///   - unanswered: handles whose OPEN is not answered yet, so that nothing read by them.
  package mutating func sourceChanged(
    _ generation: StoreGeneration, to size: Int64? = nil, unanswered: [HandleID] = []
  ) -> [FileAction] {
    guard let key = table.owner(of: generation) else { return unanswered.map { .answer($0, .failed(.io)) } }
    if case .forgetting? = table[key]?.state {
      // Its store has been closed: an answer that came after that says nothing new.
      let waiting = unanswered.filter { file(of: $0) == key }
      edit(key) { file in for handle in waiting { file.wait(handle) } }
      return unanswered.filter { self.file(of: $0) != key }.map { .answer($0, .failed(.io)) }
    }
    let size = size.flatMap { (0...Self.longest).contains($0) ? $0 : nil }
    // An empty file was asked for a byte, and is empty still.
    if size == 0, table[key]?.size == 0 { return unanswered.map { .answer($0, .store(generation)) } }
    edit(key) { $0.change(to: size) }
    let waiting = unanswered.filter { file(of: $0) == key }
    guard let file = table[key], !waiting.isEmpty, file.openRef == waiting.count, file.store == generation else {
      return unanswered.map { .answer($0, .store(generation)) } + dropChanged(key)
    }
    edit(key) { file in for handle in waiting { file.wait(handle) } }
    return unanswered.filter { self.file(of: $0) != key }.map { .answer($0, .failed(.io)) } + drop(key)
  }

  /// No file is longer, whatever an origin says.
  private static var longest: Int64 { 1 << 60 }

  /// The origin has the file as it was, after all: its bytes came again.
  package mutating func sourceSettled(_ generation: StoreGeneration) {
    guard let key = table.owner(of: generation), table[key]?.hasChanged == true else { return }
    edit(key) { $0.unchange() }
  }

  /// The origin was asked about a file whose length was in doubt.
  package mutating func trust(_ key: FileKey) { edit(key) { $0.trust() } }

  /// Also of a pinned file, which is fetched anew.
  mutating func dropChanged(_ key: FileKey) -> [FileAction] {
    guard let file = table[key], file.hasChanged, file.openRef == 0 else { return [] }
    switch file.state {
    case .parking:
      edit(key) { $0.doom() }
      return []
    case .making: return []
    case .none, .standing, .parked, .forgetting: return file.hasBytes ? drop(key) : replace(key)
    }
  }

  /// The bytes of a file that its origin replaced have gone, and no reader had an answer by them.
  mutating func replace(_ key: FileKey) -> [FileAction] {
    guard let file = table[key], file.hasChanged, file.openRef == file.waiters.count else { return [] }
    edit(key) { $0.replace() }
    guard let new = table[key] else { return [] }
    // Opens that wait are answered once the kernel has forgotten the pages of the earlier version.
    return [.replaced(key, size: new.size)]
  }

  mutating func drop(_ key: FileKey) -> [FileAction] {
    guard let file = table[key] else { return [] }
    var actions: [FileAction] = file.parked.map { [.unlink($0)] } ?? []
    let generation = file.store
    let hasPages = generation != nil || file.parked?.stamp != nil
    if let generation { actions.append(.closeStore(generation)) }
    if case .forgetting(let running, _) = file.state {
      edit(key) { file in
        file.drop()
        file.forget(running, keeping: nil)
      }
      return actions + replace(key)
    }
    edit(key) { $0.drop() }
    actions += replace(key)
    if hasPages {
      let forgetting = generation ?? drawGeneration(key.volume)
      edit(key) { $0.forget(forgetting, keeping: nil) }
      actions.append(.forgetPages(key, forgetting))
    }
    return actions
  }

  /// The file whose bytes go first so that `key` has room: those of earlier runs, then those closed longest ago; then,
  /// if `key` is open, those that are fetched for an open that may come.
  package func inTheWay(of key: FileKey) -> FileKey? { table.firstDroppable(except: key, warm: isOpen(key)) }

  /// The space that all files in the way of `key` could free, in bytes.
  package func couldBeFreed(for key: FileKey) -> Int64 { table.droppableWeight(except: key, warm: isOpen(key)) }

  /// By order of a person: drops the bytes of at most `limit` files that are open nowhere, within their grace too, and
  /// not pinned.
  /// - Returns: `next` is where to go on; nil after the last part.
  package mutating func dropIdle(_ volume: VolumeID, from node: UInt64 = 0, limit: Int = .max) -> (
    actions: [FileAction], next: UInt64?
  ) {
    let page = table.page(volume, from: node, limit: limit)
    var actions: [FileAction] = []
    for (node, _) in page { actions += dropBytes(FileKey(volume, NodeID(node))) }
    return (actions + pump(), page.count == limit ? page.last.map { $0.key + 1 } : nil)
  }
}

extension OpenFile {
  /// Nothing has its store open, nor had it just now.
  var isIdleStore: Bool { store != nil && handles.isEmpty && graceEnds == nil }
}
