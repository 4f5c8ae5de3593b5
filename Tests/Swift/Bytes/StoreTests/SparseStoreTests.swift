import Core
import EventLoop
import Glibc
import HTTPSource
import MediaHubSim
import Support
import Synchronization
import Testing
import Transfer

@testable import Store

/// Stores over real files and real HTTP, with everything the simulator can do to them. Bytes are compared over whole
/// files.
@Suite(.timeLimit(.minutes(10)))
struct SparseStoreTests {
  static let file = CatalogFile.id(7)
  let size: Int64 = 12 << 20 | 12_345
  let simulator: Simulator
  let scratch: ScratchFolder

  init() throws {
    EventLoop.start()
    var options = Simulator.Options()
    options.catalog = Catalog(files: [CatalogFile(id: Self.file, name: "film.mp4", size: size)])
    simulator = try Simulator(options)
    scratch = try ScratchFolder()
  }

  @TransferLoop private func open(
    _ budget: FetchBudget, blockSize: Int64 = 256 << 10, origin: SimOrigin? = nil
  ) async throws -> (SparseStore, StoreLog, SimOrigin) {
    let origin = origin ?? SimOrigin(simulator, file: Self.file, size: size, client: HTTPClient())
    let store = try await SparseStore.create(
      name: "item", in: scratch.folder, origin: origin, budget: budget, blockSize: blockSize)
    let log = StoreLog()
    log.attach(store)
    return (store, log, origin)
  }

  private func right(_ range: ByteRange, tag: String = "a") -> [UInt8] {
    simulator.content(file: Self.file, tag: tag, range: range) ?? []
  }

  /// Everything arrives and is right, every block was told, and nothing is left over.
  @TransferLoop private func checkWhole(
    _ store: SparseStore, _ log: StoreLog, _ budget: FetchBudget, _ location: SourceLocation = #_sourceLocation
  ) async {
    let whole = ByteRange(0, size)
    #expect(await store.bytes(whole) == .success(whole), sourceLocation: location)
    let isRight = scratch.read("item", whole) == right(whole)
    #expect(isRight, sourceLocation: location)
    #expect(log.blocks == Set(0..<Int((size + (256 << 10) - 1) / (256 << 10))), sourceLocation: location)
    #expect(store.bytesPresent == size, sourceLocation: location)
    await store.closed()
    #expect(budget.isUnused, sourceLocation: location)
    #expect(scratch.size("item") == nil, sourceLocation: location)
  }

  @Test("a file is filled, byte for byte, while head, middle and tail are read")
  @TransferLoop func fill() async throws {
    let budget = quickBudget()
    let (store, log, _) = try await open(budget)
    #expect(scratch.size("item") == size)
    store.setFilling(true)
    for start in [0, size / 2, size - 4096] {
      let range = ByteRange(start, start + 4096)
      #expect(await store.bytes(range) == .success(range))
      #expect(scratch.read("item", range) == right(range))
    }
    await checkWhole(store, log, budget)
  }

  @Test("without filling, only what is asked for and a little more is fetched")
  @TransferLoop func onDemand() async throws {
    let budget = quickBudget()
    let (store, _, _) = try await open(budget)
    let range = ByteRange(5 << 20, 5 << 20 | 4096)
    #expect(await store.bytes(range) == .success(range))
    #expect(store.bytesPresent <= 1 << 20)
    #expect(await store.bytes(ByteRange(size, size + 10)) == .success(ByteRange(size, size)))
    #expect(await store.bytes(ByteRange(size + 5, size + 10)) == .success(ByteRange(size, size)))
    #expect(await store.bytes(ByteRange(size - 5, size + 10)) == .success(ByteRange(size - 5, size)))
    await store.closed()
    #expect(budget.isUnused)
  }

  @Test("blocks are told before the readers are answered")
  @TransferLoop func markThenComplete() async throws {
    let budget = quickBudget()
    let (store, log, _) = try await open(budget, blockSize: 64 << 10)
    let wrong = Atomic<Int>(0)
    let answers = Gathering(count: 64)
    for index in 0..<64 {
      store.ask(ByteRange(Int64(index) << 16, Int64(index + 1) << 16)) { result in
        if (try? result.get()) == nil || !log.blocks.contains(index) { wrong.add(1, ordering: .relaxed) }
        answers.arrive()
      }
    }
    await answers.all()
    #expect(wrong.load(ordering: .relaxed) == 0)
    await store.closed()
  }

  @Test(
    "the bytes are right and complete after a fault on the way",
    arguments: [
      Fault.Effect.cut(after: 100_000), .reset(after: 0), .reset(after: 100_000), .short(bytes: 1000),
      .status(503, retryAfter: 0),
      .status(429, retryAfter: nil), .status(500, retryAfter: nil), .status(403, retryAfter: nil),
      .status(410, retryAfter: nil), .htmlPage,
      .htmlRange, .wrongStart(by: 1), .gzip, .delay(.milliseconds(50)), .slow(rate: 8 << 20),
    ])
  @TransferLoop func faults(effect: Fault.Effect) async throws {
    let budget = quickBudget()
    let (store, log, _) = try await open(budget)
    for skip in [0, 2, 3] { simulator.add(Fault(effect, skip: skip)) }
    store.setFilling(true)
    await checkWhole(store, log, budget)
    #expect(log.failures.allSatisfy { $0 == nil })
  }

  @Test("an origin that knows no ranges is fetched whole", arguments: [0, 9 << 20] as [Int64])
  @TransferLoop func wholeOnly(first: Int64) async throws {
    simulator.add(Fault(.wholeBody, count: nil))
    simulator.add(Fault(.cut(after: 3 << 20), count: 1))
    let budget = quickBudget()
    let (store, log, _) = try await open(budget)
    let range = ByteRange(first, first + 4096)
    #expect(await store.bytes(range) == .success(range))
    await checkWhole(store, log, budget)
  }

  @Test("links that expire in the middle are minted again, once for all ranges")
  @TransferLoop func linkExpires() async throws {
    simulator.set { $0.rate = 40 << 20 }
    let budget = quickBudget()
    let (store, log, origin) = try await open(budget)
    store.setFilling(true)
    for quarter in 1...3 {
      let range = ByteRange(size / 4 * Int64(quarter), size / 4 * Int64(quarter) + 4096)
      #expect(await store.bytes(range) == .success(range))
      simulator.revokeLinks()
    }
    await checkWhole(store, log, budget)
    #expect(origin.links <= 4 && origin.links >= 2)
  }

  @Test("a refusal that a new link does not cure is an error for who waits, and the next read tries again")
  @TransferLoop func refused() async throws {
    simulator.add(Fault(.status(403, retryAfter: nil), count: nil))
    let budget = quickBudget { $0.stallTimeout = .seconds(3) }
    let (store, log, _) = try await open(budget)
    #expect(await store.bytes(ByteRange(0, 4096)) == .failure(.io))
    #expect(log.failures.last??.contains("the origin answered with status 403") == true)
    #expect(log.failures.last??.contains("stall_timeout") == true)
    simulator.reset()
    // For a second the same may be answered again.
    while await store.bytes(ByteRange(0, 4096)) == .failure(.io) {}
    await checkWhole(store, log, budget)
    #expect(log.failures.last == .some(nil))
  }

  @Test("a file that is replaced at its origin fails, and nothing of the other one is mixed in")
  @TransferLoop func changed() async throws {
    let budget = quickBudget()
    let (store, log, _) = try await open(budget)
    let head = ByteRange(0, 1 << 20)
    #expect(await store.bytes(head) == .success(head))
    let old = right(head)
    simulator.change(file: Self.file)
    #expect(await store.bytes(ByteRange(5 << 20, 6 << 20)) == .failure(.io))
    #expect(log.failures.last??.contains("the file changed at its origin") == true)
    #expect(await store.bytes(head) == .success(head))
    #expect(scratch.read("item", head) == old)
    #expect(scratch.read("item", ByteRange(5 << 20, 6 << 20)).allSatisfy { $0 == 0 })
    await store.closed()
    #expect(budget.isUnused)
  }

  @Test("another validator under a new link is accepted where an overlap is equal")
  @TransferLoop func otherValidatorSameBytes() async throws {
    let budget = quickBudget()
    let (store, log, origin) = try await open(budget)
    #expect(await store.bytes(ByteRange(0, 1 << 20)) == .success(ByteRange(0, 1 << 20)))
    simulator.revokeLinks()
    simulator.add(Fault(.otherETag, count: nil))
    store.setFilling(true)
    await checkWhole(store, log, budget)
    #expect(origin.links == 2)
  }

  @Test("another validator under a new link is refused where an overlap differs")
  @TransferLoop func otherValidatorOtherBytes() async throws {
    let budget = quickBudget()
    let (store, log, origin) = try await open(budget)
    origin.use(tags: ["a", "somebody-else"])
    let head = ByteRange(0, 1 << 20)
    #expect(await store.bytes(head) == .success(head))
    simulator.revokeLinks()
    #expect(await store.bytes(ByteRange(1 << 20, 2 << 20)) == .failure(.io))
    #expect(log.failures.last??.contains("the file changed at its origin") == true)
    #expect(scratch.read("item", head) == right(head))
    #expect(scratch.read("item", ByteRange(1 << 20, 2 << 20)).allSatisfy { $0 == 0 })
    await store.closed()
    #expect(budget.isUnused)
  }

  @Test("an origin with another size than announced fails the file")
  @TransferLoop func otherSize() async throws {
    simulator.add(Fault(.wrongTotal(by: 1), count: nil))
    let budget = quickBudget()
    let (store, log, _) = try await open(budget)
    #expect(await store.bytes(ByteRange(0, 1)) == .failure(.io))
    #expect(log.failures.last??.contains("were announced") == true)
    await store.closed()
  }

  @Test("an origin that says nothing any more is an error after the stall timeout, not before others are served")
  @TransferLoop func stalls() async throws {
    simulator.add(Fault(.stall(after: 100_000, for: nil), count: 1))
    let clock = ManualClock()
    let budget = FetchBudget(clock: clock)
    let (store, log, _) = try await open(budget)
    let near = ByteRange(0, 50_000)
    #expect(await store.bytes(near) == .success(near))
    let answer = Atomic<Int>(0)
    store.ask(ByteRange(0, 200_000)) { answer.store($0 == .failure(.io) ? 1 : 2, ordering: .relaxed) }
    // Bytes still under way count as progress whenever they arrive.
    while answer.load(ordering: .relaxed) == 0 {
      clock.advance(by: .seconds(61))
      store.engine.tick()
      await Task.yield()
    }
    #expect(answer.load(ordering: .relaxed) == 1)
    #expect(log.failures.last??.hasPrefix("no data from the origin") == true)
    let far = ByteRange(8 << 20, 8 << 20 | 4096)
    #expect(await store.bytes(far) == .success(far))
    await store.closed()
    #expect(budget.isUnused)
  }

  @Test("two thousand readers of bytes still to come are all answered")
  @TransferLoop func manyReaders() async throws {
    let budget = quickBudget()
    let (store, log, _) = try await open(budget)
    let gate = simulator.hold()
    let answers = Gathering(count: 2000)
    let right = Atomic<Int>(0)
    for index in 0..<2000 {
      let start = Int64(index) * 7919 % (size - 4096)
      store.ask(ByteRange(start, start + 4096)) { result in
        if result == .success(ByteRange(start, start + 4096)) { right.add(1, ordering: .relaxed) }
        answers.arrive()
      }
    }
    simulator.release(gate)
    await answers.all()
    #expect(right.load(ordering: .relaxed) == 2000)
    await checkWhole(store, log, budget)
  }

  @Test("closing answers readers, unlinks the file and leaves nothing, whatever was going on")
  @TransferLoop func closing() async throws {
    simulator.set { $0.rate = 64 << 20 }
    for turn in 0..<8 {
      let budget = quickBudget()
      let (store, _, _) = try await open(budget)
      store.setFilling(true)
      let answers = Gathering(count: 1)
      store.ask(ByteRange(size - 10, size)) { _ in answers.arrive() }
      let range = ByteRange(0, Int64(turn + 1) << 18)
      if turn > 1 { #expect(await store.bytes(range) == .success(range)) }
      await store.closed(.connectionAborted)
      await answers.all()
      #expect(await store.bytes(ByteRange(0, 1)) == .failure(.connectionAborted))
      #expect(budget.isUnused && scratch.size("item") == nil)
      await store.closed()
    }
  }

  @Test("bytes that are not believed any more are fetched again")
  @TransferLoop func distrust() async throws {
    let budget = quickBudget()
    let (store, log, _) = try await open(budget)
    store.setFilling(true)
    let whole = ByteRange(0, size)
    #expect(await store.bytes(whole) == .success(whole))
    let descriptor = openat(scratch.folder.descriptor, "item", O_RDWR)
    _ = pwrite(descriptor, [UInt8](repeating: 0, count: 1000), 1000, 300_000)
    Glibc.close(descriptor)
    store.distrust(ByteRange(300_000, 300_001))
    #expect(!log.blocks.contains(1) && log.blocks.contains(0) && log.blocks.contains(2))
    await checkWhole(store, log, budget)
  }

  @Test("few buffers slow things down and break nothing", arguments: [1, 1 << 20] as [Int64])
  @TransferLoop func fewBuffers(unwritten: Int64) async throws {
    let budget = quickBudget { $0.unwritten = unwritten }
    let (store, log, _) = try await open(budget)
    store.setFilling(true)
    for index in 0..<12 {
      store.ask(ByteRange(Int64(index) << 20, Int64(index) << 20 | 1000)) { _ in }
    }
    await checkWhole(store, log, budget)
  }

  @Test("several files share the connections, and each is filled")
  @TransferLoop func severalFiles() async throws {
    let budget = quickBudget { $0.rangesInAll = 3 }
    let client = HTTPClient()
    var stores: [SparseStore] = []
    for index in 0..<5 {
      let origin = SimOrigin(simulator, file: Self.file, size: size, client: client)
      let store = try await SparseStore.create(
        name: "f\(index)", in: scratch.folder, origin: origin, budget: budget, blockSize: 65536)
      store.setFilling(true)
      stores.append(store)
    }
    let whole = ByteRange(0, size)
    for (index, store) in stores.enumerated() {
      #expect(await store.bytes(whole) == .success(whole))
      let isRight = scratch.read("f\(index)", whole) == right(whole)
      #expect(isRight)
    }
    #expect(simulator.statistics().peakActive <= 8)
    for store in stores { await store.closed() }
    #expect(budget.isUnused)
  }

  @Test("a file that cannot be made says why")
  @TransferLoop func cannotMake() async throws {
    let budget = quickBudget()
    let (store, _, origin) = try await open(budget)
    for name in ["item", "", "..", "a/b"] {
      await #expect(throws: SparseStore.Failure.self) {
        _ = try await SparseStore.create(
          name: name, in: scratch.folder, origin: origin, budget: budget, blockSize: 4096)
      }
    }
    let huge = HTTPSource(size: 1 << 60, links: FixedLinks("http://127.0.0.1:1/"), client: HTTPClient())
    do {
      _ = try await SparseStore.create(name: "huge", in: scratch.folder, origin: huge, budget: budget, blockSize: 4096)
      Issue.record("made")
    } catch {
      #expect(error.errno == .noSpace && error.short > 0 && error.sentence.contains(scratch.path))
    }
    await store.closed()
  }

  @Test("a file of no bytes is made, and read at once")
  @TransferLoop func empty() async throws {
    let links = FixedLinks("http://127.0.0.1:1/")
    let origin = HTTPSource(size: 0, links: links, client: HTTPClient())
    let budget = quickBudget()
    let store = try await SparseStore.create(
      name: "empty", in: scratch.folder, origin: origin, budget: budget, blockSize: 4096)
    store.setFilling(true)
    #expect(await store.bytes(ByteRange(0, 4096)) == .success(ByteRange(0, 0)))
    #expect(links.count == 0)
    await store.closed()
  }
}

/// Waits for a number of callbacks on the transfer loop.
final class Gathering: Sendable {
  private let state: Mutex<(left: Int, waiting: CheckedContinuation<Void, Never>?)>
  init(count: Int) { state = Mutex((count, nil)) }
  func arrive() {
    let done = state.withLock { state in
      state.left -= 1
      return state.left == 0 ? state.waiting.take() : nil
    }
    done?.resume()
  }
  func all() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if state.left > 0 { state.waiting = continuation }
        return state.left <= 0
      }
      if isDone { continuation.resume() }
    }
  }
}
