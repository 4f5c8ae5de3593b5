import Core
import EventLoop
import MediaHubSim
import Support
import Synchronization
import Testing
import Transfer

@testable import Store

/// The promises of every store, wherever it keeps its bytes. Bytes are taken in the shim's way: when the answer comes,
/// from the place that it names.
@Suite("Both stores", .timeLimit(.minutes(10)))
struct BothStoresTests {
  enum Kind: CaseIterable { case file, window, narrowWindow }
  enum Order: CaseIterable { case sequential, tailFirst, random }

  static let file = CatalogFile.id(8)
  let size: Int64 = 3 << 20 | 12_345
  let simulator: Simulator
  let scratch: ScratchFolder
  let window: TestWindow

  init() throws {
    EventLoop.start()
    var options = Simulator.Options()
    options.catalog = Catalog(files: [CatalogFile(id: Self.file, name: "film.mp4", size: size)])
    simulator = try Simulator(options)
    scratch = try ScratchFolder()
    window = try TestWindow()
  }

  @TransferLoop
  private final class Bench {
    let store: any FetchStore
    let log = StoreLog()
    let origin: SimOrigin
    let bytes: @Sendable (ByteRange) -> [UInt8]?
    let close: @TransferLoop () async -> Bool
    init(
      _ store: any FetchStore, _ origin: SimOrigin, bytes: @escaping @Sendable (ByteRange) -> [UInt8]?,
      close: @escaping @TransferLoop () async -> Bool
    ) {
      (self.store, self.origin, self.bytes, self.close) = (store, origin, bytes, close)
      log.attachFailures(store)
    }

    func read(_ range: ByteRange) async -> Result<[UInt8]?, Errno> {
      let bytes = bytes
      return await withCheckedContinuation { continuation in
        store.read(range) { result in
          continuation.resume(returning: result.map { bytes($0) })
          return nil
        }
      }
    }
  }

  @TransferLoop private func open(_ kind: Kind, _ budget: FetchBudget) async throws -> Bench {
    let origin = SimOrigin(simulator, file: Self.file, size: size, client: HTTPClient())
    switch kind {
    case .file:
      let store = try await SparseStore.create(
        name: "item", in: scratch.folder, origin: origin, budget: budget, blockSize: 64 << 10)
      let scratch = scratch
      return Bench(store, origin, bytes: { scratch.read("item", $0) }) {
        await store.closed()
        return budget.isUnused && scratch.size("item") == nil
      }
    case .window, .narrowWindow:
      let pool = try WindowPool.test(window, budget: kind == .window ? 64 << 20 : 256 << 10)
      let store = WindowStore(label: "item", origin: origin, budget: budget, pool: pool, map: window)
      let window = window
      return Bench(store, origin, bytes: { window.read($0, isVouched: true) }) {
        store.close(error: .io) {}
        return budget.isUnused && pool.isUnused && window.words.isEmpty && !window.isWrong
      }
    }
  }

  /// 100 KiB at a time, which no block ends with.
  private func pieces(_ order: Order) -> [ByteRange] {
    let step: Int64 = 100 << 10
    let all = stride(from: Int64(0), to: size, by: Int(step)).map { ByteRange($0, min(size, $0 + step)) }
    switch order {
    case .sequential: return all
    case .tailFirst: return [all[all.count - 1]] + all.dropLast()
    case .random:
      var random = SplitMix(seed: 5)
      return all.shuffled(using: &random)
    }
  }

  private func right(_ range: ByteRange, tag: String = "a") -> [UInt8] {
    simulator.content(file: Self.file, tag: tag, range: range) ?? []
  }

  static let faults: [Fault.Effect] = [
    .cut(after: 30_000), .reset(after: 0), .reset(after: 50_000), .short(bytes: 1000), .status(503, retryAfter: 0),
    .status(429, retryAfter: nil), .status(500, retryAfter: nil), .status(403, retryAfter: nil),
    .status(410, retryAfter: nil), .htmlPage,
    .htmlRange, .wrongStart(by: 1), .gzip, .wholeBody, .wrongTotal(by: 1), .otherETag, .delay(.milliseconds(20)),
  ]

  @Test("every byte is right after a fault on the way, in any order of reading", arguments: Kind.allCases, faults)
  @TransferLoop func recovers(kind: Kind, effect: Fault.Effect) async throws {
    for order in Order.allCases {
      simulator.reset()
      let budget = quickBudget()
      let bench = try await open(kind, budget)
      for skip in [0, 2, 3] { simulator.add(Fault(effect, skip: skip)) }
      bench.store.setFilling(true)
      for range in pieces(order) {
        let bytes = await bench.read(range)
        let isRight = (try? bytes.get()).map { isSame($0, right(range)) } ?? false
        #expect(isRight, "\(kind) \(effect) \(order) \(range): \(bytes.map { $0?.count })")
      }
      #expect(bench.log.failures.allSatisfy { $0 == nil })
      #expect(await bench.close(), "\(kind) \(effect) \(order)")
    }
  }

  static let finals: [(effect: Fault.Effect, sentence: String)] = [
    (.wrongTotal(by: 1), "were announced"), (.htmlPage, "web page"), (.htmlRange, "web page"), (.gzip, "compressed"),
    (.status(403, retryAfter: nil), "status 403"), (.status(404, retryAfter: nil), "status 404"),
    (.status(400, retryAfter: nil), "status 400"),
    (.wrongStart(by: 1), "asked for bytes from"),
  ]

  @Test(
    "what cannot be cured is an error with its cause, never a wrong byte", arguments: Kind.allCases, 0..<finals.count)
  @TransferLoop func fails(kind: Kind, number: Int) async throws {
    let (effect, sentence) = Self.finals[number]
    let budget = quickBudget { $0.stallTimeout = .seconds(3) }
    let bench = try await open(kind, budget)
    simulator.add(Fault(effect, count: nil))
    bench.store.setFilling(true)
    #expect(await bench.read(ByteRange(1 << 20, 1 << 20 | 4096)) == .failure(.io))
    #expect(bench.log.failures.last??.contains(sentence) == true, "\(String(describing: bench.log.failures.last))")
    #expect(await bench.close())
  }

  @Test("a window says of an origin without ranges that it needs them", arguments: [Kind.window, .narrowWindow])
  @TransferLoop func noRanges(kind: Kind) async throws {
    let budget = quickBudget()
    let bench = try await open(kind, budget)
    simulator.add(Fault(.wholeBody, count: nil))
    #expect(await bench.read(ByteRange(0, 4096)) == .failure(.io))
    #expect(bench.log.failures.last??.contains("ignored the range") == true)
    #expect(await bench.close())
  }

  @Test("all links refused in the middle are replaced, once for all ranges", arguments: Kind.allCases)
  @TransferLoop func revoked(kind: Kind) async throws {
    let budget = quickBudget()
    let bench = try await open(kind, budget)
    bench.store.setFilling(true)
    for (index, range) in pieces(.sequential).enumerated() {
      if index % 10 == 5 { simulator.revokeLinks() }
      let isRight = await bench.read(range) == .success(right(range))
      #expect(isRight)
    }
    #expect(bench.origin.links <= 5)
    #expect(await bench.close())
  }

  @Test(
    "a source that changes is an error, and nothing of the other one is given out", arguments: Kind.allCases,
    [false, true])
  @TransferLoop func changes(kind: Kind, withNewLink: Bool) async throws {
    let budget = quickBudget()
    let bench = try await open(kind, budget)
    if withNewLink { bench.origin.use(tags: ["a", "somebody-else"]) }
    let head = ByteRange(0, 300_000)
    let old = right(head)
    #expect(await bench.read(head) == .success(old))
    if withNewLink { simulator.revokeLinks() } else { simulator.change(file: Self.file) }
    #expect(await bench.read(ByteRange(2 << 20, 2 << 20 | 100_000)) == .failure(.io))
    #expect(bench.log.failures.last??.contains("the file changed at its origin") == true)
    #expect(await bench.close())
  }

  @Test("another validator under a new link is believed where what it brings is the same", arguments: Kind.allCases)
  @TransferLoop func otherValidator(kind: Kind) async throws {
    let budget = quickBudget()
    let bench = try await open(kind, budget)
    bench.store.setFilling(true)
    for (index, range) in pieces(.sequential).enumerated() {
      if index == 10 {
        simulator.revokeLinks()
        simulator.add(Fault(.otherETag, count: nil))
      }
      let isRight = await bench.read(range) == .success(right(range))
      #expect(isRight)
    }
    #expect(await bench.close())
  }

  @Test("what could not be read back is fetched again", arguments: Kind.allCases)
  @TransferLoop func distrust(kind: Kind) async throws {
    let budget = quickBudget()
    let bench = try await open(kind, budget)
    let range = ByteRange(200_000, 400_000)
    #expect(await bench.read(range) == .success(right(range)))
    let before = simulator.statistics().bytesSent[Self.file] ?? 0
    if let store = bench.store as? WindowStore {
      store.distrust(range)
    } else {
      (bench.store as? SparseStore)?.distrust(range)
    }
    #expect(await bench.read(range) == .success(right(range)))
    #expect((simulator.statistics().bytesSent[Self.file] ?? 0) >= before + range.count)
    #expect(await bench.close())
  }

  @Test("a hundred readers of one cold block are one request", arguments: Kind.allCases)
  @TransferLoop func oneRequest(kind: Kind) async throws {
    let budget = quickBudget()
    let bench = try await open(kind, budget)
    let gate = simulator.hold()
    let answers = Gathering(count: 100)
    for _ in 0..<100 { bench.store.ask(ByteRange(1 << 20, 1 << 20 | 65536)) { _ in answers.arrive() } }
    simulator.release(gate)
    await answers.all()
    #expect(simulator.statistics().requests["storage"] == 1)
    #expect(await bench.close())
  }

  @Test("a near reader is not kept waiting by far ones", arguments: Kind.allCases)
  @TransferLoop func near(kind: Kind) async throws {
    let budget = quickBudget()
    let bench = try await open(kind, budget)
    let gate = simulator.hold(Gate(from: 1 << 20))
    let answers = Gathering(count: 20)
    // In the narrow window there is place for one at a time; so all of the far ones fail or wait, and the near one is
    // first.
    if kind != .narrowWindow {
      for part in 0..<20 as Range<Int64> {
        bench.store.ask(ByteRange((16 + part) << 16, (17 + part) << 16)) { _ in answers.arrive() }
      }
    }
    let near = ByteRange(0, 100_000)
    #expect(await bench.read(near) == .success(right(near)))
    simulator.release(gate)
    if kind != .narrowWindow { await answers.all() }
    #expect(await bench.close())
  }

  @Test("closing answers who waits, and leaves nothing", arguments: Kind.allCases)
  @TransferLoop func closing(kind: Kind) async throws {
    for turn in 0..<6 {
      simulator.set { $0.rate = 16 << 20 }
      let budget = quickBudget()
      let bench = try await open(kind, budget)
      bench.store.setFilling(true)
      let answers = Gathering(count: 3)
      for part in 0..<3 as Range<Int64> {
        bench.store.ask(ByteRange(part << 20, part << 20 | 200_000)) { _ in answers.arrive() }
      }
      if turn > 2 { _ = await bench.read(ByteRange(0, 50_000)) }
      #expect(await bench.close())
      await answers.all()
      #expect(await bench.read(ByteRange(0, 1)) == .failure(.io))
    }
  }
}

/// The promises of windows alone.
@Suite("Window store", .timeLimit(.minutes(10)))
struct WindowStoreTests {
  let simulator: Simulator
  let window: TestWindow
  static let files = (0..<32).map { CatalogFile.id(100 + $0) }
  static let size: Int64 = 2 << 20 | 777

  init() throws {
    EventLoop.start()
    var options = Simulator.Options()
    options.catalog = Catalog(files: Self.files.map { CatalogFile(id: $0, name: "film.mp4", size: Self.size) })
    simulator = try Simulator(options)
    window = try TestWindow()
  }

  @Test("a block somebody was told of stays until he has it, whatever others need", arguments: [1, 2, 8])
  @TransferLoop func held(blocks: Int64) async throws {
    let budget = quickBudget()
    let pool = try WindowPool.test(window, budget: blocks << 18)
    let origin = SimOrigin(simulator, file: Self.files[0], size: Self.size, client: HTTPClient())
    let store = WindowStore(label: "item", origin: origin, budget: budget, pool: pool, map: window)
    let first = ByteRange(1000, 2000)
    let held = Held()
    await withCheckedContinuation { continuation in
      store.read(first) { _ in
        continuation.resume()
        return { held.isReading }
      }
    }
    let later = Gathering(count: 7)
    for block in 1..<8 as Range<Int64> { store.ask(ByteRange(block << 18, block << 18 | 100)) { _ in later.arrive() } }
    // All other blocks pass through the rest of the window, or wait.
    for _ in 0..<50 {
      try await Task.sleep(for: .milliseconds(2))
      #expect(window.read(first, isVouched: true) == simulator.content(file: Self.files[0], tag: "a", range: first))
    }
    held.end()
    await later.all()
    store.close(error: .io) {}
    #expect(pool.isUnused && !window.isWrong)
  }

  final class Held: Sendable {
    private let state = Mutex(true)
    var isReading: Bool { state.withLock { $0 } }
    func end() { state.withLock { $0 = false } }
  }

  @Test(
    "thirty-two files read at once through a window of one block for each, or of one in all, are right and finish",
    arguments: [32, 1] as [Int64])
  @TransferLoop func many(blocks: Int64) async throws {
    let budget = quickBudget()
    let pool = try WindowPool.test(window, budget: blocks << 18)
    let client = HTTPClient()
    var stores: [WindowStore] = []
    for file in Self.files {
      let map = SharedMap(window)
      stores.append(
        WindowStore(
          label: file, origin: SimOrigin(simulator, file: file, size: Self.size, client: client), budget: budget,
          pool: pool, map: map))
      stores.last?.setFilling(true)
    }
    let done = Gathering(count: stores.count)
    let wrong = Mutex<[String]>([])
    for (store, file) in zip(stores, Self.files) {
      guard let map = store.map as? SharedMap else { continue }
      Task { @TransferLoop in
        var offset: Int64 = 0
        while offset < Self.size {
          let range = ByteRange(offset, min(Self.size, offset + 128 << 10))
          let bytes: [UInt8]? = await withCheckedContinuation { continuation in
            store.read(range) { result in
              continuation.resume(returning: (try? result.get()).flatMap { map.read($0) })
              return nil
            }
          }
          if !isSame(bytes, simulator.content(file: file, tag: "a", range: range)) {
            wrong.withLock { $0.append("\(file) \(range)") }
          }
          offset = range.end
        }
        done.arrive()
      }
    }
    await done.all()
    #expect(wrong.withLock { $0 } == [])
    for store in stores { store.close(error: .io) {} }
    #expect(pool.isUnused && budget.isUnused)
  }

  /// A map of one file, over the memory of a window that others share.
  final class SharedMap: WindowMap {
    private let window: TestWindow
    private let words = Mutex<[Int: (frame: Int, generation: UInt32)]>([:])
    init(_ window: TestWindow) { self.window = window }
    func put(_ block: Int, frame: Int, generation: UInt32, isWhole: Bool) {
      words.withLock { $0[block] = (frame, generation) }
    }
    func note(version: UInt64) {}
    func clear(_ block: Int) { words.withLock { $0[block] = nil } }
    func read(_ range: ByteRange) -> [UInt8]? {
      var bytes: [UInt8] = []
      var offset = range.start
      while offset < range.end {
        guard let word = words.withLock({ $0[Int(offset >> 18)] }) else { return nil }
        let count = min(range.end - offset, 1 << 18 - offset % (1 << 18))
        bytes += window.memory(word.frame, Int(offset % (1 << 18)), Int(count))
        offset += count
      }
      return bytes
    }
  }

  @Test("a store that follows another one takes its version of the source and no other")
  @TransferLoop func follows() async throws {
    let budget = quickBudget()
    let pool = try WindowPool.test(window, budget: 8 << 20)
    let origin = SimOrigin(simulator, file: Self.files[0], size: Self.size, client: HTTPClient())
    let first = WindowStore(label: "item", origin: origin, budget: budget, pool: pool, map: window)
    let range = ByteRange(0, 4096)
    #expect(await first.bytes(range) == .success(range))
    #expect(window.version != 0)
    first.close(error: .io) {}
    let second = WindowStore(
      label: "item", origin: origin, budget: budget, pool: pool, map: window,
      following: SourceHeritage(words: [window.version]))
    let strong = window.version
    #expect(await second.bytes(range) == .success(range))
    #expect(window.version == strong, "the next control plane has to know the strong ETag too")
    second.close(error: .io) {}
    let version = window.version
    simulator.change(file: Self.files[0])
    let log = StoreLog()
    let third = WindowStore(
      label: "item", origin: origin, budget: budget, pool: pool, map: window,
      following: SourceHeritage(words: [version]))
    log.attachFailures(third)
    #expect(await third.bytes(range) == .failure(.io))
    #expect(log.failures.last??.contains("no byte of it is left to compare") == true)
    third.close(error: .io) {}
  }

  @Test("what is read from the window is looked at in time however many ask meanwhile")
  @TransferLoop func seen() async throws {
    let world = try WindowWorld(files: 1, size: 8 << 20, frames: 16)
    world.pool.watch()
    let due = try #require(world.pool.due)
    for _ in 0..<3 {
      world.clock.advance(by: .milliseconds(1))
      world.pool.watch()
      #expect(world.pool.due == due)
    }
    world.pool.look()
    #expect(world.pool.due == nil)
    for store in world.stores { store.close(error: .io) {} }
  }

  @Test("bytes that there is no place for are not counted as received")
  @TransferLoop func noFrame() async throws {
    let world = try WindowWorld(files: 2, size: 8 << 20, frames: 1)
    let store = world.stores[0]
    let range = ByteRange(1000, 200_000)
    let answer = Mutex<Result<ByteRange, Errno>?>(nil)
    store.ask(range) { result in answer.withLock { $0 = result } }
    while world.transfers.open.isEmpty { await Task.yield() }
    // Against all rules, others have everything.
    let others = world.stores[1].keys(ByteRange(0, 20 << 18))
    world.pool.claim(others)
    for key in others { _ = world.pool.frame(for: key, of: world.stores[1]) }
    let fetch = world.transfers.open[0]
    fetch.deliver(50_000)
    world.pool.release(others)
    fetch.deliver(200_000)
    var turns = 0
    while answer.withLock({ $0 == nil }), turns < 1000 {
      turns += 1
      world.clock.advance(by: .seconds(1))
      store.engine.tick()
      for fetch in world.transfers.open { fetch.deliver(200_000) }
      await Task.yield()
    }
    #expect(answer.withLock { $0 } == .success(range) && world.isRight(store, 0, range))
    for store in world.stores { store.close(error: .io) {} }
    #expect(world.pool.isUnused && world.budget.isUnused)
  }

  @Test("what came before a block was taken back is known by its sum all the same")
  @TransferLoop func sample() async throws {
    let world = try WindowWorld(files: 1, size: 8 << 20, frames: 16)
    let store = world.stores[0]
    store.ask(ByteRange(0, 3 << 18)) { _ in }
    while world.transfers.open.isEmpty { await Task.yield() }
    let fetch = world.transfers.open[0]
    fetch.deliver(2 << 18)
    store.distrust(ByteRange(0, 1))
    fetch.deliver(100_000)
    fetch.end(.unreachable("x"))
    #expect(store.engine.plan.heldCount > 0 && !store.engine.plan.samples.isEmpty)
    store.close(error: .io) {}
    #expect(world.pool.isUnused && world.budget.isUnused)
  }

  @Test("what was still coming when the last reader left takes no memory")
  @TransferLoop func straggler() async throws {
    let world = try WindowWorld(files: 1, size: 8 << 20, frames: 16)
    let store = world.stores[0]
    store.setFilling(true)
    for part in 0..<12 as Range<Int64> {
      store.ask(ByteRange(part << 17, (part + 1) << 17)) { _ in }
      while !store.engine.plan.access.isReady { await Task.yield() }
      for fetch in world.transfers.open where fetch.flight.isDemand { fetch.deliver(1 << 20) }
    }
    let ahead = world.transfers.open
    for fetch in ahead { fetch.deliver(1000) }
    store.setFilling(false)
    #expect(ahead.contains { !$0.isEnded })
    for fetch in ahead { fetch.deliver(1 << 20) }
    #expect(ahead.allSatisfy(\.isEnded) && world.pool.bytesInUse == 0)
    store.close(error: .io) {}
    #expect(world.pool.isUnused && world.budget.isUnused)
  }

  @Test("what nobody has open any more takes no memory")
  @TransferLoop func idle() async throws {
    let budget = quickBudget()
    let pool = try WindowPool.test(window, budget: 8 << 20)
    let origin = SimOrigin(simulator, file: Self.files[0], size: Self.size, client: HTTPClient())
    let store = WindowStore(label: "item", origin: origin, budget: budget, pool: pool, map: window)
    store.setFilling(true)
    #expect(await store.bytes(ByteRange(0, 1 << 20)) == .success(ByteRange(0, 1 << 20)))
    #expect(pool.bytesInUse >= 1 << 20)
    store.setFilling(false)
    #expect(pool.bytesInUse == 0 && window.words.isEmpty)
    store.close(error: .io) {}
  }
}
