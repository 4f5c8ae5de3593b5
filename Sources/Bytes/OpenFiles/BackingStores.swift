import ByteSource
import Core
import EventLoop
import Store
import Telemetry
import Volume

/// The leases and stores behind the generations that `FileKeeper` draws: makes them, connects the two, and gives both
/// back. `FileCache` owns it. Its tables are changed on the dispatch loop; the stores themselves live on the transfer
/// loop, and calls to them are sent there.
@DispatchLoop
package final class BackingStores {
  private enum Granted {
    case file(any Lease, RevocableMarks)
    case window(any WindowLease)

    package var id: LeaseID {
      switch self {
      case .file(let lease, _): lease.id
      case .window(let lease): lease.id
      }
    }

    package var kind: FailureNote.Store {
      switch self {
      case .file: .file
      case .window: .window
      }
    }
  }
  /// The parts behind a generation that stands. An object, because it is asked for often and changed in place.
  @DispatchLoop
  private final class Standing {
    let backing: Granted
    let store: any Backing
    let order: Order
    /// Beside a file whose disk is full: what the file has not got streams through it.
    var overflow: Overflow?
    /// In place of a window: the origin sends whole objects, for which a window has no room.
    var substitute: Substitute?

    init(backing: Granted, store: any Backing, order: Order) {
      (self.backing, self.store, self.order) = (backing, store, order)
    }
  }
  private enum Overflow {
    case making([(ByteRange, ReadReply)])
    case standing(any WindowLease, any Backing)
  }
  private enum Substitute {
    case making([(ByteRange, ReadReply)])
    case standing(any Lease, RevocableMarks, any Backing)
  }

  private struct Mount {
    weak var host: (any VolumeHost)?
  }
  private var mounts: [VolumeID: Mount] = [:]
  private let maker: any BackingMaker
  private var standing: [StoreGeneration: Standing] = [:]
  private var making = 0
  /// Stores whose file is not unlinked yet.
  private var closing = 0
  private var whenClosed: [@DispatchLoop () -> Void] = []
  /// The space on its way to be free, that of closed stores among others.
  private let space: LeavingSpace
  /// The highest generation of a use of a frame of the window before this run.
  package var windowGeneration: UInt32 = 0
  /// Bytes in the folder that no store answers for, when one is made for the file.
  package var bytesBeside: (FileKey) -> Int64 = { _ in 0 }
  /// A store got a full disk under so many bytes: is there to be room? Without it there is none.
  package var onNoSpace: ((StoreGeneration, _ needed: Int64, _ done: @escaping @DispatchLoop (Bool) -> Void) -> Void)?
  /// All bytes of a store are there, or all that it fetches unasked; may be told again.
  package var onComplete: ((StoreGeneration) -> Void)?
  /// The origin of a store turned out to have another file; may be told again.
  package var onChange: ((StoreGeneration, SourceChange) -> Void)?
  /// Bytes of a store were bad and are fetched again.
  package var onIncomplete: ((StoreGeneration) -> Void)?
  /// Fetching for a store gave up for now.
  package var onStuck: ((StoreGeneration) -> Void)?
  /// Bytes of a store came again after it gave up.
  package var onProgress: ((StoreGeneration) -> Void)?

  package init(_ maker: any BackingMaker, _ space: LeavingSpace) {
    self.maker = maker
    self.space = space
  }

  package func mount(_ volume: VolumeID, on host: any VolumeHost) { mounts[volume] = Mount(host: host) }
  private func host(of key: FileKey) -> (any VolumeHost)? { mounts[key.volume]?.host }

  /// An order for a store: the file that it is made for, and all that it is made with.
  package struct Order {
    package var file: BytesFile
    /// In bytes.
    package var size: Int64
    /// Names the file for people, in the log.
    package var label: String
    package var identity: UInt64
    package var origin: any ByteSource
    package var note: FailureNote
    package init(
      file: BytesFile, size: Int64, label: String, identity: UInt64, origin: any ByteSource, note: FailureNote
    ) {
      (self.file, self.size, self.label, self.identity, self.origin, self.note) = (
        file, size, label, identity, origin, note
      )
    }
    package var key: FileKey { file.key }
    package var generation: StoreGeneration { file.generation }
    package var name: String { file.name }
  }
  package typealias Done = @Sendable @DispatchLoop (SparseStore.Failure?) -> Void

  private static let tooMany = SparseStore.Failure.failed(
    .tooManyFiles, "too many files are open at once: the mount's table has no row left for another; close some")

  // MARK: Making

  /// - Parameters:
  ///   - beside: bytes in the folder that are no store's.
  ///   - done: why it cannot be made, if it cannot.
  package func make(_ order: Order, _ start: SparseStore.Start, beside: Int64, done: @escaping Done) {
    guard let host = host(of: order.key) else { return done(.failed(.io, "nothing is mounted")) }
    guard let lease = try? host.grantLease(node: order.key.node, root: 0, name: order.name, length: order.size) else {
      return done(Self.tooMany)
    }
    self.start(order, start, lease: lease, beside: beside, done: done)
  }

  /// Makes a store that keeps nothing: the file streams through the window.
  package func makeWindow(_ order: Order, done: @escaping Done) {
    guard let host = host(of: order.key) else { return done(.failed(.io, "nothing is mounted")) }
    guard let lease = try? host.grantWindow(node: order.key.node, length: order.size) else { return done(Self.tooMany) }
    start(order, window: lease, done: done)
  }

  /// Goes on with the store behind a lease that stands. It is revoked where that cannot be.
  package func takeUp(_ order: Order, _ lease: any InheritedLease, done: @escaping Done) {
    start(order, .marked(lease.marked), lease: lease, beside: 0, done: done)
  }

  package func takeUp(_ order: Order, _ lease: any InheritedWindow, done: @escaping Done) {
    start(order, window: lease, following: Self.heritage(lease), done: done)
  }

  /// Readers have bytes from a window that is not taken up, because this file stands.
  package func follow(_ generation: StoreGeneration, _ lease: any InheritedWindow) {
    guard let store = standing[generation]?.store else { return }
    let heritage = Self.heritage(lease)
    TransferLoop.post { store.follow(heritage) }
  }

  private static func heritage(_ lease: any InheritedWindow) -> SourceHeritage {
    SourceHeritage(
      words: [lease.version], samples: lease.samples.map { SourceHeritage.Sample(at: $0.offset, $0.bytes) })
  }

  private func start(_ order: Order, _ start: SparseStore.Start, lease: any Lease, beside: Int64, done: @escaping Done)
  {
    making += 1
    let gate = RevocableMarks(lease)
    let maker = maker
    Task { @TransferLoop in
      let made: Result<any Backing, SparseStore.Failure>
      do throws(SparseStore.Failure) {
        let store = try await maker.make(
          name: order.name, origin: order.origin, blockSize: lease.blockSize, identity: order.identity, start: start,
          beside: beside)
        self.connect(store, order, gate)
        if case .parked = start { store.markPresent() }
        made = .success(store)
      } catch {
        made = .failure(error)
      }
      await self.finish(order, made, .file(lease, gate), done: done)
    }
  }

  /// Before the first read, so that no block is written unmarked.
  @TransferLoop private func connect(_ store: any FileBacking, _ order: Order, _ gate: RevocableMarks) {
    let (generation, note, size) = (order.generation, order.note, order.size)
    store.onBlocks = { [weak self, weak store] blocks, isPresent in
      gate.set(blocks, present: isPresent)
      guard isPresent else {
        DispatchLoop.post { self?.onIncomplete?(generation) }
        return
      }
      guard let store, store.bytesPresent >= size else { return }
      DispatchLoop.post { self?.onComplete?(generation) }
    }
    store.onFailure = { [weak self] sentence in
      note.say(sentence, of: .file)
      DispatchLoop.post { if sentence == nil { self?.onProgress?(generation) } else { self?.onStuck?(generation) } }
    }
    tellChanges(of: store, generation)
    store.onNoSpace = { [weak self] needed, done in
      DispatchLoop.post {
        let answer: @DispatchLoop (Bool) -> Void = { isThere in
          TransferLoop.post { done(isThere) }
        }
        guard let ask = self?.onNoSpace else { return answer(false) }
        ask(generation, needed, answer)
      }
    }
  }

  private func start(
    _ order: Order, window lease: any WindowLease, following heritage: SourceHeritage = .init(), done: @escaping Done
  ) {
    making += 1
    window(order, lease, following: heritage) { [self] store in
      finish(
        order, store.map { .success($0) } ?? .failure(.failed(.noMemory, "there is no memory for a window")),
        .window(lease), done: done)
    }
  }

  /// - Parameters:
  ///   - heritage: what readers of the file have already.
  ///   - file: the store of the same file that it is beside.
  private func window(
    _ order: Order, _ lease: any WindowLease, following heritage: SourceHeritage = .init(),
    beside file: (any Backing)? = nil,
    done: @escaping @Sendable @DispatchLoop ((any Backing)?) -> Void
  ) {
    guard let uses = host(of: order.key)?.windowUses else { return done(nil) }
    let (maker, lastUse) = (maker, windowGeneration)
    Task { @TransferLoop in
      let heritage = await file?.heritage() ?? heritage
      let store = maker.makeWindow(
        label: order.name, origin: order.origin, map: LeaseMap(lease: lease), uses: uses, after: lastUse,
        following: heritage)
      let note = order.note
      let generation = order.generation
      store?.onFailure = { [weak self] sentence in
        note.say(sentence, of: .window)
        guard sentence == nil else { return }
        DispatchLoop.post { self?.onProgress?(generation) }
      }
      if let store { self.tellChanges(of: store, order.generation) }
      await Self.call(done, store)
    }
  }

  @TransferLoop private func tellChanges(of store: any Backing, _ generation: StoreGeneration) {
    store.onChange = { [weak self] change in
      DispatchLoop.post { self?.onChange?(generation, change) }
    }
  }

  private static func call(_ done: @Sendable @DispatchLoop ((any Backing)?) -> Void, _ store: (any Backing)?) {
    done(store)
  }

  private func finish(
    _ order: Order, _ made: Result<any Backing, SparseStore.Failure>, _ backing: Granted,
    done: @DispatchLoop (SparseStore.Failure?) -> Void
  ) {
    making -= 1
    switch made {
    case .success(let store):
      order.note.turn(to: backing.kind)
      standing[order.generation] = Standing(backing: backing, store: store, order: order)
      done(nil)
    case .failure(let failure):
      revoke(backing, of: order.key) {}
      done(failure)
    }
    reportClosed()
  }

  private func revoke(_ backing: Granted, of key: FileKey, done: @escaping @DispatchLoop () -> Void) {
    guard let host = host(of: key) else { return done() }
    switch backing {
    case .file(let lease, _): host.revoke(lease, done: done)
    case .window(let lease): host.revoke(lease, done: done)
    }
  }

  // MARK: Questions

  package func lease(of generation: StoreGeneration) -> LeaseID? { standing[generation]?.backing.id }
  package func bytesPresent(of generation: StoreGeneration) -> Int64 { standing[generation]?.store.bytesPresent ?? 0 }

  /// How much of each of at most `cells` equal parts of the file is here, 0 to 15.
  package func presence(of generation: StoreGeneration, cells: Int) -> [UInt8] {
    switch standing[generation]?.backing {
    case .file(let lease, _): lease.presence(cells: cells)
    case .window(let lease): lease.presence(cells: cells)
    case nil: []
    }
  }

  /// In the folder.
  package func bytesInFolder(of generation: StoreGeneration) -> Int64 {
    if case .standing(_, _, let file)? = standing[generation]?.substitute { return file.bytesPresent }
    return isWindow(generation) ? 0 : bytesPresent(of: generation)
  }

  /// Whether a window is all it has.
  package func isWindow(_ generation: StoreGeneration) -> Bool {
    standing[generation]?.backing.kind == .window
  }

  /// Whether what is not here streams through memory.
  package func isWindowed(_ generation: StoreGeneration) -> Bool {
    isWindow(generation) || standing[generation]?.overflow != nil
  }

  // MARK: Fetching

  /// Fetches the ranges as if a reader asked for them, but no reader waits for the bytes.
  package func fetch(_ generation: StoreGeneration, first ranges: [ByteRange]) {
    guard let own = standing[generation] else { return }
    let store = own.store
    let isWindow = own.backing.kind == .window
    TransferLoop.post {
      for (number, range) in ranges.enumerated() {
        store.read(range) { [weak self] _ in
          // A window fetches nothing more before the next read.
          if isWindow, number == ranges.count - 1 {
            DispatchLoop.post { self?.onComplete?(generation) }
          }
          return nil
        }
      }
    }
  }

  /// Asks whether the origin has another file than the one whose bytes stand. Calls back on the dispatch loop.
  ///
  /// If there are no bytes, the first one is fetched; `onChange` tells before `done` if that shows another file.
  package func recheck(_ generation: StoreGeneration, done: @escaping @Sendable @DispatchLoop (Bool) -> Void) {
    guard let store = standing[generation]?.store else { return done(false) }
    TransferLoop.post {
      guard store.bytesPresent > 0 else {
        return store.read(ByteRange(0, 1)) { _ in
          Self.afterAll { done(false) }
          return nil
        }
      }
      store.recheck { isChanged in DispatchLoop.post { done(isChanged) } }
    }
  }

  /// - Parameter done: gets false if no byte could be had; the reason has been noted by then.
  package func tryAgain(
    _ generation: StoreGeneration, done: @escaping @Sendable @DispatchLoop (Bool) -> Void = { _ in }
  ) {
    guard let store = standing[generation]?.store else { return done(true) }
    TransferLoop.post {
      store.tryAgain { isHere in Self.afterAll { done(isHere) } }
    }
  }

  /// Runs on the dispatch loop once the transfer loop has done what it is at, and said what came of it.
  private nonisolated static func afterAll(_ body: @escaping @Sendable @DispatchLoop () -> Void) {
    EventLoop.transfer.post { DispatchLoop.post { body() } }
  }

  package func setFilling(_ generation: StoreGeneration, _ filling: Filling) {
    guard let own = standing[generation] else { return }
    let store = own.store
    TransferLoop.post { store.setFilling(filling) }
    // No reader is left; the next one may find room on the disk.
    if !filling.isAny { endOverflow(of: generation) }
    if !filling.isAny { endSubstitute(of: generation) }
  }

  /// One hop to the transfer loop; the answer takes none back.
  package func read(_ generation: StoreGeneration, _ range: ByteRange, wasBad: Bool, reply: @escaping ReadReply) {
    guard let own = standing[generation] else {
      _ = reply(.failed(.io))
      return
    }
    let store = own.store
    // A handle may have come by a lease that ended since.
    let lease: LeaseID? = if case .window(let lease) = own.backing { lease.id } else { nil }
    if case .standing(let lease, let window)? = own.overflow {
      TransferLoop.post {
        if store.has(range), !wasBad { return store.read(range) { Self.pass($0, from: nil, to: reply) } }
        if wasBad { window.distrust(range) }
        window.read(range) { Self.pass($0, from: lease.id, to: reply) }
      }
      return
    }
    switch own.substitute {
    case nil: break
    case .making(let waiting):
      standing[generation]?.substitute = .making(waiting + [(range, reply)])
      return
    case .standing(let lease, _, let file):
      TransferLoop.post {
        if wasBad { file.distrust(range) }
        file.read(range) { Self.pass($0, from: lease.id, to: reply) }
      }
      return
    }
    TransferLoop.post {
      if wasBad { store.distrust(range) }
      store.read(range) { [weak self] result in
        if case .failure = result, TransferLoop.assumeIsolated({ store.needsFile }) {
          DispatchLoop.post {
            guard let self else { return _ = reply(.failed(.io)) }
            self.readThroughFile(generation, range, reply)
          }
          return nil
        }
        guard case .failure(let error) = result, error.isNoSpace else {
          return Self.pass(result, from: lease, to: reply)
        }
        DispatchLoop.post {
          guard let self else { return _ = reply(.failed(error)) }
          self.readThroughWindow(generation, range, reply)
        }
        return nil
      }
    }
  }

  private nonisolated static func pass(
    _ result: Result<ByteRange, Errno>, from lease: LeaseID?, to reply: ReadReply
  ) -> (@Sendable () -> Bool)? {
    switch result {
    case .failure(let error):
      _ = reply(.failed(error))
      return nil
    case .success(let range):
      guard let delivery = reply(.bytes(range, from: lease)) else { return nil }
      return { delivery.isUnderWay }
    }
  }

  // MARK: A full disk

  /// The disk has no room for these bytes, and nothing idle could make any.
  private func readThroughWindow(_ generation: StoreGeneration, _ range: ByteRange, _ reply: @escaping ReadReply) {
    guard let own = standing[generation] else {
      _ = reply(.failed(.io))
      return
    }
    switch own.overflow {
    case .standing: read(generation, range, wasBad: false, reply: reply)
    case .making(let waiting): standing[generation]?.overflow = .making(waiting + [(range, reply)])
    case nil:
      guard let host = host(of: own.order.key),
        let lease = try? host.grantWindow(node: own.order.key.node, length: own.order.size)
      else {
        _ = reply(.failed(.noSpace))
        return
      }
      standing[generation]?.overflow = .making([(range, reply)])
      making += 1
      window(own.order, lease, beside: own.store) { [self] store in
        making -= 1
        overflowMade(generation, own.order.key, lease, store)
        reportClosed()
      }
    }
  }

  private func overflowMade(
    _ generation: StoreGeneration, _ key: FileKey, _ lease: any WindowLease, _ store: (any Backing)?
  ) {
    guard case .making(let waiting)? = standing[generation]?.overflow, let store else {
      if case .making(let waiting)? = standing[generation]?.overflow {
        standing[generation]?.overflow = nil
        for (_, reply) in waiting { _ = reply(.failed(.noSpace)) }
      }
      self.host(of: key)?.revoke(lease) {}
      if let store { TransferLoop.post { store.close(error: .io) {} } }
      return
    }
    standing[generation]?.overflow = .standing(lease, store)
    let order = standing[generation]?.order
    Log.warning(.storeStreams, ["id": order?.label ?? "", "cause": "its disk is full, so it streams through memory"])
    order?.note.turn(to: .window)
    TransferLoop.post { store.setFilling(.readers) }
    for (range, reply) in waiting { read(generation, range, wasBad: false, reply: reply) }
  }

  package func tryDisk(_ generation: StoreGeneration) {
    endOverflow(of: generation)
    tryAgain(generation)
  }

  private func endOverflow(of generation: StoreGeneration) {
    guard let own = standing[generation], let overflow = own.overflow else { return }
    standing[generation]?.overflow = nil
    switch overflow {
    case .making(let waiting): for (_, reply) in waiting { _ = reply(.failed(.io)) }
    case .standing(let lease, let store):
      own.order.note.turn(to: .file)
      host(of: own.order.key)?.revoke(lease) {}
      let file = own.store
      Task { @TransferLoop in
        // The file has to go on with the version that readers got bytes of from memory.
        file.follow(await store.heritage())
        store.close(error: .io) {}
      }
    }
  }

  // MARK: An origin without ranges

  private func readThroughFile(_ generation: StoreGeneration, _ range: ByteRange, _ reply: @escaping ReadReply) {
    guard let own = standing[generation] else { return _ = reply(.failed(.io)) }
    guard own.substitute == nil else { return read(generation, range, wasBad: false, reply: reply) }
    let order = own.order
    guard let host = host(of: order.key),
      let lease = try? host.grantLease(node: order.key.node, root: 0, name: order.name, length: order.size)
    else {
      return _ = reply(.failed(.tooManyFiles))
    }
    standing[generation]?.substitute = .making([(range, reply)])
    making += 1
    let (gate, maker, window, beside) = (RevocableMarks(lease), maker, own.store, bytesBeside(order.key))
    Task { @TransferLoop in
      let made: Result<any Backing, SparseStore.Failure>
      do throws(SparseStore.Failure) {
        let store = try await maker.make(
          name: order.name, origin: order.origin, blockSize: lease.blockSize, identity: order.identity, start: .empty,
          beside: beside)
        self.connect(store, order, gate)
        store.follow(await window.heritage())
        made = .success(store)
      } catch {
        made = .failure(error)
      }
      await self.substituteMade(generation, order.key, lease, gate, made)
    }
  }

  private func substituteMade(
    _ generation: StoreGeneration, _ key: FileKey, _ lease: any Lease, _ gate: RevocableMarks,
    _ made: Result<any Backing, SparseStore.Failure>
  ) {
    making -= 1
    defer { reportClosed() }
    guard case .making(let waiting)? = standing[generation]?.substitute, let order = standing[generation]?.order else {
      return end(lease, of: key, gate, try? made.get())
    }
    switch made {
    case .success(let store):
      standing[generation]?.substitute = .standing(lease, gate, store)
      order.note.turn(to: .file)
      Log.warning(
        .storeNeedsFile,
        [
          "id": order.label,
          "cause": "its origin sends whole files instead of ranges, so it is kept on the disk while it is open",
        ])
      TransferLoop.post { store.setFilling(.readers) }
      for (range, reply) in waiting { read(generation, range, wasBad: false, reply: reply) }
    case .failure(let failure):
      standing[generation]?.substitute = nil
      end(lease, of: key, gate, nil)
      order.note.say(
        "its origin sends whole files instead of ranges, so it needs a file: \(failure.sentence)", of: .window)
      for (_, reply) in waiting { _ = reply(.failed(failure.errno)) }
    }
  }

  private func endSubstitute(of generation: StoreGeneration) {
    guard let own = standing[generation], let substitute = own.substitute else { return }
    standing[generation]?.substitute = nil
    switch substitute {
    case .making(let waiting): for (_, reply) in waiting { _ = reply(.failed(.io)) }
    case .standing(let lease, let gate, let store):
      own.order.note.turn(to: .window)
      end(lease, of: own.order.key, gate, store)
    }
  }

  private func end(_ lease: any Lease, of key: FileKey, _ gate: RevocableMarks, _ store: (any Backing)?) {
    gate.close()
    let ticket = space.leave(store?.bytesPresent ?? 0)
    var parts = store == nil ? 1 : 2
    let part: @DispatchLoop () -> Void = { [space] in
      parts -= 1
      if parts == 0 { space.left(ticket) }
    }
    if let host = host(of: key) { host.revoke(lease, done: part) } else { part() }
    guard let store else { return }
    closing += 1
    let closed: @Sendable @DispatchLoop () -> Void = { [self] in
      closing -= 1
      part()
      reportClosed()
    }
    TransferLoop.post {
      store.close(error: .io) { DispatchLoop.post { closed() } }
    }
  }

  // MARK: The end

  /// The generation ends: nothing is marked for it any more, its file goes, its waiters get EIO.
  package func close(_ generation: StoreGeneration) {
    endOverflow(of: generation)
    endSubstitute(of: generation)
    guard let ended = standing.removeValue(forKey: generation) else { return }
    closing += 1
    var bytes: Int64 = 0
    if case .file(_, let gate) = ended.backing {
      gate.close()
      bytes = ended.store.bytesPresent
    }
    let ticket = space.leave(bytes)
    var parts = 2
    let part: @DispatchLoop () -> Void = { [space] in
      parts -= 1
      if parts == 0 { space.left(ticket) }
    }
    revoke(ended.backing, of: ended.order.key, done: part)
    let store = ended.store
    let closed: @Sendable @DispatchLoop () -> Void = { [self] in
      closing -= 1
      part()
      reportClosed()
    }
    TransferLoop.post {
      store.close(error: .io) { DispatchLoop.post { closed() } }
    }
  }

  /// The generation ends with its file kept: nothing is marked for it any more.
  /// - Parameter done: gets nil if nothing of the file could be kept.
  package func park(_ generation: StoreGeneration, done: @escaping @Sendable @DispatchLoop (ParkedFile?) -> Void) {
    endOverflow(of: generation)
    guard let ended = standing.removeValue(forKey: generation), let store = ended.store as? any FileBacking else {
      return done(nil)
    }
    if case .file(_, let gate) = ended.backing { gate.close() }
    closing += 1
    let file = ended.order.file
    let parking = Parking(file: file) { [self] parked in
      closing -= 1
      done(parked)
      reportClosed()
    }
    // The shim may read by the lease until it is revoked; the next one is over the same file.
    revoke(ended.backing, of: file.key) { parking.revoked() }
    TransferLoop.post {
      store.park { result in DispatchLoop.post { parking.parked(result) } }
    }
  }

  /// The two halves of parking: the lease is revoked, and the file is closed.
  @DispatchLoop
  private final class Parking {
    private let file: BytesFile
    private let done: @DispatchLoop (ParkedFile?) -> Void
    private var isRevoked = false
    private var result: SparseStore.Parked??

    init(file: BytesFile, done: @escaping @DispatchLoop (ParkedFile?) -> Void) {
      self.file = file
      self.done = done
    }
    func revoked() {
      isRevoked = true
      finish()
    }
    func parked(_ result: SparseStore.Parked?) {
      self.result = .some(result)
      finish()
    }
    private func finish() {
      guard isRevoked, let result else { return }
      done(
        result.map {
          ParkedFile(
            file: file, bytes: $0.bytes, isComplete: $0.stamp != nil && $0.extents == nil, stamp: $0.stamp,
            extents: $0.extents ?? [])
        })
    }
  }

  /// Calls back once no file of bytes is left of what was closed or on its way.
  package func whenAllClosed(_ body: @escaping @DispatchLoop () -> Void) {
    whenClosed.append(body)
    reportClosed()
  }

  private func reportClosed() {
    guard making == 0, closing == 0 else { return }
    let bodies = whenClosed
    whenClosed = []
    for body in bodies { body() }
  }
}
