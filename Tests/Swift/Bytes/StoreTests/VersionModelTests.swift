import ByteSource
import Core
import Support
import Testing

@testable import Store

/// Random readers of a file that changes at its origin at any moment, over edges that call its version what they like.
@Suite("Source version: random histories")
struct VersionModelTests {
  /// How an origin calls its versions.
  enum Manner: Int, CaseIterable { case strong, edges, dated, silent, erratic, mixed, strays }

  private struct World {
    var bench: PlanBench
    var random: SplitMix
    let manner: Manner
    /// The chance of a change, in percent, at each step.
    let chance: Int
    /// At the origin now; it only rises.
    var version = 0
    var answers = 0
    /// By request: of which version its answer is.
    var sent: [Int: Int] = [:]
    /// The version of each piece of the file here, and all versions that a reader may have bytes of.
    var pieces: [(range: ByteRange, version: Int)] = []
    var served: Set<Int> = []

    mutating func validator(_ version: Int) -> Validator {
      answers += 1
      let strong = Validator(etag: "\"\(version)\"")
      switch manner {
      case .strong: return strong
      case .edges: return Validator(etag: "\"\(version)-\(Int.random(in: 0..<2, using: &random))\"")
      // Dates of a whole second: two versions in one of them have the same.
      case .dated: return Validator(lastModified: "\(version / 2)")
      case .silent: return Validator()
      case .erratic: return Validator(etag: "\"\(version)-\(answers)\"")
      case .mixed:
        return [strong, Validator(lastModified: "\(version)"), Validator()].randomElement(using: &random) ?? strong
      case .strays:
        return Int.random(in: 0..<10, using: &random) == 0 ? Validator(etag: "\"stray \(answers)\"") : strong
      }
    }

    mutating func deliver(_ id: Int, _ count: Int64) {
      if bench.plan.version.compares(id) || bench.plan.version.asks(id) {
        let range = bench.range(id)
        let from = version
        bench.take(bench.plan.headCame(id, validator(from), isWhole: false, now: bench.now).gain)
        guard bench.running.removeValue(forKey: id) != nil else { return }
        // It may change while the overlap comes: the answer is of one version all the same.
        change(chance)
        let compares = bench.plan.version.compares(id)
        bench.act(bench.plan.ended(id, error: nil, now: bench.now))
        guard compares else { return }
        let own = Set(pieces.filter { $0.range.overlaps(range) }.map(\.version))
        return bench.take(bench.plan.compared(isEqual: own == [from], now: bench.now))
      }
      guard let fetch = bench.plan.fetch(id) else { return }
      if !fetch.hasBegun {
        sent[id] = version
        bench.take(bench.plan.headCame(id, validator(version), isWhole: false, now: bench.now).gain)
      }
      guard let fetch = bench.plan.fetch(id), !fetch.isHeld, let of = sent[id] else { return }
      let end = min(fetch.limit, fetch.position + count)
      if end > fetch.position {
        pieces.append((ByteRange(fetch.position, end), of))
        served.insert(of)
      }
      bench.receive(id, upTo: end)
      if let fetch = bench.plan.fetch(id), fetch.inFlight.isEmpty {
        bench.running[id] = nil
        bench.act(bench.plan.ended(id, error: nil, now: bench.now))
      }
    }

    mutating func change(_ chance: Int) { if Int.random(in: 0..<100, using: &random) < chance { version += 1 } }
  }

  @Test(
    "no byte of another version is ever served, however the origin calls its versions and whenever it changes",
    arguments: Manner.allCases)
  func model(manner: Manner) {
    for seed in 0..<120 as Range<UInt64> {
      var random = SplitMix(seed: seed &* 31 &+ UInt64(manner.rawValue))
      let size = Int64.random(in: 1...(8 << 20), using: &random)
      let isWindow = seed % 2 == 0
      let ranges = Int.random(in: 1...8, using: &random)
      let bench = PlanBench(size: size, blockSize: 65536) {
        if isWindow { $0 = .window(size: size, blockSize: 65536) }
        $0.rangesPerFile = ranges
        $0.seed = seed + 1
      }
      let chance = seed % 3 == 0 ? 0 : 2
      var world = World(bench: bench, random: random, manner: manner, chance: chance)
      for step in 0..<300 {
        world.change(chance)
        switch Int.random(in: 0..<10, using: &world.random) {
        case 0..<2:
          let start = Int64.random(in: 0..<size, using: &world.random)
          world.bench.read(start, min(size, start + Int64.random(in: 1...(1 << 18), using: &world.random)))
        case 2..<8:
          if let id = world.bench.running.keys.sorted().randomElement(using: &world.random) {
            world.deliver(id, Int64.random(in: 1...(1 << 19), using: &world.random))
          }
        case 8: world.bench.pass(.milliseconds(Int.random(in: 1...2000, using: &world.random)))
        default:
          if step % 40 == 0, isWindow {
            // The control plane dies: a successor knows the word, and of what it finds in the window at most a sample.
            let plan = world.bench.plan
            let samples = Bool.random(using: &world.random) ? plan.samples : []
            let heritage = SourceHeritage(words: world.served.isEmpty ? [] : [plan.version.accepted.last?.word ?? 2])
            var next = PlanBench(size: size, blockSize: 65536) {
              $0 = .window(size: size, blockSize: 65536)
              $0.seed = seed + 1
            }
            next.plan.version = SourceVersion(given: heritage)
            next.plan.samples = samples
            world.bench = next
            world.sent = [:]
          } else if let id = world.bench.running.keys.sorted().randomElement(using: &world.random),
            world.bench.plan.fetch(id) != nil
          {
            world.bench.fail(
              id, [.unreachable("x"), .status(403, retryAfter: nil)].randomElement(using: &world.random) ?? .cancelled)
          }
        }
        if isWindow {
          // Ranges that were fetched are samples, like those of a window.
          world.bench.plan.samples =
            world.bench.plan.extents.ranges.suffix(4).map { ByteRange($0.start, $0.start + 1) }
            + world.bench.plan.samples.prefix(4)
        }
        world.bench.check()
        guard world.served.count <= 1 else {
          Issue.record("\(manner), seed \(seed), step \(step): versions \(world.served) were served")
          break
        }
      }
      // An origin that has not changed is no error, however it calls its version.
      if chance == 0, manner != .mixed, manner != .edges || !isWindow {
        #expect(world.bench.changes.isEmpty || isWindow, "\(manner), seed \(seed): \(world.bench.changes)")
      }
    }
  }
}
