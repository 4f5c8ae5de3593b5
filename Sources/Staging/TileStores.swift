import Core
import EventLoop
import Store
import Synchronization
import Telemetry
import Transfer
import Volume

/// Lets a store mark its lease until the lease is given back: its row may then be another file's, and a block written late must not be vouched
/// for there.
final class MarkGate: Sendable {
  private let lease: Mutex<(any Lease)?>
  init(_ lease: any Lease) { self.lease = Mutex(lease) }

  func set(_ blocks: Range<Int>, present isPresent: Bool) {
    lease.withLock { lease in isPresent ? lease?.mark(blocks) : lease?.unmark(blocks) }
  }
  /// No mark is made after this returns.
  func close() { lease.withLock { $0 = nil } }
}

/// Why an item's bytes do not come, for people; written by the transfer loop, read by whoever lists items.
final class FailureNote: Sendable {
  private let note = Mutex<String?>(nil)
  var sentence: String? {
    get { note.withLock { $0 } }
    set { note.withLock { $0 = newValue } }
  }
}

/// The leases and stores behind the generations that `Tiles` hands out: makes them, connects the two, and gives both back.
@DispatchLoop
final class TileStores {
  private struct Standing {
    let lease: any Lease
    let gate: MarkGate
    let store: any TileStore
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
  /// A store got a full disk under so many bytes: is there to be room? Without it there is none.
  var onNoSpace: ((StoreGeneration, _ needed: Int64, _ done: @escaping @DispatchLoop (Bool) -> Void) -> Void)?
  /// All bytes of a store are there; may be told again.
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
  }

  /// - Parameters:
  ///   - left: what an earlier run left of the same item.
  ///   - beside: bytes in the folder that are no store's.
  ///   - done: why it cannot be made, if it cannot.
  func make(
    _ order: Order, from left: BytesFile?, beside: Int64, done: @escaping @Sendable @DispatchLoop (SparseStore.Failure?) -> Void
  ) {
    let entry = order.entry
    let name = BytesFile(entry, order.generation).name
    guard let host else { return done(.failed(.io, "nothing is mounted")) }
    guard let lease = host.grantLease(node: entry.file, root: 0, name: name, length: entry.size) else {
      return done(.failed(.tooManyFiles, "too many files have bytes here at once: unstage some, or `fsmvp cache clear`"))
    }
    start(order, left.map { .left($0.name) } ?? .empty, lease: lease, beside: beside, done: done)
  }

  /// Goes on with the store behind a lease that stands. It is revoked where that cannot be.
  func takeUp(_ order: Order, _ lease: any InheritedLease, done: @escaping @Sendable @DispatchLoop (SparseStore.Failure?) -> Void) {
    start(order, .marked(lease.marked), lease: lease, beside: 0, done: done)
  }

  private func start(
    _ order: Order, _ start: SparseStore.Start, lease: any Lease, beside: Int64,
    done: @escaping @Sendable @DispatchLoop (SparseStore.Failure?) -> Void
  ) {
    let (generation, note, origin, identity) = (order.generation, order.note, order.origin, order.identity)
    let (name, size) = (BytesFile(order.entry, generation).name, order.entry.size)
    making += 1
    let gate = MarkGate(lease)
    let maker = maker
    Task { @TransferLoop in
      let made: Result<any TileStore, SparseStore.Failure>
      do throws(SparseStore.Failure) {
        let store = try await maker.make(
          name: name, origin: origin, blockSize: lease.blockSize, identity: identity, start: start, beside: beside)
        // Before the first read, so that no block is written unmarked.
        store.onBlocks = { [weak self, weak store] blocks, isPresent in
          gate.set(blocks, present: isPresent)
          guard isPresent, let store, store.bytesPresent >= size else { return }
          EventLoop.dispatch.post { DispatchLoop.assumeIsolated { self?.onComplete?(generation) } }
        }
        store.onFailure = { note.sentence = $0 }
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
        made = .success(store)
      } catch {
        made = .failure(error)
      }
      await self.finish(generation, made, lease: lease, gate: gate, note: note, done: done)
    }
  }

  private func finish(
    _ generation: StoreGeneration, _ made: Result<any TileStore, SparseStore.Failure>, lease: any Lease, gate: MarkGate, note: FailureNote,
    done: @DispatchLoop (SparseStore.Failure?) -> Void
  ) {
    making -= 1
    switch made {
    case .success(let store):
      note.sentence = nil
      standing[generation] = Standing(lease: lease, gate: gate, store: store)
      done(nil)
    case .failure(let failure):
      host?.revoke(lease) {}
      done(failure)
    }
    reportClosed()
  }

  func lease(of generation: StoreGeneration) -> LeaseID? { standing[generation]?.lease.id }
  func bytesPresent(of generation: StoreGeneration) -> Int64 { standing[generation]?.store.bytesPresent ?? 0 }

  func bytesPresent(of tile: Tile) -> Int64 {
    if case .standing(let generation) = tile.bytes { bytesPresent(of: generation) } else { tile.leftover?.bytes ?? 0 }
  }

  /// As a reader's asking for them, but that nobody waits.
  func fetch(_ generation: StoreGeneration, first ranges: [ByteRange]) {
    guard let store = standing[generation]?.store else { return }
    EventLoop.transfer.post { TransferLoop.assumeIsolated { for range in ranges { store.read(range) { _ in nil } } } }
  }

  func tryAgain(_ generation: StoreGeneration) {
    guard let store = standing[generation]?.store else { return }
    EventLoop.transfer.post { TransferLoop.assumeIsolated { store.tryAgain() } }
  }

  func setFilling(_ generation: StoreGeneration, _ isFilling: Bool) {
    guard let store = standing[generation]?.store else { return }
    EventLoop.transfer.post { TransferLoop.assumeIsolated { store.setFilling(isFilling) } }
  }

  /// One hop to the transfer loop; the answer takes none back.
  func read(
    _ generation: StoreGeneration, _ range: ByteRange, wasBad: Bool, reply: @escaping @Sendable (Result<ByteRange, Errno>) -> Void
  ) {
    guard let store = standing[generation]?.store else { return reply(.failure(.io)) }
    EventLoop.transfer.post {
      TransferLoop.assumeIsolated {
        if wasBad { store.distrust(range) }
        store.read(range) {
          reply($0)
          return nil
        }
      }
    }
  }

  /// The generation ends: nothing is marked for it any more, its file goes, its waiters get EIO.
  func close(_ generation: StoreGeneration) {
    guard let ended = standing.removeValue(forKey: generation) else { return }
    ended.gate.close()
    closing += 1
    let ticket = space.leave(ended.store.bytesPresent)
    var parts = host == nil ? 1 : 2
    let part: @DispatchLoop () -> Void = { [space] in
      parts -= 1
      if parts == 0 { space.left(ticket) }
    }
    host?.revoke(ended.lease, done: part)
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
