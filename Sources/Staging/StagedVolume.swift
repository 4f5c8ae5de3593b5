import Core
import EventLoop
import MediaHub
import Store
import Telemetry
import Transfer
import Volume

/// The volume of staged files: `/Staged/<id>/<name>`, each the bytes of one file for one recipient.
///
/// `Tiles` decides, this class does: it owns the leases and stores, the journal, the timer of the graces and the answers that are owed.
@DispatchLoop
package final class StagedVolume {
  package struct Options: Sendable {
    /// Absolute; items' paths begin with it.
    package var mountpoint: String
    package var stateFolder: String
    /// 0: no limit.
    package var maxTiles = 0
    /// How long after the last close bytes of an item without a tile are kept.
    package var closeGrace: Duration = .seconds(5)
    package var afterUpload: AfterUpload = .keep
    /// Bytes of an item that nobody has used for so long are dropped; 0: never.
    package var idleEvict: Duration = .zero
    /// Nothing is kept on the disk: all files stream through the window.
    package var isWindowed = false
    package init(mountpoint: String, stateFolder: String) {
      self.mountpoint = mountpoint
      self.stateFolder = stateFolder
    }
  }
  package enum AfterUpload: String, Sendable { case keep, unstage, dropBytes = "drop-bytes" }

  /// No file is longer: far above any, and far enough below `Int64.max` for arithmetic with blocks.
  nonisolated static let maxSize: Int64 = 1 << 60

  let surroundings: Surroundings
  let journal: JournalQueue
  let isWindowed: Bool
  let stores: TileStores
  let space = LeavingSpace()
  /// Without a slash at its end.
  let mountpoint: String
  var tiles: Tiles
  weak var host: (any VolumeHost)?
  /// Stagings under way, so that two of the same pair give one item.
  var stagings: [TilePair: Task<Result<UInt64, StagingError>, Never>] = [:]
  /// Whom files were staged for, the last one first.
  var recentRecipients: [String]
  var isStopping = false
  /// What earlier runs left has been seen to.
  var hasBegun = false

  /// What an item has beside its state.
  struct Belongings {
    var origin: (any Origin)?
    let failure = FailureNote()
  }
  var belongings: [UInt64: Belongings] = [:]
  var live = LiveFigures()
  /// Who waits for an item's store to be made.
  var whenMade: [UInt64: [@DispatchLoop (SparseStore.Failure?) -> Void]] = [:]
  private(set) lazy var room = RoomQueue(space) { [weak self] seq, short, then in
    self?.freeSpace(for: seq, short: short, then: then) ?? false
  }
  /// Told when the first handle is opened and when the last is closed, from inside whatever did it: note it, and do what is to be done later.
  package var onBusyChange: (() -> Void)?
  private var wasBusy = false
  private var replies: [HandleID: [@Sendable (Result<LeaseID?, Errno>) -> Void]] = [:]
  private var todo: [TileAction] = []
  private var isActing = false
  private var alarmTime: Moment?
  private lazy var graceAlarm = surroundings.alarm { [weak self] in self?.endGraces() }

  /// Opens the journal (on a worker thread) and brings back the staged items. What else a run that died left waits for `inherit`.
  package static func open(
    options: Options, mediaHub: MediaHubClient, budget: FetchBudget, folder: CacheFolder, memory: WindowMemory,
    clock: any TimeSource = SystemClock()
  ) async throws(StagingError) -> StagedVolume {
    let surroundings = Surroundings(
      catalogue: mediaHub, stores: StoreMaker(folder: folder, budget: budget, memory: memory), clock: clock,
      leftovers: Leftovers(folder: folder))
    return try await open(options: options, surroundings: surroundings)
  }

  static func open(options: Options, surroundings: Surroundings) async throws(StagingError) -> StagedVolume {
    let path = options.stateFolder + "/staged.sqlite"
    let wall = surroundings.clock.wallNanoseconds()
    let (journal, contents) = try await onWorker { Journal.open(path: path, wall: wall) }.get()
    return StagedVolume(options: options, surroundings: surroundings, journal: journal, contents: contents)
  }

  private init(options: Options, surroundings: Surroundings, journal: Journal, contents: Journal.Contents) {
    self.surroundings = surroundings
    self.journal = JournalQueue(journal)
    isWindowed = options.isWindowed
    stores = TileStores(surroundings.stores, space)
    mountpoint = options.mountpoint.hasSuffix("/") ? String(options.mountpoint.dropLast()) : options.mountpoint
    let rules = Tiles.Rules(
      maxTiles: max(0, options.maxTiles), closeGrace: options.closeGrace, afterUpload: options.afterUpload, idleEvict: options.idleEvict)
    tiles = Tiles(rules: rules, origins: contents.origins)
    recentRecipients = contents.recipients
    for item in contents.items
    where !tiles.restore(item.entry, order: item.order, isLeaving: item.isLeaving, isPinned: item.isPinned) {
      // Its removal could not be written once; its successor stands.
      Log.warning("journal.twice", ["id": item.entry.id])
      self.journal.note([.remove(seq: item.entry.seq)])
    }
    stores.onComplete = { [weak self] generation in
      guard let self else { return }
      tiles.storeComplete(generation, at: time)
      act([])
    }
    stores.onNoSpace = { [weak self] generation, needed, done in
      guard let self, let tile = tiles.owner(of: generation), tile.wantsFilling else { return done(false) }
      room.ask(for: tile.entry.seq, short: needed, since: space.timesFreed, done: done)
    }
  }

  static func onWorker<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
    await withCheckedContinuation { continuation in
      EventLoop.dispatch.background(body) { continuation.resume(returning: $0) }
    }
  }

  var time: Tiles.Time { Tiles.Time(now: surroundings.clock.now(), wall: surroundings.clock.wallNanoseconds()) }

  // MARK: Acting

  /// Does what an event of `tiles` asks for; events that come of it are done after it.
  /// - Parameter forgotten: called once the kernel has forgotten the attributes that the event changed.
  func act(_ actions: [TileAction], forgotten: @escaping @DispatchLoop () -> Void = {}) {
    todo += actions
    if !isActing {
      isActing = true
      var next = 0
      while next < todo.count {
        perform(todo[next])
        next += 1
      }
      todo = []
      isActing = false
    }
    setAlarm()
    if isBusy != wasBusy {
      wasBusy = isBusy
      onBusyChange?()
    }
    // In one order, and last: what is invalidated has changed for every look-up by now.
    let nodes = actions.flatMap { action -> [NodeID] in if case .invalidate(let nodes) = action { nodes } else { [] } }
    let removals = actions.compactMap { action -> JournalChange? in
      if case .journal(.remove(let seq)) = action { .remove(seq: seq) } else { nil }
    }
    guard let host, !nodes.isEmpty else {
      journal.note(removals)
      return forgotten()
    }
    host.invalidateAttributes(of: nodes) { [journal] in
      journal.note(removals)
      forgotten()
    }
  }

  private func setAlarm() {
    let deadline = tiles.nextDeadline
    guard deadline != alarmTime else { return }
    alarmTime = deadline
    if let deadline { graceAlarm.start(after: max(.zero, deadline - surroundings.clock.now())) } else { graceAlarm.stop() }
  }

  private func endGraces() {
    // It rang, and may have done so a little early.
    alarmTime = nil
    act(tiles.advance(to: time))
  }

  private func perform(_ action: TileAction) {
    switch action {
    case .makeStore(let entry, let generation): makeStore(entry, generation)
    case .closeStore(let generation): stores.close(generation)
    case .setFilling(let generation, false) where !isWindowed && stores.isWindow(generation):
      // It stood in for a file. The next open may find room for one.
      if let tile = tiles.owner(of: generation) { act(tiles.dropBytes(tile.entry.seq)) }
    case .setFilling(let generation, let isFilling): stores.setFilling(generation, isFilling)
    case .tryDisk(let generation): stores.tryDisk(generation)
    case .fetchFirst(let generation, let ranges): stores.fetch(generation, first: ranges)
    case .forgetPages(let node, let generation):
      guard let host else { return act(tiles.pagesForgotten(generation)) }
      host.invalidatePages(of: node) { [weak self] in
        guard let self else { return }
        act(tiles.pagesForgotten(generation))
      }
    case .answer(let handle, let answer): self.answer(handle, answer)
    case .journal(.remove), .invalidate: break
    case .journal(let change): journal.note([change])
    case .unlink(let leftover): unlink([leftover.file, leftover.file.with(.sums)], bytes: leftover.bytes)
    case .gone(let entry):
      belongings[entry.seq] = nil
      made(entry.seq, .failed(.stale, "it was unstaged meanwhile"))
      Log.info("item.gone", ["id": entry.id])
    }
  }

  /// Makes room first where there is none, as long as anything can go.
  private func makeStore(_ entry: TileEntry, _ generation: StoreGeneration) {
    let order = order(entry, generation)
    guard !isWindowed else { return makeWindow(order) }
    let since = space.timesFreed
    let left = tiles.tiles[entry.seq]?.leftover?.file
    stores.make(order, from: left, beside: bytesBeside(entry.seq)) { [weak self] failure in
      guard let self else { return }
      guard let failure else {
        act(tiles.storeMade(generation))
        return made(entry.seq, nil)
      }
      guard failure.errno.isNoSpace, tiles.awaits(generation) else { return storeFailed(order, failure) }
      room.ask(for: entry.seq, short: failure.short, since: since) { [self] isThere in
        guard tiles.awaits(generation) else { return storeFailed(order, failure) }
        if isThere { return makeStore(entry, generation) }
        // What is to be kept needs a place to be kept in.
        guard tiles.isOpen(entry.seq) else { return storeFailed(order, failure) }
        Log.warning("store.streams", ["id": entry.id, "reason": "\(failure.sentence), so it streams through memory"])
        makeWindow(order, after: failure)
      }
    }
  }

  /// - Parameter reason: why there is no file, which is more to the point than why there is no window either.
  private func makeWindow(_ order: TileStores.Order, after reason: SparseStore.Failure? = nil) {
    let (seq, generation) = (order.entry.seq, order.generation)
    stores.makeWindow(order) { [weak self] failure in
      guard let self else { return }
      if let failure { return storeFailed(order, reason ?? failure) }
      // It has no use for what an earlier run left in a file.
      let leftover = tiles.tiles[seq]?.leftover
      act(tiles.storeMade(generation))
      if let leftover { unlink([leftover.file, leftover.file.with(.sums)], bytes: leftover.bytes) }
      made(seq, nil)
    }
  }

  private func storeFailed(_ order: TileStores.Order, _ failure: SparseStore.Failure) {
    Log.warning("store.failed", ["id": order.entry.id, "error": failure.errno, "reason": failure.sentence])
    order.note.sentence = failure.sentence
    act(tiles.storeFailed(order.generation, failure.errno))
    made(order.entry.seq, failure)
  }

  private func made(_ seq: UInt64, _ failure: SparseStore.Failure?) {
    for body in whenMade.removeValue(forKey: seq) ?? [] { body(failure) }
  }

  func order(_ entry: TileEntry, _ generation: StoreGeneration) -> TileStores.Order {
    var own = belongings[entry.seq] ?? Belongings()
    let origin = own.origin ?? surroundings.catalogue.origin(fileID: entry.fileID, size: entry.size, recipient: entry.recipient)
    own.origin = origin
    belongings[entry.seq] = own
    return TileStores.Order(entry: entry, generation: generation, identity: tiles.identity(entry), origin: origin, note: own.failure)
  }

  // MARK: Opens

  func expectAnswer(_ handle: HandleID, _ reply: @escaping @Sendable (Result<LeaseID?, Errno>) -> Void) {
    replies[handle, default: []].append(reply)
  }

  private func answer(_ handle: HandleID, _ answer: TileAction.Answer) {
    let result: Result<LeaseID?, Errno> =
      switch answer {
      case .empty: .success(nil)
      case .failed(let error): .failure(error)
      case .store(let generation): stores.lease(of: generation).map { .success($0) } ?? .failure(.io)
      }
    for reply in replies.removeValue(forKey: handle) ?? [] { reply(result) }
  }
}
