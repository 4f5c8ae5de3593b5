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
  /// Bytes of closed stores that are still on the disk, or that the shim still holds by a descriptor.
  private(set) var bytesLeaving: Int64 = 0

  init(_ maker: any TileStoreMaker) { self.maker = maker }

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
  ///   - done: with the errno for openers where it cannot be made; the order's note has the sentence for people.
  func make(_ order: Order, from left: BytesFile?, done: @escaping @Sendable @DispatchLoop (Errno?) -> Void) {
    let (entry, note) = (order.entry, order.note)
    let name = BytesFile(entry, order.generation).name
    guard let host else { return done(.io) }
    guard let lease = host.grantLease(node: entry.file, root: 0, name: name, length: entry.size) else {
      note.sentence = "too many files have bytes here at once: unstage some"
      return done(.tooManyFiles)
    }
    start(order, left.map { .left($0.name) } ?? .empty, lease: lease, done: done)
  }

  /// Goes on with the store behind a lease that stands. It is revoked where that cannot be.
  func takeUp(_ order: Order, _ lease: any InheritedLease, done: @escaping @Sendable @DispatchLoop (Errno?) -> Void) {
    start(order, .marked(lease.marked), lease: lease, done: done)
  }

  private func start(
    _ order: Order, _ start: SparseStore.Start, lease: any Lease, done: @escaping @Sendable @DispatchLoop (Errno?) -> Void
  ) {
    let (generation, note, origin, identity) = (order.generation, order.note, order.origin, order.identity)
    let name = BytesFile(order.entry, generation).name
    making += 1
    let gate = MarkGate(lease)
    let maker = maker
    Task { @TransferLoop in
      let made: Result<any TileStore, SparseStore.Failure>
      do throws(SparseStore.Failure) {
        let store = try await maker.make(
          name: name, origin: origin, blockSize: lease.blockSize, identity: identity, start: start)
        // Before the first read, so that no block is written unmarked.
        store.onBlocks = { gate.set($0, present: $1) }
        store.onFailure = { note.sentence = $0 }
        made = .success(store)
      } catch {
        made = .failure(error)
      }
      await self.finish(generation, made, lease: lease, gate: gate, note: note, done: done)
    }
  }

  private func finish(
    _ generation: StoreGeneration, _ made: Result<any TileStore, SparseStore.Failure>, lease: any Lease, gate: MarkGate, note: FailureNote,
    done: @DispatchLoop (Errno?) -> Void
  ) {
    making -= 1
    switch made {
    case .success(let store):
      note.sentence = nil
      standing[generation] = Standing(lease: lease, gate: gate, store: store)
      done(nil)
    case .failure(.failed(let error, let sentence)):
      Log.warning("store.failed", ["error": error, "reason": sentence])
      note.sentence = sentence
      host?.revoke(lease) {}
      done(error)
    }
    reportClosed()
  }

  func lease(of generation: StoreGeneration) -> LeaseID? { standing[generation]?.lease.id }
  func bytesPresent(of generation: StoreGeneration) -> Int64 { standing[generation]?.store.bytesPresent ?? 0 }

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
    let bytes = max(0, ended.store.bytesPresent)
    bytesLeaving &+= bytes
    var parts = host == nil ? 1 : 2
    let part: @DispatchLoop () -> Void = { [self] in
      parts -= 1
      if parts == 0 { bytesLeaving &-= bytes }
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
