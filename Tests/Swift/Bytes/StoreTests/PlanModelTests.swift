import ByteSource
import Core
import Support
import Testing

@testable import Store

@Suite("Fetch plan: random histories")
struct PlanModelTests {
  /// Random readers, chunks, writes out of order, failures, lost writes, distrust and switching; then calm. In between
  /// no byte is in flight twice and the counts are right; at the end every waiter was answered once and every byte is
  /// there.
  @Test("whatever happens in whatever order, every waiter is answered once and every byte arrives", arguments: 0..<300)
  func model(seed: Int) {
    var random = SplitMix(seed: UInt64(seed))
    let size = Int64.random(in: 1...(seed % 3 == 0 ? 300_000 : 40 << 20), using: &random)
    let block: Int64 = [512, 4096, 65536, 262_144].randomElement(using: &random) ?? 4096
    var bench = PlanBench(size: size, blockSize: block) {
      $0.rangesPerFile = Int.random(in: 1...16, using: &random)
      $0.seed = UInt64(seed + 1)
      if seed % 2 == 0 {
        $0.readAhead = 4096
        $0.reach = 8192
      }
    }
    if seed % 4 == 1 {
      var left = RangeSet()
      for part in 0..<30 where Int.random(in: 0..<3, using: &random) > 0 {
        let (start, end) = (size * Int64(part) / 30 / block * block, size * Int64(part + 1) / 30 / block * block)
        left.insert(ByteRange(start, part == 29 ? size : end))
      }
      bench.plan.begin(unproven: left, validators: [PlanBench.earlier])
    }
    bench.runsHedges = true
    var unwritten: [ByteRange] = []
    var answered: [Int: Int] = [:]
    var readers = 0
    var isWholeOrigin = false
    let canBeWhole = seed % 5 == 0

    /// The bytes are always of one version; how the origin calls it varies.
    func validator() -> Validator {
      guard seed % 3 == 2 else { return PlanBench.earlier }
      return [PlanBench.earlier, PlanBench.other, Validator(lastModified: "Mon"), Validator()].randomElement(
        using: &random) ?? Validator()
    }

    func note() {
      for id in bench.woken { answered[id, default: 0] += 1 }
      for id in bench.failed.keys { answered[id, default: 0] += 1 }
      bench.woken = []
      bench.failed = [:]
      bench.check()
    }
    func receive(_ id: Int, _ count: Int64) {
      bench.act(bench.plan.outran(id))
      if bench.plan.fetch(id)?.hasBegun == false {
        let isWhole = isWholeOrigin && bench.plan.fetch(id)?.start == 0
        let (goesOn, gain) = bench.plan.headCame(id, validator(), isWhole: isWhole, now: bench.now)
        bench.take(gain)
        if !goesOn, bench.plan.fetch(id) == nil { bench.running[id] = nil }
      }
      guard let fetch = bench.plan.fetch(id), fetch.inFlight.count > 0, !fetch.isHeld else { return }
      let end = min(fetch.limit, fetch.position + count)
      let pieces = bench.plan.fresh(in: ByteRange(fetch.position, end))
      bench.plan.received(id, upTo: end, now: bench.now)
      unwritten += pieces
    }
    func end(_ id: Int, _ error: SourceFailure?) {
      bench.running[id] = nil
      bench.act(bench.plan.ended(id, error: error, now: bench.now))
    }
    func write(_ index: Int) {
      let range = unwritten.remove(at: index)
      bench.act(bench.plan.written(range, now: bench.now).actions)
    }
    /// A step of proving what an earlier run left; the origin is of the same version, of another one or of none.
    func prove() {
      if Bool.random(using: &random),
        let range = bench.plan.nextCheck(limit: Int64.random(in: 1...10, using: &random) * block)
      {
        let isBad = Int.random(in: 0..<4, using: &random) == 0
        return bench.take(bench.plan.checked(range, good: isBad ? [] : [range], now: bench.now))
      }
      guard let probe = bench.probes.last, bench.running[probe.id] != nil else { return }
      if Int.random(in: 0..<4, using: &random) == 0 { return end(probe.id, .unreachable("x")) }
      if bench.plan.version.asks(probe.id) {
        bench.answer(isSame: Bool.random(using: &random))
      } else if bench.plan.version.isLeft {
        bench.endProbe(isEqual: Int.random(in: 0..<4, using: &random) > 0)
      } else {
        settleProbe()
      }
    }
    func settleProbe() {
      guard !bench.plan.version.isLeft else { return prove() }
      if let range = bench.plan.nextCheck(limit: 8 << 20) {
        bench.take(bench.plan.checked(range, good: [range], now: bench.now))
      }
      guard let probe = bench.probes.last, bench.running.removeValue(forKey: probe.id) != nil else { return }
      bench.take(bench.plan.headCame(probe.id, validator(), isWhole: false, now: bench.now).gain)
      bench.act(bench.plan.ended(probe.id, error: nil, now: bench.now))
      bench.take(bench.plan.compared(isEqual: true, now: bench.now))
    }

    for _ in 0..<400 {
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<25:
        let start = Int64.random(in: 0..<size, using: &random)
        let end = min(size, start + Int64.random(in: 1...(1 << 20), using: &random))
        readers = max(readers, bench.read(start, end))
      case 25..<60:
        if let id = bench.running.keys.sorted().randomElement(using: &random) {
          receive(id, Int64.random(in: 1...(4 << 20), using: &random))
          if let fetch = bench.plan.fetch(id), fetch.inFlight.isEmpty { end(id, nil) }
        }
      case 60..<80: if !unwritten.isEmpty { write(Int.random(in: 0..<unwritten.count, using: &random)) }
      case 80..<90:
        let errors: [SourceFailure] = [
          .unreachable("x"), .timedOut(phase: "body"), .short(received: 1, expected: 2), .status(403, retryAfter: nil),
          .status(503, retryAfter: .seconds(1)), .wrongAnswer("x"), .status(500, retryAfter: nil),
          .status(400, retryAfter: nil),
        ]
        if let id = bench.running.keys.sorted().randomElement(using: &random), bench.plan.fetch(id) != nil {
          end(id, errors.randomElement(using: &random))
        }
      case 90..<92: bench.act(bench.plan.setFilling(Bool.random(using: &random), now: bench.now))
      case 92..<95: bench.pass(.milliseconds(Int.random(in: 1...3000, using: &random)))
      // With all bytes gone and no strong ETag nothing could tell that the origin still has the same file.
      case 95 where seed % 3 != 2:
        let start = Int64.random(in: 0..<size, using: &random)
        _ = bench.plan.distrust(ByteRange(start, start + 1))
        bench.act([])
      case 96:
        if !unwritten.isEmpty {
          for range in unwritten { bench.plan.lost(range) }
          unwritten = []
          bench.act(bench.plan.writeFailed(.noSpace, "full", now: bench.now))
        }
      case 97:
        settleProbe()
      case 98: bench.act(bench.plan.preempt())
      case 99 where bench.plan.version.isLeft || !bench.plan.unchecked.isEmpty: for _ in 0..<5 { prove() }
      default: if canBeWhole { isWholeOrigin = true }
      }
      note()
    }

    // Calm: everything asked for arrives.
    bench.act(bench.plan.setFilling(true, now: bench.now))
    readers = max(readers, bench.read(0, size))
    var turns = 0
    while !bench.plan.isComplete, turns < 20_000 {
      turns += 1
      settleProbe()
      if let id = bench.running.keys.filter({ bench.plan.fetch($0)?.isHeld == false }).min() {
        receive(id, 8 << 20)
        if let fetch = bench.plan.fetch(id), fetch.inFlight.isEmpty { end(id, nil) }
      } else {
        bench.pass(.seconds(1))
        if bench.plan.outcome.isHalted { readers = max(readers, bench.read(0, size)) }
      }
      while !unwritten.isEmpty { write(0) }
      note()
    }
    note()
    #expect(bench.plan.isComplete, "seed \(seed): \(bench.plan.presentCount) of \(size)")
    #expect(bench.plan.waiters.isEmpty)
    #expect(answered.count == readers && answered.values.allSatisfy { $0 == 1 }, "seed \(seed)")
    #expect(bench.plan.extents.ranges == [ByteRange(0, size)])
  }
}
