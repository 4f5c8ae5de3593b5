import ByteSource
import Core
import Support
import Testing

@testable import Store

@Suite("Fetch plan of a window: random histories")
struct WindowPlanModelTests {
  private struct History {
    var bench: PlanBench
    var random: SplitMix
    let seed: Int
    let block: Int64
    var answered: [Int: Int] = [:]
    var ranges: [Int: ByteRange] = [:]

    init(seed: Int) {
      var random = SplitMix(seed: UInt64(seed))
      let block: Int64 = [4096, 262_144].randomElement(using: &random) ?? 4096
      let size = Int64.random(in: 1...(seed % 3 == 0 ? 10 : 200) * block, using: &random)
      let ranges = Int.random(in: 1...16, using: &random)
      bench = PlanBench(size: size, blockSize: block) {
        $0 = .window(size: size, blockSize: block)
        $0.rangesPerFile = ranges
        $0.seed = UInt64(seed + 1)
        if seed % 2 == 0 { $0.reach = 8192 }
      }
      bench.runsHedges = true
      self.random = random
      self.seed = seed
      self.block = block
    }

    func blocks(_ range: ByteRange) -> Range<Int64> {
      range.isEmpty ? 0..<0 : range.start / block..<(range.end - 1) / block + 1
    }

    /// The bytes are always of one version; how the origin calls it varies.
    mutating func validator() -> Validator {
      guard seed % 3 == 2 else { return PlanBench.earlier }
      return [PlanBench.earlier, PlanBench.other, Validator(lastModified: "Mon"), Validator()].randomElement(
        using: &random) ?? Validator()
    }

    /// Evicts a random block, unless a waiter or a fetch has claimed it.
    mutating func evict() {
      let last = (bench.plan.size - 1) / block
      let gone = Int64.random(in: 0...last, using: &random)
      let claimed = bench.plan.waiters.waiters.map(\.range) + started
      guard !claimed.contains(where: { blocks($0).contains(gone) }) else { return }
      _ = bench.plan.distrust(ByteRange(gone * block, min(bench.plan.size, (gone + 1) * block)))
      bench.act([])
    }
    /// The whole of what was asked for, though it may have been cut since.
    var started: [ByteRange] {
      bench.started.filter { bench.running[$0.id] != nil }.map(\.range)
        + bench.plan.fetches.map { ByteRange($0.start, $0.limit) }
    }

    mutating func read(_ range: ByteRange) -> Int {
      let id = bench.read(range.start, range.end)
      ranges[id] = range
      return id
    }

    mutating func end(_ id: Int, _ error: SourceFailure?) {
      let range = bench.range(id)
      bench.running[id] = nil
      if bench.plan.version.compares(id), error == nil {
        bench.take(bench.plan.headCame(id, validator(), isWhole: false, now: bench.now).gain)
        bench.act(bench.plan.ended(id, error: nil, now: bench.now))
        return bench.take(bench.plan.compared(isEqual: true, now: bench.now))
      }
      if bench.plan.extents.contains(ByteRange(range.start, min(range.end, range.start + 1))) {
        bench.plan.samples = (bench.plan.samples + [ByteRange(range.start, range.start + 1)]).suffix(64)
      }
      bench.act(bench.plan.ended(id, error: error, now: bench.now))
    }

    mutating func deliver(_ id: Int, _ count: Int64) {
      guard let fetch = bench.plan.fetch(id) else {
        if bench.plan.version.compares(id) { end(id, nil) }
        return
      }
      if !fetch.hasBegun { bench.take(bench.plan.headCame(id, validator(), isWhole: false, now: bench.now).gain) }
      guard let fetch = bench.plan.fetch(id), !fetch.isHeld else { return }
      bench.receive(id, upTo: min(fetch.limit, fetch.position + count))
      bench.plan.samples = (bench.plan.samples + [ByteRange(fetch.start, fetch.start + 1)]).suffix(64)
      if let fetch = bench.plan.fetch(id), fetch.inFlight.isEmpty { end(id, nil) }
    }

    mutating func note() {
      for id in bench.woken {
        answered[id, default: 0] += 1
        if let range = ranges[id] { #expect(bench.plan.extents.contains(range), "seed \(seed): answered and not here") }
      }
      for id in bench.failed.keys { answered[id, default: 0] += 1 }
      bench.woken = []
      bench.failed = [:]
      bench.check()
      let plan = bench.plan
      #expect(plan.held == plan.extents, "seed \(seed): a window has no bytes on their way")
      #expect(plan.speculation.unreadCount == plan.speculation.unread.count)
      #expect(plan.speculation.unread.ranges.allSatisfy(plan.extents.contains), "seed \(seed): unread and not here")
      for start in bench.started where start.isDemand && bench.running[start.id] != nil {
        #expect(start.range.count <= 2 * mib, "seed \(seed)")
      }
    }
  }

  @Test(
    "whatever is evicted, distrusted, cut, refused or failed in whatever order, every waiter is answered once, from what is here",
    arguments: 0..<300)
  func model(seed: Int) {
    var history = History(seed: seed)
    var readers = 0
    var streams: [Int64] = [0, 0, 0]
    let size = history.bench.plan.size
    for _ in 0..<400 {
      switch Int.random(in: 0..<100, using: &history.random) {
      case 0..<8:
        let start = Int64.random(in: 0..<size, using: &history.random)
        readers = max(
          readers, history.read(ByteRange(start, min(size, start + Int64.random(in: 1...mib, using: &history.random)))))
      case 8..<28:
        let stream = Int.random(in: 0..<streams.count, using: &history.random)
        if streams[stream] >= size { streams[stream] = Int64.random(in: 0..<size, using: &history.random) }
        let range = ByteRange(
          streams[stream], min(size, streams[stream] + Int64.random(in: 1...(128 * kib), using: &history.random)))
        streams[stream] = range.end
        if history.bench.plan.extents.contains(range) {
          history.bench.plan.touched(range)
        } else {
          readers = max(readers, history.read(range))
        }
      case 28..<60:
        if let id = history.bench.running.keys.sorted().randomElement(using: &history.random) {
          history.deliver(id, Int64.random(in: 1...mib, using: &history.random))
        }
      case 60..<75: history.evict()
      case 75..<83:
        let errors: [SourceFailure] = [
          .unreachable("x"), .timedOut(phase: "body"), .short(received: 1, expected: 2), .status(403, retryAfter: nil),
          .status(503, retryAfter: .seconds(1)), .status(429, retryAfter: nil), .wrongAnswer("x"),
          .status(500, retryAfter: nil),
          .cancelled,
        ]
        if let id = history.bench.running.keys.sorted().randomElement(using: &history.random) {
          history.end(id, errors.randomElement(using: &history.random))
        }
      case 83..<86:
        history.bench.act(history.bench.plan.setFilling(Bool.random(using: &history.random), now: history.bench.now))
      case 86..<92: history.bench.pass(.milliseconds(Int.random(in: 1...3000, using: &history.random)))
      case 92..<94:
        let start = Int64.random(in: 0..<size, using: &history.random)
        _ = history.bench.plan.distrust(ByteRange(start, start + 1))
        history.bench.act([])
      case 94:
        history.bench.pass(.seconds(1))
      case 95: history.bench.act(history.bench.plan.yieldSilent(history.bench.now))
      default: history.bench.act(history.bench.plan.preempt())
      }
      history.note()
    }

    // Calm: a reader of all of it, piece by piece, while blocks go on leaving; what was told a moment ago is forgotten.
    history.bench.pass(.seconds(1))
    history.bench.act(history.bench.plan.setFilling(true, now: history.bench.now))
    var offset: Int64 = 0
    var turns = 0
    while offset < size, turns < 20_000 {
      let range = ByteRange(offset, min(size, offset + max(128 * kib, size / 50)))
      let id = history.read(range)
      readers = max(readers, id)
      history.note()
      var hasFailed = false
      while history.answered[id] == nil, turns < 20_000 {
        turns += 1
        history.evict()
        if let next = history.bench.running.keys.filter({ history.bench.plan.fetch($0)?.isHeld != true }).min() {
          history.deliver(next, mib)
        } else {
          history.bench.pass(.seconds(1))
        }
        hasFailed = hasFailed || history.bench.failed[id] != nil
        history.note()
      }
      #expect(
        !hasFailed, "seed \(seed): failed in the calm: \(history.bench.plan.outcome.sentence) \(history.bench.reports)")
      offset = range.end
    }
    history.bench.drain()
    history.note()
    #expect(offset >= size, "seed \(seed): stuck at \(offset) of \(size)")
    #expect(history.bench.plan.waiters.isEmpty)
    #expect(history.answered.count == readers && history.answered.values.allSatisfy { $0 == 1 }, "seed \(seed)")
  }
}
