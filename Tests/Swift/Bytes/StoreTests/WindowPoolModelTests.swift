import ByteSource
import Core
import EventLoop
import Support
import Synchronization
import Testing

@testable import Store

/// Several files in one small window, with transfers that do what the test says.
@TransferLoop
final class WindowWorld {
  let clock = ManualClock()
  let transfers = FakeRanges()
  let window: TestWindow
  let budget: FetchBudget
  let pool: WindowPool
  var stores: [WindowStore] = []
  let size: Int64

  init(files: Int, size: Int64, frames: Int, rangesInAll: Int = 32, rangesPerFile: Int = 16) throws {
    self.size = size
    window = try TestWindow()
    var options = FetchBudget.Options()
    options.rangesInAll = rangesInAll
    options.rangesPerFile = rangesPerFile
    let window = window
    budget = FetchBudget(options: options, clock: clock)
    let made = WindowPool(
      descriptor: window.descriptor, frames: TestWindow.count, budget: Int64(frames) * WindowPool.blockSize,
      clock: clock,
      lastUse: { [weak window] in window?.lastUse($0) ?? 0 })
    guard let made else { throw Errno.current }
    pool = made
    for file in 0..<files { stores.append(store(file)) }
  }

  func store(_ file: Int) -> WindowStore {
    let transfers = transfers
    return WindowStore(
      label: "\(file)", origin: LoopOrigin(size: size) { transfers.start($0, $1, file: file) }, budget: budget,
      pool: pool,
      map: WindowStoreTests.SharedMap(window))
  }

  /// Until links that are on their way have come.
  func settle() async { for _ in 0..<4 { await Task.yield() } }

  /// Whether what the answer vouches for is there: looked at here and there, because all of it takes long.
  func isRight(_ store: WindowStore, _ file: Int, _ range: ByteRange) -> Bool {
    guard let map = store.map as? WindowStoreTests.SharedMap else { return false }
    var offsets = [range.start, range.end - 1]
    for block in range.start >> 18...(range.end - 1) >> 18 {
      offsets += [block << 18, (block << 18) - 1, block << 18 | 0x1ffff]
    }
    return offsets.filter(range.contains).allSatisfy {
      map.read(ByteRange($0, $0 + 1)) == [FakeRanges.byte(file, at: $0)]
    }
  }

  /// The blocks that ought to be claimed now, and how often each.
  func claims(held: [[WindowFrames.Key]]) -> [WindowFrames.Key: Int] {
    var claims: [WindowFrames.Key: Int] = [:]
    for store in stores where store.engine.closed == nil {
      let ranges =
        store.engine.flights.values.filter { $0.probe == nil }.map(\.range)
        + store.engine.plan.waiters.waiters.map(\.range)
      for key in ranges.flatMap(store.keys) { claims[key, default: 0] += 1 }
    }
    for key in held.joined() { claims[key, default: 0] += 1 }
    return claims
  }
}

@Suite("Window pool: random histories", .timeLimit(.minutes(10)))
struct WindowPoolModelTests {
  init() { EventLoop.start() }

  final class Delivery: Sendable {
    private let state = Mutex(true)
    var isReading: Bool { state.withLock { $0 } }
    func end() { state.withLock { $0 = false } }
  }

  @TransferLoop private final class Tally {
    var asked = 0
    var answers: [Int: Int] = [:]
    var wrong: [String] = []
    var held: [(delivery: Delivery, keys: [WindowFrames.Key], store: WindowStore)] = []
    /// Blocks of 128 KiB that the reader which reads on has got.
    var served = 0
    var failed = 0

    func readOn(_ store: WindowStore, _ parts: Int) {
      let start = Int64(served) << 17
      store.ask(ByteRange(start, start + 128 << 10)) { result in
        TransferLoop.assumeIsolated {
          guard case .success = result else { return }
          self.served += 1
          if self.served < parts { self.readOn(store, parts) }
        }
      }
    }
  }

  @Test(
    "whatever readers, transfers, closings and evictions do: answers are right and come once, no block is claimed for nobody, all get theirs",
    arguments: 0..<40)
  @TransferLoop func model(seed: Int) async throws {
    var random = SplitMix(seed: UInt64(seed))
    let frames = [1, 2, 3, 5, 8, 12, 40].randomElement(using: &random) ?? 1
    let rangesInAll = Int.random(in: 1...8, using: &random)
    let world = try WindowWorld(
      files: 3, size: 2 << 20 | 777, frames: frames, rangesInAll: rangesInAll,
      rangesPerFile: Int.random(in: 1...8, using: &random))
    var owner = [0, 1, 2]
    let tally = Tally()

    func read(_ number: Int, _ range: ByteRange, keeps: Bool) {
      tally.asked += 1
      let (id, store, file) = (tally.asked, world.stores[number], owner[number])
      store.read(range) { result in
        TransferLoop.assumeIsolated {
          tally.answers[id, default: 0] += 1
          guard case .success(let got) = result else { return nil }
          if got != range || !world.isRight(store, file, range) { tally.wrong.append("\(range) of \(file)") }
          guard keeps else { return nil }
          let delivery = Delivery()
          tally.held.append((delivery, store.keys(range), store))
          return { delivery.isReading }
        }
      }
    }
    func check() {
      tally.held.removeAll { !$0.delivery.isReading || $0.store.engine.closed != nil }
      #expect(tally.wrong == [], "seed \(seed)")
      world.pool.look()
      let wanted = world.claims(held: tally.held.map(\.keys))
      #expect(world.pool.frames.claims == wanted, "seed \(seed)")
      #expect(world.pool.frames.claimed <= world.pool.frames.limit, "seed \(seed): more claimed than there is")
      let waiting = world.stores.map(\.engine).filter { $0.closed == nil }.map(\.plan.waiters.waiters.count)
      #expect(world.pool.frames.readers == waiting.reduce(tally.held.count, +), "seed \(seed)")
      // A request that is made once more beside a silent fetch is beyond the limit, one for each file.
      let hedges = world.stores.reduce(0) { $0 + $1.engine.plan.fetches.count { $0.hedge != nil } }
      #expect(world.budget.connections <= rangesInAll + hedges, "seed \(seed)")
      #expect(world.budget.connections == world.transfers.open.count, "seed \(seed)")
    }
    func somewhere() -> ByteRange {
      let start = Int64.random(in: 0..<world.size, using: &random)
      return ByteRange(start, min(world.size, start + Int64.random(in: 1...600_000, using: &random)))
    }

    for _ in 0..<250 {
      let number = Int.random(in: 0..<3, using: &random)
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<22: read(number, somewhere(), keeps: Bool.random(using: &random))
      case 22..<60:
        world.transfers.open.randomElement(using: &random)?.deliver(Int64.random(in: 1...400_000, using: &random))
      case 60..<66:
        let errors: [SourceFailure] = [
          .unreachable("x"), .short(received: 1, expected: 2), .status(403, retryAfter: nil), .timedOut(phase: "body"),
        ]
        world.transfers.open.randomElement(using: &random)?.end(errors.randomElement(using: &random))
      case 66..<74: tally.held.randomElement(using: &random)?.delivery.end()
      case 74..<80: world.stores[number].setFilling(Bool.random(using: &random))
      case 80..<83: world.stores[number].distrust(somewhere())
      case 83..<85:
        world.stores[number].close(error: .io) {}
        owner[number] += 3
        world.stores[number] = world.store(owner[number])
      default:
        world.clock.advance(by: .milliseconds(Int.random(in: 1...900, using: &random)))
        for store in world.stores { store.engine.tick() }
        if Bool.random(using: &random) { await world.settle() }
      }
      check()
    }

    // Calm.
    for entry in tally.held { entry.delivery.end() }
    for number in 0..<3 {
      world.stores[number].setFilling(true)
      read(number, ByteRange(world.size - 300_000, world.size), keeps: false)
    }
    var turns = 0
    while tally.answers.count < tally.asked, turns < 600 {
      turns += 1
      for entry in tally.held { entry.delivery.end() }
      await world.settle()
      if let next = world.transfers.open.first {
        next.deliver(1 << 20)
      } else {
        world.clock.advance(by: .milliseconds(300))
      }
      for store in world.stores { store.engine.tick() }
      check()
    }
    #expect(
      tally.answers.count == tally.asked,
      "seed \(seed): \(tally.asked - tally.answers.count) of \(tally.asked) never came")
    #expect(tally.answers.values.allSatisfy { $0 == 1 }, "seed \(seed)")
    for store in world.stores { store.close(error: .io) {} }
    check()
    #expect(world.pool.isUnused && world.transfers.open.isEmpty && !world.window.isWrong, "seed \(seed)")
    #expect(world.budget.isUnused, "seed \(seed)")
  }

  @Test(
    "readers of an origin that sends nothing do not keep those of another one out of a small window",
    arguments: [1, 2, 5])
  @TransferLoop func stuck(frames: Int) async throws {
    let world = try WindowWorld(files: 2, size: 8 << 20, frames: frames)
    let tally = Tally()
    for part in 0..<6 as Range<Int64> {
      world.stores[0].ask(ByteRange(part << 20, (part + 1) << 20)) { _ in
        TransferLoop.assumeIsolated { tally.failed += 1 }
      }
    }
    await world.settle()
    tally.readOn(world.stores[1], 16)
    var seconds = 0.0
    while tally.served < 16, seconds < 50 {
      await world.settle()
      for fetch in world.transfers.open where fetch.file == 1 { fetch.deliver(1 << 20) }
      world.clock.advance(by: .milliseconds(50))
      seconds += 0.05
      for store in world.stores { store.engine.tick() }
      world.pool.look()
    }
    #expect(tally.served == 16, "\(tally.served) in \(seconds) s")
    // A reader whose bytes do not come is told so all the same.
    while tally.failed < 6, seconds < 3600 {
      await world.settle()
      world.clock.advance(by: .milliseconds(500))
      seconds += 0.5
      for store in world.stores { store.engine.tick() }
      world.pool.look()
    }
    #expect(tally.failed == 6)
    for store in world.stores { store.close(error: .io) {} }
    #expect(world.pool.isUnused && world.budget.isUnused)
  }
}
