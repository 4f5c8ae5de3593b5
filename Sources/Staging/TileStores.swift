import Core
import EventLoop
import Store
import Telemetry
import Transfer
import Volume

/// The leases and stores behind the generations that `Tiles` hands out: makes them, connects the two, and gives both back.
@DispatchLoop
final class TileStores {
  private enum Backing {
    case file(any Lease, MarkGate)
    case window(any WindowLease)

    var id: LeaseID {
      switch self {
      case .file(let lease, _): lease.id
      case .window(let lease): lease.id
      }
    }

    var kind: FailureNote.Store {
      switch self {
      case .file: .file
      case .window: .window
      }
    }
  }
  private struct Standing {
    let backing: Backing
    let store: any TileStore
    let order: Order
    /// Beside a file whose disk is full: what the file has not got streams through it.
    var overflow: Overflow?
  }
  private enum Overflow {
    case making([(ByteRange, ReadReply)])
    case standing(any WindowLease, any TileStore)
  }

  weak var host: (any VolumeHost)?
  private let maker: any TileStoreMaker
  private var standing: [StoreGeneration: Standing] = [:]
  private var making = 0
  /// Stores whose file is not unlinked yet.
  private var closing = 0
  private var whenClosed: [@DispatchLoop () -> Void] = []
  /// Of closed stores among others.
  private let space: LeavingSpace
  /// Of uses of places of the window, before this run.
  var windowGeneration: UInt32 = 0
  /// A store got a full disk under so many bytes: is there to be room? Without it there is none.
  var onNoSpace: ((StoreGeneration, _ needed: Int64, _ done: @escaping @DispatchLoop (Bool) -> Void) -> Void)?
  /// All bytes of a store are there, or all that it fetches unasked; may be told again.
  var onComplete: ((StoreGeneration) -> Void)?

  init(_ maker: any TileStoreMaker, _ space: LeavingSpace) {
    self.maker = maker
    self.space = space
  }

  /// What a store is made for, and with.
  struct Order {
    var entry: TileEntry
    var generation: StoreGeneration
    var identity: UInt64
    var origin: any Origin
    var note: FailureNote
    var name: String { BytesFile(entry, generation).name }
  }
  typealias Done = @Sendable @DispatchLoop (SparseStore.Failure?) -> Void

  private static let tooMany = SparseStore.Failure.failed(
    .tooManyFiles, "too many files have bytes here at once: unstage some, or `fsmvp cache clear`")

  // MARK: Making

  /// - Parameters:
  ///   - left: what an earlier run left of the same item.
  ///   - beside: bytes in the folder that are no store's.
  ///   - done: why it cannot be made, if it cannot.
  func make(_ order: Order, from left: BytesFile?, beside: Int64, done: @escaping Done) {
    guard let host else { return done(.failed(.io, "nothing is mounted")) }
    guard let lease = host.grantLease(node: order.entry.file, root: 0, name: order.name, length: order.entry.size) else {
      return done(Self.tooMany)
    }
    start(order, left.map { .left($0.name) } ?? .empty, lease: lease, beside: beside, done: done)
  }

  /// One that keeps nothing: the file streams through the window.
  func makeWindow(_ order: Order, done: @escaping Done) {
    guard let host else { return done(.failed(.io, "nothing is mounted")) }
    guard let lease = host.grantWindow(node: order.entry.file, length: order.entry.size) else { return done(Self.tooMany) }
    start(order, window: lease, done: done)
  }

  /// Goes on with the store behind a lease that stands. It is revoked where that cannot be.
  func takeUp(_ order: Order, _ lease: any InheritedLease, done: @escaping Done) {
    start(order, .marked(lease.marked), lease: lease, beside: 0, done: done)
  }

  func takeUp(_ order: Order, _ lease: any InheritedWindow, done: @escaping Done) {
    start(order, window: lease, following: [lease.version], done: done)
  }

  private func start(_ order: Order, _ start: SparseStore.Start, lease: any Lease, beside: Int64, done: @escaping Done) {
    making += 1
    let gate = MarkGate(lease)
    let maker = maker
    Task { @TransferLoop in
      let made: Result<any TileStore, SparseStore.Failure>
      do throws(SparseStore.Failure) {
        let store = try await maker.make(
          name: order.name, origin: order.origin, blockSize: lease.blockSize, identity: order.identity, start: start, beside: beside)
        self.connect(store, order, gate)
        made = .success(store)
      } catch {
        made = .failure(error)
      }
      await self.finish(order, made, .file(lease, gate), done: done)
    }
  }

  /// Before the first read, so that no block is written unmarked.
  @TransferLoop private func connect(_ store: any TileFileStore, _ order: Order, _ gate: MarkGate) {
    let (generation, note, size) = (order.generation, order.note, order.entry.size)
    store.onBlocks = { [weak self, weak store] blocks, isPresent in
      gate.set(blocks, present: isPresent)
      guard isPresent, let store, store.bytesPresent >= size else { return }
      EventLoop.dispatch.post { DispatchLoop.assumeIsolated { self?.onComplete?(generation) } }
    }
    store.onFailure = { note.say($0, of: .file) }
    store.onNoSpace = { [weak self] needed, done in
      EventLoop.dispatch.post {
        DispatchLoop.assumeIsolated {
          let answer: @DispatchLoop (Bool) -> Void = { isThere in
            EventLoop.transfer.post { TransferLoop.assumeIsolated { done(isThere) } }
          }
          guard let ask = self?.onNoSpace else { return answer(false) }
          ask(generation, needed, answer)
        }
      }
    }
  }

  private func start(_ order: Order, window lease: any WindowLease, following versions: [UInt64] = [], done: @escaping Done) {
    making += 1
    window(order, lease, following: versions) { [self] store in
      finish(
        order, store.map { .success($0) } ?? .failure(.failed(.noMemory, "there is no memory for a window")), .window(lease), done: done)
    }
  }

  /// - Parameters:
  ///   - versions: that the file may be of; empty: any.
  ///   - file: the store of the same file that it is beside.
  private func window(
    _ order: Order, _ lease: any WindowLease, following versions: [UInt64] = [], beside file: (any TileStore)? = nil,
    done: @escaping @Sendable @DispatchLoop ((any TileStore)?) -> Void
  ) {
    guard let uses = host?.windowUses else { return done(nil) }
    let (maker, generation) = (maker, windowGeneration)
    Task { @TransferLoop in
      let store = maker.makeWindow(
        label: order.name, origin: order.origin, map: LeaseMap(lease: lease), uses: uses, after: generation,
        following: file?.validators.map(\.version) ?? versions)
      let note = order.note
      store?.onFailure = { note.say($0, of: .window) }
      await Self.call(done, store)
    }
  }

  private static func call(_ done: @Sendable @DispatchLoop ((any TileStore)?) -> Void, _ store: (any TileStore)?) { done(store) }

  private func finish(
    _ order: Order, _ made: Result<any TileStore, SparseStore.Failure>, _ backing: Backing,
    done: @DispatchLoop (SparseStore.Failure?) -> Void
  ) {
    making -= 1
    switch made {
    case .success(let store):
      order.note.turn(to: backing.kind)
      standing[order.generation] = Standing(backing: backing, store: store, order: order)
      done(nil)
    case .failure(let failure):
      revoke(backing) {}
      done(failure)
    }
    reportClosed()
  }

  private func revoke(_ backing: Backing, done: @escaping @DispatchLoop () -> Void) {
    guard let host else { return done() }
    switch backing {
    case .file(let lease, _): host.revoke(lease, done: done)
    case .window(let lease): host.revoke(lease, done: done)
    }
  }

  // MARK: Questions

  func lease(of generation: StoreGeneration) -> LeaseID? { standing[generation]?.backing.id }
  func bytesPresent(of generation: StoreGeneration) -> Int64 { standing[generation]?.store.bytesPresent ?? 0 }

  /// How much of each of at most `cells` equal parts of the file is here, 0 to 15.
  func presence(of generation: StoreGeneration, cells: Int) -> [UInt8] {
    switch standing[generation]?.backing {
    case .file(let lease, _): lease.presence(cells: cells)
    case .window(let lease): lease.presence(cells: cells)
    case nil: []
    }
  }

  /// In the folder.
  func bytesPresent(of tile: Tile) -> Int64 {
    guard case .standing(let generation) = tile.bytes else { return tile.leftover?.bytes ?? 0 }
    return isWindow(generation) ? 0 : bytesPresent(of: generation)
  }

  /// Whether a window is all it has.
  func isWindow(_ generation: StoreGeneration) -> Bool {
    standing[generation]?.backing.kind == .window
  }

  /// Whether what is not here streams through memory.
  func isWindowed(_ tile: Tile) -> Bool {
    guard case .standing(let generation) = tile.bytes, let own = standing[generation] else { return false }
    return isWindow(generation) || own.overflow != nil
  }

  // MARK: Fetching

  /// As a reader's asking for them, but that nobody waits.
  func fetch(_ generation: StoreGeneration, first ranges: [ByteRange]) {
    guard let own = standing[generation] else { return }
    let store = own.store
    let isWindow = own.backing.kind == .window
    EventLoop.transfer.post {
      TransferLoop.assumeIsolated {
        for (number, range) in ranges.enumerated() {
          store.read(range) { [weak self] _ in
            // A window fetches nothing more before somebody reads.
            if isWindow, number == ranges.count - 1 {
              EventLoop.dispatch.post { DispatchLoop.assumeIsolated { self?.onComplete?(generation) } }
            }
            return nil
          }
        }
      }
    }
  }

  func tryAgain(_ generation: StoreGeneration) {
    guard let store = standing[generation]?.store else { return }
    EventLoop.transfer.post { TransferLoop.assumeIsolated { store.tryAgain() } }
  }

  func setFilling(_ generation: StoreGeneration, _ isFilling: Bool) {
    guard let own = standing[generation] else { return }
    let store = own.store
    EventLoop.transfer.post { TransferLoop.assumeIsolated { store.setFilling(isFilling) } }
    // Nobody reads any more; the next one may find room on the disk.
    if !isFilling { endOverflow(of: generation) }
  }

  /// One hop to the transfer loop; the answer takes none back.
  func read(_ generation: StoreGeneration, _ range: ByteRange, wasBad: Bool, reply: @escaping ReadReply) {
    guard let own = standing[generation] else {
      _ = reply(.failed(.io))
      return
    }
    let store = own.store
    // A handle may have come by a lease that ended since.
    let lease: LeaseID? = if case .window(let lease) = own.backing { lease.id } else { nil }
    if case .standing(let lease, let window)? = own.overflow {
      EventLoop.transfer.post {
        TransferLoop.assumeIsolated {
          if store.has(range), !wasBad { return store.read(range) { Self.pass($0, from: nil, to: reply) } }
          if wasBad { window.distrust(range) }
          window.read(range) { Self.pass($0, from: lease.id, to: reply) }
        }
      }
      return
    }
    EventLoop.transfer.post {
      TransferLoop.assumeIsolated {
        if wasBad { store.distrust(range) }
        store.read(range) { [weak self] result in
          guard case .failure(let error) = result, error.isNoSpace else { return Self.pass(result, from: lease, to: reply) }
          EventLoop.dispatch.post {
            DispatchLoop.assumeIsolated {
              guard let self else { return _ = reply(.failed(error)) }
              self.readThroughWindow(generation, range, reply)
            }
          }
          return nil
        }
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
      guard let host, let lease = host.grantWindow(node: own.order.entry.file, length: own.order.entry.size) else {
        _ = reply(.failed(.noSpace))
        return
      }
      standing[generation]?.overflow = .making([(range, reply)])
      making += 1
      window(own.order, lease, beside: own.store) { [self] store in
        making -= 1
        overflowMade(generation, lease, store)
        reportClosed()
      }
    }
  }

  private func overflowMade(_ generation: StoreGeneration, _ lease: any WindowLease, _ store: (any TileStore)?) {
    guard case .making(let waiting)? = standing[generation]?.overflow, let store else {
      if case .making(let waiting)? = standing[generation]?.overflow {
        standing[generation]?.overflow = nil
        for (_, reply) in waiting { _ = reply(.failed(.noSpace)) }
      }
      host?.revoke(lease) {}
      if let store { EventLoop.transfer.post { TransferLoop.assumeIsolated { store.close(error: .io) {} } } }
      return
    }
    standing[generation]?.overflow = .standing(lease, store)
    let order = standing[generation]?.order
    Log.warning("store.streams", ["id": order?.entry.id ?? "", "reason": "its disk is full, so it streams through memory"])
    order?.note.turn(to: .window)
    EventLoop.transfer.post { TransferLoop.assumeIsolated { store.setFilling(true) } }
    for (range, reply) in waiting { read(generation, range, wasBad: false, reply: reply) }
  }

  func tryDisk(_ generation: StoreGeneration) {
    guard standing[generation]?.overflow != nil else { return }
    endOverflow(of: generation)
    tryAgain(generation)
  }

  private func endOverflow(of generation: StoreGeneration) {
    guard let overflow = standing[generation]?.overflow else { return }
    standing[generation]?.overflow = nil
    switch overflow {
    case .making(let waiting): for (_, reply) in waiting { _ = reply(.failed(.io)) }
    case .standing(let lease, let store):
      standing[generation]?.order.note.turn(to: .file)
      host?.revoke(lease) {}
      EventLoop.transfer.post { TransferLoop.assumeIsolated { store.close(error: .io) {} } }
    }
  }

  // MARK: The end

  /// The generation ends: nothing is marked for it any more, its file goes, its waiters get EIO.
  func close(_ generation: StoreGeneration) {
    endOverflow(of: generation)
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
    revoke(ended.backing, done: part)
    let store = ended.store
    let closed: @Sendable @DispatchLoop () -> Void = { [self] in
      closing -= 1
      part()
      reportClosed()
    }
    EventLoop.transfer.post {
      TransferLoop.assumeIsolated {
        store.close(error: .io) { EventLoop.dispatch.post { DispatchLoop.assumeIsolated { closed() } } }
      }
    }
  }

  /// Calls back once no file of bytes is left of what was closed or on its way.
  func whenAllClosed(_ body: @escaping @DispatchLoop () -> Void) {
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
