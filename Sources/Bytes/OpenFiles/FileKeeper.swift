import Core
import Volume

/// The bytes of the files of all volumes, as a value: events go in, actions come out. It decides whose store is made,
/// which files stand open, and whose bytes go; it waits for nothing and touches no file.
///
/// Bytes are deleted in two cases only: the file has no name any more and nothing has it open; or it is neither open
/// nor pinned, and its volume says so (after an upload), it was unused for `idleEvict`, another file needs the room, or
/// a person clears the cache. A file that is only not in use is parked: its bytes stay on the disk, and it holds
/// nothing else. `FileCache` owns the one value of the process, on the dispatch loop, and does what it returns.
package struct FileKeeper: Sendable {
  package struct Rules: Sendable {
    package var closeGrace: Duration = .seconds(5)
    /// How long bytes that nothing uses are kept; 0: for ever.
    package var idleEvict: Duration = .zero
    /// How long bytes that were fetched ahead wait for their first open as if it were open.
    package var warmth: Duration = .seconds(600)
    /// The most stores at once: each has a descriptor and a lease.
    package var capacity = 4096
    /// The most stores that stand and are not open, within the grace too.
    package var resting = 256
    /// The most files at once that are filled without a reader, for a pin or to be warm.
    package var filling = 4
    /// All stores are windows, which keep nothing on the disk and cannot be parked.
    package var isWindowed = false
    package init() {}
  }

  package let rules: Rules
  private(set) var table: FileTable
  private var generations: [VolumeID: Generations] = [:]
  private var handles: [HandleID: FileKey] = [:]
  /// Files whose opens wait for a store's place.
  private var queue = TimeIndex()
  private var queued: [FileKey: UInt64] = [:]
  private var nextQueued: UInt64 = 1
  /// Volumes whose start is over.
  private var begun: Set<VolumeID> = []
  /// Volumes on a mount of an earlier run: the kernel may have pages of bytes that are gone.
  private var inherited: Set<VolumeID> = []
  private var stopped: Set<VolumeID> = []

  private struct Generations {
    let first: UInt64
    var next: UInt64
  }

  package init(rules: Rules) {
    self.rules = rules
    table = FileTable(idleEvict: rules.idleEvict)
  }

  // MARK: Volumes

  /// - Parameter generation: above every one that the volume's earlier runs used.
  package mutating func add(_ volume: VolumeID, generation: UInt64) {
    generations[volume] = Generations(first: generation, next: generation)
    stopped.remove(volume)
  }

  mutating func drawGeneration(_ volume: VolumeID) -> StoreGeneration {
    let next = generations[volume]?.next ?? 1
    generations[volume, default: Generations(first: 1, next: 1)].next = next + 1
    return StoreGeneration(rawValue: next, of: volume)
  }

  /// Whether an earlier run drew it.
  package func isEarlier(_ generation: StoreGeneration) -> Bool {
    generation.rawValue < firstGeneration(of: generation.volume)
  }
  /// The first that this run can have drawn.
  func firstGeneration(of volume: VolumeID) -> UInt64 { generations[volume]?.first ?? 1 }

  func isStopped(_ volume: VolumeID) -> Bool { stopped.contains(volume) }
  func hasBegun(_ volume: VolumeID) -> Bool { begun.contains(volume) }
  func mayHavePages(_ volume: VolumeID) -> Bool { inherited.contains(volume) }

  /// The start of a volume is over: from here on files are fetched without a reader.
  package mutating func begin(_ volume: VolumeID) -> [FileAction] {
    begun.insert(volume)
    return pump()
  }

  /// The volume's mount stood before this run, and the one that served it may have dropped bytes whose pages the kernel
  /// still has.
  package mutating func inherit(_ volume: VolumeID) { inherited.insert(volume) }

  // MARK: Questions

  package subscript(key: FileKey) -> OpenFile? { table[key] }
  /// A part of a volume's files that have or had bytes, by rising node.
  package func page(_ volume: VolumeID, from node: UInt64, limit: Int) -> [(key: UInt64, value: OpenFile)] {
    table.page(volume, from: node, limit: limit)
  }
  /// The files that are open, each once.
  package var openFiles: [OpenFile] { Set(handles.values).compactMap { table[$0] } }
  /// Notes from now on which files of the volume change.
  package mutating func noteChanges(of volume: VolumeID) { table.noteChanges(of: volume) }
  package mutating func noteLook(_ key: FileKey) { table.noteLook(key) }
  /// The next node, from `node` on, of a file with a store, or whose state is on its way to another, or that changed
  /// since `noteLook`.
  package func nextMoving(_ volume: VolumeID, from node: UInt64) -> UInt64? { table.nextMoving(volume, from: node) }

  /// Changes a file, which is made with `size` if it is not known yet.
  mutating func edit<Result>(_ key: FileKey, size: Int64, _ body: (inout OpenFile) -> Result) -> Result {
    table.edit(key, size: size, body)
  }
  /// Changes a file if it is known.
  @discardableResult
  mutating func edit<Result>(_ key: FileKey, _ body: (inout OpenFile) -> Result) -> Result? { table.edit(key, body) }
  /// The bytes that went through closed handles, and the bytes that are present of parked files.
  package var totals: (served: Int64, parked: Int64) { table.totals }
  package var openHandles: Int { handles.count }
  package var allHandles: [HandleID: FileKey] { handles }
  package func file(of handle: HandleID) -> FileKey? { handles[handle] }
  /// When `advance` is next to be called.
  package var nextDeadline: Moment? { table.nextDeadline }
  package func owner(of generation: StoreGeneration) -> FileKey? { table.owner(of: generation) }
  /// Whether the store of that generation is still waited for.
  package func awaits(_ generation: StoreGeneration) -> Bool {
    guard let state = table.owner(of: generation).flatMap({ table[$0]?.state }), case .making(generation, _) = state
    else { return false }
    return true
  }
  package func isOpen(_ key: FileKey) -> Bool { (table[key]?.openRef ?? 0) > 0 }
  /// Neither open nor closed just now nor fetched ahead.
  package func isUnused(_ key: FileKey) -> Bool { table[key].map { $0.openRef == 0 && $0.graceEnds == nil } ?? true }
  /// The bytes that parked files, except that of `key`, take on the disk.
  package func parkedBytes(except key: FileKey? = nil) -> Int64 {
    table.parkedBytes - (key.flatMap { table[$0]?.parked?.bytes } ?? 0)
  }
  /// The parked files that earlier runs left.
  package var leftovers: (files: Int, bytes: Int64) { table.left }
  var hasParking: Bool { table.parking > 0 }
  /// Frees a place, for a store that could not be made because of what others hold; nil if every store is in use.
  package mutating func freeFrame() -> [FileAction]? { restOldest() }
  package var figures: (held: Int, resting: Int, waiting: Int) { (table.held, table.resters, queue.count) }

  // MARK: Handles

  /// Counts the handle, whatever the answer; again for the same handle, because a successor of the shim may ask twice.
  package mutating func open(_ key: FileKey, size: Int64, handle: HandleID) -> [FileAction] {
    let isKnown = handles[handle] != nil
    if let counted = handles[handle], counted != key { return [.answer(handle, .failed(.badHandle))] }
    handles[handle] = key
    edit(key, size: size) { $0.open(handle) }
    guard !isStopped(key.volume), let file = table[key] else { return [.answer(handle, .failed(.io))] }
    // A handle that came in by the name is answered again, whatever became of the name since.
    guard file.isNamed || isKnown else { return [.answer(handle, .failed(.stale))] }
    // A file that became empty is doubted: its OPEN waits until the kernel has forgotten the longer file.
    guard size > 0 || file.isDoubted else { return [.answer(handle, .empty)] }
    switch file.state {
    case .standing(let generation): return [.setFilling(generation, true), .answer(handle, .store(generation))]
    case .making, .forgetting, .parking:
      edit(key) { $0.wait(handle) }
      return []
    case .none, .parked:
      edit(key) { $0.wait(handle) }
      if mayHavePages(key.volume), !file.isClean, file.openRef == 1 { return [forget(key, keeping: file.parked)] }
      return make(key)
    }
  }

  /// A handle that was open before this run.
  package mutating func count(_ handle: HandleID, on key: FileKey, size: Int64) {
    guard handles[handle] == nil else { return }
    handles[handle] = key
    edit(key, size: size) { $0.open(handle) }
  }

  /// Idempotent, because it is told again after a death.
  package mutating func released(_ handle: HandleID, use: HandleUse, at time: FileTime) -> [FileAction] {
    guard let key = handles.removeValue(forKey: handle) else { return [] }
    let grace = rules.closeGrace
    var actions: [FileAction] = []
    if edit(key, { $0.close(handle, use, grace: grace, at: time) }) == true {
      actions.append(.answer(handle, .failed(.io)))
    }
    if let file = table[key], file.openRef == 0 {
      leaveQueue(key)
      if !file.isNamed {
        actions += end(key) + [.ended(key)]
      } else if file.hasChanged {
        actions += dropChanged(key)
      } else if let generation = file.store, !file.wantsFilling {
        // Nothing is fetched ahead of a reader that has gone.
        actions.append(.setFilling(generation, false))
      }
    }
    return actions + advance(to: time)
  }

  /// Its volume has taken the file's name away: its bytes go now, or with the last close.
  /// - Returns: `ended` among the actions if that is now.
  package mutating func leave(_ key: FileKey) -> [FileAction] {
    guard table[key] != nil else { return [.ended(key)] }
    edit(key) { $0.leave() }
    guard table[key]?.openRef == 0 else { return [] }
    return end(key) + [.ended(key)]
  }

  /// The file has neither name nor reader. A store that is still being made or parked is closed when it comes.
  private mutating func end(_ key: FileKey) -> [FileAction] {
    leaveQueue(key)
    guard let file = table.remove(key) else { return [] }
    var actions: [FileAction] = file.parked.map { [.unlink($0)] } ?? []
    if case .standing(let generation) = file.state { actions.append(.closeStore(generation)) }
    // Its place is free, also if its store has not come yet.
    return actions + pump()
  }

  // MARK: Time

  /// Files whose time is up that are seen to in one step; `nextDeadline` stays in the past if there are more.
  static let dueAStep = 16

  /// Ends the graces that are over, and what else has had its time.
  package mutating func advance(to time: FileTime) -> [FileAction] {
    var actions: [FileAction] = []
    for _ in 0..<Self.dueAStep {
      guard let key = table.due(time.now), let file = table[key] else { break }
      if file.graceEnds != nil {
        edit(key) { $0.endGrace() }
        actions.append(.graceOver(key, wasReadWhole: file.wasReadWhole))
        if !file.hasBytes, !file.isHeld, !file.isPinned { edit(key) { $0.forgetUse() } }
      } else if file.pausedUntil != nil {
        edit(key) { $0.resume() }
      } else if file.warmth != nil {
        edit(key) { $0.endWarmth() }
        actions += settle(key)
      } else {
        actions += dropBytes(key)
      }
    }
    return actions + trim() + pump()
  }

  /// The volume keeps a file whose grace is over: it is parked, unless it is fetched on without a reader.
  package mutating func settle(_ key: FileKey) -> [FileAction] {
    guard let file = table[key], file.openRef == 0, file.graceEnds == nil, let generation = file.store else {
      return []
    }
    if file.wantsFill { return file.isPinned ? [.tryDisk(generation)] : [] }
    return rest(key, generation)
  }

  /// A store that nothing has open gives back what it holds.
  mutating func rest(_ key: FileKey, _ generation: StoreGeneration) -> [FileAction] {
    guard let file = table[key] else { return [] }
    if !file.isWindow {
      edit(key) { $0.beginParking(generation) }
      return [.parkStore(generation)]
    }
    // A window that stands in for a file has nothing to park; the next open may find room on the disk.
    return rules.isWindowed ? [.setFilling(generation, false)] : dropBytes(key)
  }

  /// Too many stores stand that nothing has open: the one unused longest is parked, within its grace too.
  mutating func trim() -> [FileAction] {
    var actions: [FileAction] = []
    while table.resters > rules.resting, let action = restOldest() { actions += action }
    return actions
  }

  /// Frees one place; nil if every store is in use.
  mutating func restOldest() -> [FileAction]? {
    guard let key = table.oldestRester, let file = table[key], let generation = file.store else { return nil }
    if file.isWindow { return drop(key) }
    edit(key) { $0.beginParking(generation) }
    return [.parkStore(generation)]
  }

  // MARK: Places

  /// Begins with a store, if there is a place for one; else the file waits for a place.
  mutating func make(_ key: FileKey) -> [FileAction] {
    guard table.held >= rules.capacity else { return [begin(key)] }
    var actions: [FileAction] = []
    if let rested = restOldest() { actions += rested } else if table.parking == 0 { return refuse(key) }
    if queued[key] == nil {
      let slot = queue.insert(key, at: nextQueued)
      nextQueued = slot + 1
      queued[key] = slot
    }
    return actions + pump()
  }

  private mutating func begin(_ key: FileKey) -> FileAction {
    leaveQueue(key)
    let generation = drawGeneration(key.volume)
    edit(key) { $0.make(generation) }
    return .makeStore(key, generation)
  }

  private mutating func refuse(_ key: FileKey) -> [FileAction] {
    let waiters = edit(key) { $0.takeWaiters() } ?? []
    return [.full(key)] + waiters.map { .answer($0, .failed(.tooManyFiles)) }
  }

  private mutating func leaveQueue(_ key: FileKey) {
    if let slot = queued.removeValue(forKey: key) { queue.remove(slot) }
  }

  /// Gives free places to files whose opens wait, then to files that are filled without a reader.
  mutating func pump() -> [FileAction] {
    var actions: [FileAction] = []
    while table.held < rules.capacity, let key = queue.first?.key {
      leaveQueue(key)
      guard let file = table[key], !file.waiters.isEmpty, file.generation == nil else { continue }
      actions.append(begin(key))
    }
    while table.held < rules.capacity, table.filling < rules.filling, let key = table.nextToFill {
      guard hasBegun(key.volume), !isStopped(key.volume) else { break }
      if let file = table[key], mayHavePages(key.volume), !file.isClean {
        actions.append(forget(key, keeping: file.parked))
      } else {
        actions.append(begin(key))
      }
    }
    return actions
  }

  mutating func forget(_ key: FileKey, keeping parked: ParkedFile?) -> FileAction {
    let generation = drawGeneration(key.volume)
    edit(key) { $0.forget(generation, keeping: parked) }
    return .forgetPages(key, generation)
  }

  // MARK: The end

  /// The end of a volume: every wait is answered, every store closed; those of pinned files are parked. In parts, of at
  /// most `limit` files; opens and waits that come after the first one are answered with an error.
  /// - Returns: `next` is where to go on; nil after the last part.
  package mutating func stop(
    _ volume: VolumeID, from node: UInt64 = 0, limit: Int = .max
  ) -> (actions: [FileAction], next: UInt64?) {
    if node == 0, !stopped.insert(volume).inserted { return ([], nil) }
    var actions: [FileAction] = []
    let page = table.page(volume, from: node, limit: limit)
    for (node, file) in page {
      let key = FileKey(volume, NodeID(node))
      leaveQueue(key)
      actions += file.waiters.map { .answer($0, .failed(.io)) }
      let generation = file.store
      edit(key) { file in
        file.stop()
        guard let generation else { return }
        if file.isPinned, !file.isWindow { file.beginParking(generation) } else { file.drop() }
      }
      if case .making = file.state, !file.isPinned || rules.isWindowed { edit(key) { $0.failed() } }
      guard let generation else { continue }
      actions.append(file.isPinned && !file.isWindow ? .parkStore(generation) : .closeStore(generation))
    }
    return (actions, page.count == limit ? page.last.map { $0.key + 1 } : nil)
  }

  /// The files of the volume's bytes that a stop keeps, in parts: pinned ones.
  package func kept(_ volume: VolumeID, from node: UInt64 = 0, limit: Int = .max) -> (files: [BytesFile], next: UInt64?)
  {
    let page = table.page(volume, from: node, limit: limit)
    return (
      page.compactMap { $0.value.isPinned ? $0.value.parked?.file : nil },
      page.count == limit ? page.last.map { $0.key + 1 } : nil
    )
  }
}
