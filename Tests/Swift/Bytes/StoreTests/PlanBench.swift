import ByteSource
import Core
import HTTPSource
import Testing

@testable import Store

/// A plan with everything granted that it asks for, on a clock that moves only when told to, and a record of what it
/// did.
struct PlanBench {
  var plan: FetchPlan
  var now = Moment(nanoseconds: 1_000_000_000)
  var running: [Int: ByteRange] = [:]
  var started: [(id: Int, range: ByteRange, isDemand: Bool)] = []
  var stopped: [(id: Int, at: Int64)] = []
  var cancelled: [Int] = []
  var woken: [Int] = []
  var failed: [Int: Errno] = [:]
  var reports: [String?] = []
  var links = 0
  var unpinned = 0
  var released: [Int] = []
  var changes: [SourceChange] = []
  var rechecked: [Bool] = []
  var marked: [Range<Int>] = []
  var generation = 0
  /// Answer requests for a link at once.
  var hasLink = true
  var probes: [(id: Int, range: ByteRange)] = []
  /// The request that was made once more beside a silent fetch, and whether it is among `running`.
  var hedges: [(id: Int, range: ByteRange)] = []
  var runsHedges = false
  private var nextWaiter = 1

  init(size: Int64, blockSize: Int64 = 64 << 10, _ adjust: (inout FetchPlan.Settings) -> Void = { _ in }) {
    var settings = FetchPlan.Settings(size: size, blockSize: blockSize)
    settings.firstPart = 0
    adjust(&settings)
    let pauses = settings.backoff
    plan = FetchPlan(settings, access: LinkState(.init(leastPause: pauses.first, longestPause: pauses.longest)))
  }

  mutating func act(_ actions: [FetchPlan.Action]) {
    for action in actions {
      switch action {
      case .start(let id, let range, let isDemand):
        running[id] = range
        started.append((id, range, isDemand))
      case .hedge(let id, let range):
        hedges.append((id, range))
        if runsHedges { running[id] = range }
      case .probe(let id, let range, _):
        running[id] = range
        probes.append((id, range))
      case .stop(let id, let offset):
        stopped.append((id, offset))
        if let range = running[id] { running[id] = ByteRange(range.start, min(range.end, max(range.start, offset))) }
      case .cancel(let id):
        if !hedges.contains(where: { $0.id == id }) { cancelled.append(id) }
        running[id] = nil
      case .wake(let ids): woken += ids
      case .fail(let ids, let error): for id in ids { failed[id] = error }
      case .newAccess:
        links += 1
        if hasLink { linkReady() }
      case .report(let text): reports.append(text)
      case .flush: break
      case .unpin: unpinned += 1
      case .release(let id): released.append(id)
      case .changed(let change): changes.append(change)
      case .rechecked(let isChanged): rechecked.append(isChanged)
      }
    }
    if plan.hasNothingToCompare { return act(plan.hadNothingToCompare(now)) }
    while true {
      let next = plan.wantsDemand(now) ? plan.startDemand(now) : plan.wantsFill(now) ? plan.startFill(now) : []
      if next.isEmpty { break }
      act(next)
    }
  }

  mutating func linkReady() {
    generation += 1
    act(plan.accessReady(generation: generation, now: now))
  }

  @discardableResult mutating func read(_ start: Int64, _ end: Int64) -> Int {
    let id = nextWaiter
    nextWaiter += 1
    let (answer, actions) = plan.read(ByteRange(start, end), waiter: id, now: now)
    switch answer {
    case .present: woken.append(id)
    case .failed(let error): failed[id] = error
    case .waiting: break
    }
    act(actions)
    return id
  }

  // 0, which no fetch has, where nothing runs.
  var latest: Int { running.keys.max() ?? 0 }
  var earliest: Int { running.keys.min() ?? 0 }
  func running(from start: Int64) -> Int { running.first { $0.value.start == start }?.key ?? 0 }
  func range(_ id: Int) -> ByteRange { running[id] ?? ByteRange(0, 0) }

  mutating func fill() { act(plan.setFilling(true, now: now)) }
  mutating func pass(_ time: Duration) {
    now = now + time
    act(plan.tick(now, isBusy: false))
  }

  /// `id` receives up to `position`, and it is written at once.
  mutating func receive(_ id: Int, upTo position: Int64) {
    act(plan.outran(id))
    guard let from = plan.fetch(id)?.position else { return }
    plan.received(id, upTo: position, now: now)
    let to = plan.fetch(id)?.position ?? from
    act(plan.written(ByteRange(from, max(from, to)), now: now).actions)
  }

  mutating func finish(_ id: Int) {
    receive(id, upTo: plan.fetch(id)?.limit ?? 0)
    running[id] = nil
    act(plan.ended(id, error: nil, now: now))
  }

  mutating func fail(_ id: Int, _ error: SourceFailure) {
    running[id] = nil
    act(plan.ended(id, error: error, now: now))
  }

  /// Runs until nothing is in flight any more.
  mutating func drain(limit: Int = 100_000) {
    var turns = 0
    while let id = running.keys.min(), turns < limit {
      finish(id)
      turns += 1
    }
  }

  /// No byte in flight twice, none in flight that is held, and the counts are right.
  func check(_ location: SourceLocation = #_sourceLocation) {
    var flying = RangeSet()
    for fetch in plan.fetches {
      if !plan.isWholeOnly, fetch.inFlight.count > 0, fetch.start > 0 {
        #expect(
          plan.held.missing(in: fetch.inFlight) == [fetch.inFlight], "held bytes in flight", sourceLocation: location)
      }
      #expect(
        flying.missing(in: fetch.inFlight).reduce(0) { $0 + $1.count } == fetch.inFlight.count, "in flight twice",
        sourceLocation: location)
      flying.insert(fetch.inFlight)
    }
    #expect(plan.heldCount == plan.held.count, sourceLocation: location)
    #expect(plan.presentCount == plan.extents.count, sourceLocation: location)
    for waiter in plan.waiters.waiters {
      #expect(plan.extents.firstMissing(in: waiter.range)?.start == waiter.missing, sourceLocation: location)
    }
    #expect(
      plan.waiters.waiters.map(\.missing) == plan.waiters.waiters.map(\.missing).sorted(), sourceLocation: location)
  }
}

extension FetchPlan {
  mutating func setFilling(_ isFilling: Bool, now: Moment) -> [Action] {
    setFilling(isFilling ? .whole : .none, now: now)
  }
}

let mib: Int64 = 1 << 20
let kib: Int64 = 1 << 10
