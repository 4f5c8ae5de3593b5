import Core
import EventLoop
import Store
import Telemetry
import Volume

/// A volume, as the keeper of its files' bytes asks it.
@DispatchLoop
package protocol FileOwner: AnyObject {
  /// The size of a file that has a name or is open; nil for any other.
  func size(of key: FileKey) -> Int64?
  /// Tells the file's bytes from those of every other file, in every run.
  func identity(of key: FileKey) -> UInt64?
  /// The order that the file's store is made with; nil for a file that is gone.
  func order(of key: FileKey, file: BytesFile) -> BackingStores.Order?
  /// The file's store gave back what it held; the volume needs nothing for it until the next open.
  func rested(_ key: FileKey)
  /// `replaced`, `graceOver` or `ended`; the volume answers with a call of the cache.
  func fileEvent(_ action: FileAction)
}

/// The bytes of the files of all volumes: the one keeper of the cache of a process. `FileKeeper` decides, this class
/// does: it owns the stores and leases, the space that is on its way to be free, the timer of the graces and the
/// answers that are owed to opens.
@DispatchLoop
package final class FileCache {
  package let space = LeavingSpace()
  package internal(set) var keeper: FileKeeper
  let stores: BackingStores
  let maker: any BackingMaker
  let leftovers: Leftovers
  let clock: any TimeSource
  package let alarm: @Sendable @DispatchLoop (@escaping @DispatchLoop () -> Void) -> any Alarm
  private struct Owner {
    weak var owner: (any FileOwner)?
    weak var host: (any VolumeHost)?
  }
  private var owners: [VolumeID: Owner] = [:]
  private var replies: [HandleID: [@Sendable (Result<LeaseID?, Errno>) -> Void]] = [:]
  /// Callers that wait for a file's store to be made.
  private var whenMade: [FileKey: [@DispatchLoop (SparseStore.Failure?) -> Void]] = [:]
  /// Stores that could not be made because of what others hold.
  private var whenFreed: [@DispatchLoop () -> Void] = []
  /// Handles whose OPEN waits for the origin to say whether it still has the file.
  private var rechecking: [StoreGeneration: [HandleID]] = [:]
  private var todo: [FileAction] = []
  private var isActing = false
  private var alarmTime: Moment?
  /// Volumes some of whose files have not been stopped yet.
  private var isStopping: Set<VolumeID> = []
  private var whenStopped: [@DispatchLoop () -> Void] = []
  private lazy var graceAlarm = alarm { [weak self] in self?.ring() }
  private(set) lazy var room = RoomQueue(space) { [weak self] key, short, then in
    self?.freeSpace(for: key, short: short, then: then) ?? false
  }

  package convenience init(
    rules: FileKeeper.Rules, folder: CacheFolder, budget: FetchBudget, memory: WindowMemory,
    clock: any TimeSource = SystemClock()
  ) {
    self.init(
      rules: rules, maker: StoreMaker(folder: folder, budget: budget, memory: memory),
      leftovers: Leftovers(folder: folder), clock: clock)
  }

  init(
    rules: FileKeeper.Rules, maker: any BackingMaker, leftovers: Leftovers, clock: any TimeSource,
    alarm: @escaping @Sendable @DispatchLoop (@escaping @DispatchLoop () -> Void) -> any Alarm = { LoopAlarm($0) }
  ) {
    keeper = FileKeeper(rules: rules)
    stores = BackingStores(maker, space)
    self.maker = maker
    self.leftovers = leftovers
    self.clock = clock
    self.alarm = alarm
    stores.bytesBeside = { [weak self] in self?.bytesBeside($0) ?? 0 }
    stores.onComplete = { [weak self] generation in
      guard let self else { return }
      act(keeper.storeComplete(generation, at: time))
    }
    stores.onIncomplete = { [weak self] in self?.keeper.storeIncomplete($0) }
    stores.onChange = { [weak self] generation, change in
      guard let self, let key = keeper.owner(of: generation) else { return }
      switch change {
      case .refused: act(keeper.sourceChanged(generation))
      case .otherLength(let size): act(keeper.sourceChanged(generation, to: size))
      case .startedAfresh:
        // No handle has bytes of the earlier version, but the kernel may.
        host(key.volume)?.invalidatePages(of: key.node) {}
      }
    }
    stores.onStuck = { [weak self] generation in
      guard let self else { return }
      act(keeper.storeStuck(generation, at: time))
    }
    stores.onProgress = { [weak self] in self?.keeper.sourceSettled($0) }
    stores.onNoSpace = { [weak self] generation, needed, done in
      guard let self, let key = keeper.owner(of: generation), keeper[key]?.wantsFilling == true else {
        return done(false)
      }
      room.ask(for: key, short: needed, since: space.timesFreed, done: done)
    }
  }

  package var time: FileTime { FileTime(now: clock.now(), wall: clock.wallNanoseconds()) }

  // MARK: Volumes

  /// - Parameter generation: above every one that the volume's earlier runs used.
  package func add(_ volume: VolumeID, generation: UInt64, owner: any FileOwner) {
    keeper.add(volume, generation: generation)
    owners[volume] = Owner(owner: owner)
  }

  package func mount(_ volume: VolumeID, on host: any VolumeHost) {
    owners[volume]?.host = host
    stores.mount(volume, on: host)
  }

  func host(_ volume: VolumeID) -> (any VolumeHost)? { owners[volume]?.host }
  func owner(_ volume: VolumeID) -> (any FileOwner)? { owners[volume]?.owner }

  // MARK: Acting

  /// Changes the keeper together with what the caller owns, in one step.
  package func change<Result>(_ body: (inout FileKeeper) -> Result) -> Result { body(&keeper) }

  /// Does what an event asks for; events that come of it are done after it.
  package func act(_ actions: [FileAction]) {
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
  }

  private func setAlarm() {
    let deadline = keeper.nextDeadline
    guard deadline != alarmTime else { return }
    alarmTime = deadline
    if let deadline { graceAlarm.start(after: max(.zero, deadline - clock.now())) } else { graceAlarm.stop() }
  }

  private func ring() {
    // It may have rung a little early.
    alarmTime = nil
    act(keeper.advance(to: time))
  }

  private func perform(_ action: FileAction) {
    switch action {
    case .makeStore(let key, let generation): makeStore(key, generation)
    case .closeStore(let generation):
      stores.close(generation)
      freed()
    case .parkStore(let generation):
      stores.park(generation) { [weak self] parked in
        guard let self else { return }
        if let key = keeper.owner(of: generation) { owner(key.volume)?.rested(key) }
        act(keeper.parked(generation, parked))
        freed()
      }
    case .setFilling(let generation, let isFilling):
      let file = keeper.owner(of: generation).flatMap { keeper[$0] }
      stores.setFilling(generation, isFilling ? file?.filling ?? .none : .none)
    case .tryDisk(let generation): stores.tryDisk(generation)
    case .fetchFirst(let generation, let ranges): stores.fetch(generation, first: ranges)
    case .forgetPages(let key, let generation):
      guard let host = host(key.volume) else { return act(keeper.pagesForgotten(generation)) }
      host.invalidatePages(of: key.node) { [weak self] in
        guard let self else { return }
        act(keeper.pagesForgotten(generation))
      }
    case .answer(let handle, let answer): self.answer(handle, answer)
    case .unlink(let parked): unlink([parked.file, parked.file.with(.sums)], bytes: parked.bytes)
    case .full(let key):
      owner(key.volume)?.order(of: key, file: BytesFile(key, StoreGeneration(rawValue: 0, of: key.volume)))?.note
        .sentence =
        "\(keeper.rules.capacity) files are open at once, which is all that the limit of open files allows: close "
        + "some, or raise it "
        + "(ulimit -n, LimitNOFILE)"
    case .replaced(let key, _), .graceOver(let key, _), .ended(let key):
      owner(key.volume)?.fileEvent(action)
    }
  }

  /// Makes room first if there is none, as long as anything can go.
  private func makeStore(_ key: FileKey, _ generation: StoreGeneration) {
    guard let order = owner(key.volume)?.order(of: key, file: BytesFile(key, generation)) else {
      return act(keeper.storeFailed(generation, .stale))
    }
    guard !keeper.rules.isWindowed else { return makeWindow(order) }
    let since = space.timesFreed
    let start = keeper[key]?.parked?.start ?? .empty
    stores.make(order, start, beside: bytesBeside(key)) { [weak self] failure in
      guard let self else { return }
      guard let failure else {
        act(keeper.storeMade(generation))
        return made(key, nil)
      }
      guard keeper.awaits(generation) else { return storeFailed(order, failure) }
      if failure.errno.isShortage { return freeFrame(for: order, failure) }
      guard failure.errno.isNoSpace else { return storeFailed(order, failure) }
      room.ask(for: key, short: failure.short, since: since) { [self] isThere in
        guard keeper.awaits(generation) else { return storeFailed(order, failure) }
        if isThere { return makeStore(key, generation) }
        // A file that is to be kept needs a place to be kept in.
        guard keeper.isOpen(key) else { return storeFailed(order, failure) }
        Log.warning(.storeStreams, ["id": order.label, "cause": "\(failure.sentence), so it streams through memory"])
        makeWindow(order, after: failure)
      }
    }
  }

  /// A descriptor, a lease or memory is lacking: a store that nothing has open gives back its own, and then it is tried
  /// again.
  private func freeFrame(for order: BackingStores.Order, _ failure: SparseStore.Failure) {
    let (key, generation) = (order.key, order.generation)
    let actions = keeper.freeFrame()
    guard actions != nil || keeper.hasParking else { return storeFailed(order, failure) }
    whenFreed.append { [self] in
      if keeper.awaits(generation) { makeStore(key, generation) } else { storeFailed(order, failure) }
    }
    act(actions ?? [])
  }

  private func freed() {
    guard !whenFreed.isEmpty else { return }
    whenFreed.removeFirst()()
  }

  /// - Parameter reason: why there is no file, which is more to the point than why there is no window either.
  private func makeWindow(_ order: BackingStores.Order, after reason: SparseStore.Failure? = nil) {
    stores.makeWindow(order) { [weak self] failure in
      guard let self else { return }
      if let failure {
        guard failure.errno.isShortage, reason == nil, keeper.awaits(order.generation) else {
          return storeFailed(order, reason ?? failure)
        }
        return freeFrame(for: order, failure)
      }
      act(keeper.storeMade(order.generation, isWindow: true))
      made(order.key, nil)
    }
  }

  private func storeFailed(_ order: BackingStores.Order, _ failure: SparseStore.Failure) {
    Log.warning(.storeFailed, ["id": order.label, "errno": failure.errno, "cause": failure.sentence])
    order.note.sentence = failure.sentence
    act(keeper.storeFailed(order.generation, failure.errno))
    made(order.key, failure)
  }

  private func made(_ key: FileKey, _ failure: SparseStore.Failure?) {
    for body in whenMade.removeValue(forKey: key) ?? [] { body(failure) }
  }

  // MARK: Opens and reads

  /// Counts the handle and answers once the file can be read from.
  package func open(
    _ key: FileKey, size: Int64, handle: HandleID, reply: @escaping @Sendable (Result<LeaseID?, Errno>) -> Void
  ) {
    replies[handle, default: []].append(reply)
    act(keeper.open(key, size: size, handle: handle))
  }

  package func released(_ handle: HandleID, use: HandleUse) { act(keeper.released(handle, use: use, at: time)) }

  package func read(_ key: FileKey, _ range: ByteRange, wasBad: Bool, reply: @escaping ReadReply) {
    guard let generation = keeper[key]?.store else { return _ = reply(.failed(.io)) }
    stores.read(generation, range, wasBad: wasBad, reply: reply)
  }

  /// The first OPEN of a file that has bytes waits so long for its origin to say whether it still has the same file;
  /// then it is answered all the same.
  private static let recheckLimit = Duration.seconds(2)

  private func answer(_ handle: HandleID, _ answer: FileAction.Answer) {
    if case .store(let generation) = answer, recheck(generation, before: handle) { return }
    reply(handle, answer)
  }

  /// A file that was open nowhere may have been replaced at its origin meanwhile.
  /// - Returns: false if there is nothing to ask: the OPEN of `handle` can be answered now.
  private func recheck(_ generation: StoreGeneration, before handle: HandleID) -> Bool {
    if rechecking[generation] != nil {
      rechecking[generation]?.append(handle)
      return true
    }
    // Several may open it at once: none of them has its answer.
    guard let key = keeper.file(of: handle), let file = keeper[key], file.handles.allSatisfy({ replies[$0] != nil }),
      file.isDoubted || stores.bytesPresent(of: generation) > 0
    else { return false }
    rechecking[generation] = [handle]
    Task { @DispatchLoop in
      var isChanged = false
      var isLate = false
      let isTold = await wait(atMost: Self.recheckLimit, alarm) { [self] done in
        stores.recheck(generation) { [self] found in
          isChanged = found
          if isLate, found { act(keeper.sourceChanged(generation)) } else { done() }
        }
      }
      isLate = !isTold
      let handles = rechecking.removeValue(forKey: generation) ?? []
      if isChanged || keeper[key]?.hasChanged == true {
        act(keeper.sourceChanged(generation, unanswered: handles))
      } else {
        // An empty file has no byte that would prove it.
        if isTold, keeper[key]?.size != 0 { keeper.trust(key) }
        for handle in handles { reply(handle, .store(generation)) }
      }
    }
    return true
  }

  private func reply(_ handle: HandleID, _ answer: FileAction.Answer) {
    let result: Result<LeaseID?, Errno> =
      switch answer {
      case .empty: .success(nil)
      case .failed(let error): .failure(error)
      case .store(let generation): stores.lease(of: generation).map { .success($0) } ?? .failure(.io)
      }
    for reply in replies.removeValue(forKey: handle) ?? [] { reply(result) }
  }

  /// Waits for the store that is being made, if one is.
  /// - Returns: why it could not be made.
  package func storeFailure(of key: FileKey) async -> SparseStore.Failure? {
    switch keeper[key]?.state {
    case .making, .forgetting(_, keeping: _): break
    case .standing, .parked, .parking, nil: return nil
    case .some(.none): return nil
    }
    return await withCheckedContinuation { continuation in
      whenMade[key, default: []].append { continuation.resume(returning: $0) }
    }
  }

  /// An order to fetch waits so long for the origin to refuse; then it is under way.
  private static let refusalLimit = Duration.seconds(2)

  /// Fetches on what failed.
  /// - Returns: false if no byte could be had; true also if that is not known in time.
  package func tryAgain(_ key: FileKey) async -> Bool {
    guard let generation = keeper[key]?.store else { return true }
    var isRefused = false
    _ = await wait(atMost: Self.refusalLimit, alarm) { done in
      stores.tryAgain(generation) { isHere in
        isRefused = !isHere
        done()
      }
    }
    return !isRefused
  }

  /// The file has neither name nor reader any more.
  package func ended(_ key: FileKey) { made(key, .failed(.stale, "it was unstaged meanwhile")) }

  // MARK: The end

  /// Every waiting open and read of the volume's files is answered with EIO; fetches end.
  package func stop(_ volume: VolumeID) {
    guard isStopping.insert(volume).inserted else { return }
    stop(volume, from: 0)
    room.stop()
    for key in whenMade.keys where key.volume == volume { made(key, .failed(.io, "fsmvp is stopping")) }
  }

  /// Some files now, the others in later turns of the loop.
  private func stop(_ volume: VolumeID, from node: UInt64) {
    let (actions, next) = change { $0.stop(volume, from: node, limit: Self.stopsAStep) }
    act(actions)
    guard let next else {
      isStopping.remove(volume)
      guard isStopping.isEmpty else { return }
      let bodies = whenStopped
      whenStopped = []
      return bodies.forEach { $0() }
    }
    DispatchLoop.post { self.stop(volume, from: next) }
  }

  static let stopsAStep = 32

  /// Calls back once every store of the volumes that stop is closed.
  func whenAllClosed(_ done: @escaping @DispatchLoop () -> Void) {
    guard isStopping.isEmpty else { return whenStopped.append { [stores] in stores.whenAllClosed(done) } }
    stores.whenAllClosed(done)
  }
}
