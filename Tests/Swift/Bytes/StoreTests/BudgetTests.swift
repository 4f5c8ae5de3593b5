import ByteSource
import Core
import EventLoop
import Glibc
import Support
import Testing

@testable import Store

/// Ranges that do nothing by themselves.
@TransferLoop
private final class FakeTransfers {
  final class Fetch: RangeInFlight {
    var isHeldBack = false
    let request: SourceRequest
    let file: Int
    let flight: Flight
    var isEnded = false
    init(_ request: SourceRequest, _ flight: Flight, file: Int) {
      self.request = request
      self.file = file
      self.flight = flight
    }
    func stop(at offset: Int64) { if offset <= request.range.start { end(nil) } }
    var onResume: () -> Void = {}
    func resume() { onResume() }
    func cancel() { end(.cancelled) }
    func end(_ error: SourceFailure?) {
      guard !isEnded else { return }
      isEnded = true
      flight.ended(error)
    }
    /// Hands over the first `count` bytes.
    func deliver(_ count: Int, of byte: UInt8 = 7, isWhole: Bool = false) {
      _ = flight.began(validator: Validator(etag: "\"1\""), isWhole: isWhole)
      let bytes = [UInt8](repeating: byte, count: count)
      _ = bytes.withUnsafeBytes { flight.received($0, at: request.range.start) }
    }
  }
  var all: [Fetch] = []
  var open: [Fetch] { all.filter { !$0.isEnded } }
  func start(_ request: SourceRequest, _ flight: Flight, file: Int) -> any RangeInFlight {
    let fetch = Fetch(request, flight, file: file)
    all.append(fetch)
    return fetch
  }
}

@Suite(.timeLimit(.minutes(10)))
struct BudgetTests {
  let scratch: ScratchFolder
  init() throws {
    EventLoop.start()
    scratch = try ScratchFolder()
  }

  @TransferLoop private func make(
    _ count: Int, rangesInAll: Int, clock: any TimeSource = SystemClock()
  ) async throws -> (FetchBudget, FakeTransfers, [SparseStore]) {
    let transfers = FakeTransfers()
    var options = FetchBudget.Options()
    options.rangesInAll = rangesInAll
    let budget = FetchBudget(options: options, clock: clock)
    budget.adjust = { $0.firstPart = 0 }
    var stores: [SparseStore] = []
    for index in 0..<count {
      let origin = LoopOrigin(size: 100 << 20) { transfers.start($0, $1, file: index) }
      stores.append(
        try await SparseStore.create(
          name: "b\(index)", in: scratch.folder, origin: origin, budget: budget, blockSize: 65536))
    }
    return (budget, transfers, stores)
  }

  /// Until links have come and everything asked for was granted.
  @TransferLoop private func settle(_ isDone: () -> Bool) async { while !isDone() { await Task.yield() } }

  @Test("fillers take turns between files, and never more connections than there are")
  @TransferLoop func turns() async throws {
    let (budget, transfers, stores) = try await make(4, rangesInAll: 4)
    for store in stores { store.setFilling(true) }
    await settle { stores.allSatisfy { $0.engine.plan.access.isReady } }
    #expect(transfers.open.count == 4)
    for _ in 0..<12 {
      let fetch = transfers.open[0]
      fetch.deliver(Int(fetch.request.range.count))
      fetch.end(nil)
      await settle { budget.writer.isIdle }
      #expect(transfers.open.count == 4 && budget.connections == 4)
    }
    let served = Set(transfers.all.map(\.file))
    #expect(served.count == 4)
    for store in stores { await store.closed() }
    #expect(budget.isUnused)
  }

  @Test("demand of one file takes a connection from another's filler when all are in use")
  @TransferLoop func preempts() async throws {
    let (budget, transfers, stores) = try await make(3, rangesInAll: 2)
    stores[0].setFilling(true)
    await settle { transfers.open.count == 2 }
    stores[1].ask(ByteRange(5 << 20, 5 << 20 | 100)) { _ in }
    await settle { stores[1].engine.plan.access.isReady }
    #expect(budget.connections == 2)
    #expect(transfers.open.contains { $0.request.range.start == 5 << 20 })
    stores[2].ask(ByteRange(6 << 20, 6 << 20 | 100)) { _ in }
    await settle { stores[2].engine.plan.access.isReady }
    #expect(transfers.open.map(\.request.range.start).sorted() == [5 << 20, 6 << 20])
    // Demand does not take from demand; it waits.
    stores[0].ask(ByteRange(7 << 20, 7 << 20 | 100)) { _ in }
    #expect(transfers.open.count == 2)
    transfers.open[0].end(nil)
    #expect(transfers.open.map(\.request.range.start).contains(7 << 20))
    for store in stores { await store.closed() }
    #expect(budget.isUnused)
  }

  @Test("bytes that a rate limit keeps back are no stall of the origin; bytes that just do not come are")
  @TransferLoop func heldBack() async throws {
    let clock = ManualClock()
    let (_, transfers, stores) = try await make(1, rangesInAll: 1, clock: clock)
    var answers: [Result<ByteRange, Errno>] = []
    stores[0].ask(ByteRange(0, 1000)) { answer in TransferLoop.assumeIsolated { answers.append(answer) } }
    await settle { transfers.open.count == 1 }
    #expect(transfers.open[0].request.isUrgent)
    transfers.open[0].isHeldBack = true
    clock.advance(by: .seconds(61))
    stores[0].engine.tick()
    #expect(answers.isEmpty)
    transfers.open[0].isHeldBack = false
    clock.advance(by: .seconds(59))
    stores[0].engine.tick()
    #expect(answers.isEmpty)
    clock.advance(by: .seconds(2))
    stores[0].engine.tick()
    #expect(answers == [.failure(.io)])
    await stores[0].closed()
  }

  @Test("bytes that are in the file are not written again when the whole object comes again")
  @TransferLoop func neverTwice() async throws {
    let (budget, transfers, stores) = try await make(1, rangesInAll: 2)
    budget.adjust = { $0.backoff.first = .milliseconds(1) }
    let answered = Gathering(count: 2)
    stores[0].ask(ByteRange(0, 1000)) { _ in answered.arrive() }
    await settle { transfers.open.count == 1 }
    transfers.open[0].deliver(1000, of: 1, isWhole: true)
    stores[0].ask(ByteRange(0, 3000)) { _ in answered.arrive() }
    transfers.open[0].end(.short(received: 1000, expected: 100 << 20))
    await settle { transfers.open.count == 1 }
    transfers.open[0].deliver(3000, of: 2, isWhole: true)
    await answered.all()
    #expect(
      scratch.read("b0", ByteRange(0, 3000)) == [UInt8](repeating: 1, count: 1000) + [UInt8](repeating: 2, count: 2000))
    await stores[0].closed()
    #expect(budget.isUnused)
  }

  @Test("received bytes that found no memory are taken once the system has some again, though no buffer was in use")
  @TransferLoop func noMemory() async throws {
    let (budget, transfers, stores) = try await make(1, rangesInAll: 1)
    let map = budget.buffers.map
    budget.buffers.map = { nil }
    let answered = Gathering(count: 1)
    stores[0].ask(ByteRange(0, 1000)) { _ in answered.arrive() }
    await settle { transfers.open.count == 1 }
    let fetch = transfers.open[0]
    var isTaken: [Bool] = []
    let bytes = [UInt8](repeating: 3, count: 1000)
    let receive = { isTaken.append(bytes.withUnsafeBytes { fetch.flight.received($0, at: 0) }) }
    #expect(fetch.flight.began(validator: Validator(etag: "\"1\""), isWhole: false))
    fetch.onResume = {
      // The second try finds none either.
      if isTaken.count == 2 { budget.buffers.map = map }
      receive()
    }
    receive()
    await answered.all()
    #expect(isTaken == [false, false, true])
    #expect(scratch.read("b0", ByteRange(0, 1000)) == bytes)
    await stores[0].closed()
    #expect(budget.isUnused)
  }

  @Test("a reader is answered as soon as its last byte is here, though the fetch goes on")
  @TransferLoop func edge() async throws {
    let (budget, transfers, stores) = try await make(1, rangesInAll: 2)
    let answered = Gathering(count: 2)
    stores[0].ask(ByteRange(0, 1000)) { _ in answered.arrive() }
    await settle { transfers.open.count == 1 }
    transfers.open[0].deliver(1500)
    // Bytes without a waiter stay in the buffer until one comes.
    stores[0].ask(ByteRange(1000, 1200)) { _ in answered.arrive() }
    await answered.all()
    #expect(stores[0].bytesPresent == 1500 && transfers.open.count == 1)
    await stores[0].closed()
    #expect(budget.isUnused)
  }
}
