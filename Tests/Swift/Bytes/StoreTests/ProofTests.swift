import ByteSource
import Core
import Testing

@testable import Store

extension PlanBench {
  /// With bytes that an earlier run left.
  init(size: Int64, left: [ByteRange], _ adjust: (inout FetchPlan.Settings) -> Void = { _ in }) {
    self.init(size: size, adjust)
    plan.begin(unproven: RangeSet(left), validators: [Self.earlier])
  }

  static let earlier = Validator(etag: "\"1\"")
  static let other = Validator(etag: "\"2\"")

  mutating func take(_ gain: FetchPlan.Gain) {
    marked += gain.blocks
    act(gain.actions)
  }

  /// Compares one stretch with its sums; nil where none is to be.
  @discardableResult mutating func checkSome(limit: Int64 = 8 << 20, bad: [ByteRange] = []) -> ByteRange? {
    guard let range = plan.nextCheck(limit: limit) else { return nil }
    take(plan.checked(range, good: RangeSet(bad).missing(in: range), now: now))
    return range
  }
  mutating func checkAll(bad: [ByteRange] = []) { while checkSome(bad: bad) != nil {} }

  /// The probe for the validator is answered, and ends.
  mutating func answer(isSame: Bool) {
    guard let id = probes.last?.id, running.removeValue(forKey: id) != nil else { return }
    take(plan.headCame(id, isSame ? Self.earlier : Self.other, isWhole: false, now: now).gain)
    act(plan.ended(id, error: nil, now: now))
  }
  /// The overlap that is being fetched has come, and was compared.
  mutating func endProbe(isEqual: Bool = true) {
    guard let id = probes.last?.id, running.removeValue(forKey: id) != nil else { return }
    take(plan.headCame(id, Self.other, isWhole: false, now: now).gain)
    act(plan.ended(id, error: nil, now: now))
    take(plan.compared(isEqual: isEqual, now: now))
  }
}

@Suite("Fetch plan: bytes of an earlier run")
struct ProofTests {
  static let left = [ByteRange(0, 4 * mib), ByteRange(8 * mib, 10 * mib)]

  @Test("nothing is asked, checked or fetched until somebody wants bytes")
  func lazy() {
    var bench = PlanBench(size: 10 * mib, left: Self.left)
    bench.act([])
    #expect(bench.checkSome() == nil && bench.links == 0 && bench.started.isEmpty)
    bench.check()
    #expect(bench.plan.heldCount == 6 * mib && bench.plan.presentCount == 0)
  }

  @Test(
    "the same strong validator: one byte is asked for, what is checked is there, the rest is fetched",
    arguments: [true, false])
  func same(checkedFirst: Bool) {
    var bench = PlanBench(size: 10 * mib, left: Self.left)
    let waiter = bench.read(3 * mib, 5 * mib)
    #expect(bench.probes.map(\.range) == [ByteRange(0, 1)] && bench.started.isEmpty)
    if checkedFirst { bench.checkAll() }
    #expect(bench.woken.isEmpty && bench.marked.isEmpty && bench.started.isEmpty)
    bench.answer(isSame: true)
    if !checkedFirst { bench.checkAll() }
    #expect(Set(bench.marked.joined()) == Set(0..<64).union(128..<160))
    bench.drain()
    #expect(bench.woken == [waiter])
    bench.fill()
    bench.drain()
    #expect(bench.plan.isComplete && bench.started.reduce(0) { $0 + $1.range.count } == 4 * mib)
    bench.check()
  }

  @Test("what a waiter wants is checked first, and he has it before the rest is")
  func demandIsChecked() {
    var bench = PlanBench(size: 10 * mib, left: Self.left)
    let waiter = bench.read(9 * mib + 5, 9 * mib + 10)
    bench.answer(isSame: true)
    #expect(bench.checkSome(limit: mib) == ByteRange(9 * mib, 10 * mib))
    #expect(bench.woken == [waiter] && bench.marked == [144..<160] && bench.started.isEmpty)
    #expect(bench.checkSome() == nil, "nobody wants more")
    bench.fill()
    #expect(bench.checkSome(limit: mib) == ByteRange(0, mib))
  }

  @Test("a block that is not what was summed is missing, and fetched again")
  func corrupted() {
    var bench = PlanBench(size: 10 * mib, left: [ByteRange(0, 10 * mib)])
    let waiter = bench.read(0, 10 * mib)
    bench.answer(isSame: true)
    bench.checkAll(bad: [ByteRange(mib, mib + 64 * kib)])
    #expect(bench.started.map(\.range.start) == [mib])
    bench.drain()
    #expect(bench.woken == [waiter] && bench.started.reduce(0) { $0 + $1.range.count } == 64 * kib)
    bench.check()
  }

  @Test("where nothing is what was summed there is nothing to prove")
  func allCorrupted() {
    var bench = PlanBench(size: 10 * mib, left: Self.left)
    let waiter = bench.read(0, 4096)
    bench.checkAll(bad: Self.left)
    #expect(bench.unpinned == 1 && !bench.plan.version.isLeft && bench.plan.heldCount == 0)
    #expect(bench.cancelled == [bench.probes[0].id])
    bench.drain()
    #expect(bench.woken == [waiter])
  }

  @Test("another validator, and both ends of each extent equal: used, once all is checked")
  func comparedEqual() {
    var bench = PlanBench(size: 10 * mib, left: Self.left)
    let waiter = bench.read(0, 4096)
    bench.answer(isSame: false)
    #expect(bench.probes.count == 1, "not before it is known what is worth comparing")
    bench.checkAll()
    let overlap = 64 * kib
    for _ in 0..<4 {
      #expect(bench.woken.isEmpty && bench.started.isEmpty)
      bench.endProbe()
    }
    #expect(
      bench.probes.dropFirst().map(\.range) == [
        ByteRange(0, overlap), ByteRange(4 * mib - overlap, 4 * mib), ByteRange(8 * mib, 8 * mib + overlap),
        ByteRange(10 * mib - overlap, 10 * mib),
      ])
    #expect(bench.woken == [waiter] && bench.marked == [0..<64, 128..<160] && bench.unpinned == 0)
  }

  @Test(
    "another validator and an overlap that differs: all of it is dropped and fetched, and readers see no error",
    arguments: 0..<4)
  func comparedDifferent(at overlap: Int) {
    var bench = PlanBench(size: 10 * mib, left: Self.left)
    let waiter = bench.read(0, 10 * mib)
    bench.checkAll()
    bench.answer(isSame: false)
    for index in 0...overlap { bench.endProbe(isEqual: index < overlap) }
    #expect(bench.unpinned == 1 && bench.marked.isEmpty)
    bench.drain()
    #expect(bench.woken == [waiter] && bench.failed.isEmpty && bench.reports.isEmpty)
    #expect(bench.started.reduce(0) { $0 + $1.range.count } == 10 * mib)
    bench.check()
  }

  @Test("of many extents the largest are compared, and a short one in one piece; the rest is fetched")
  func manyExtents() {
    var left: [ByteRange] = (0..<20).map { ByteRange($0 * 4 * mib, $0 * 4 * mib + 64 * kib) }
    left[7].end += 64 * kib
    for index in [3, 11, 19] { left[index].end += mib }
    var bench = PlanBench(size: 100 * mib, left: left)
    bench.fill()
    bench.answer(isSame: false)
    bench.checkAll()
    while !bench.probes.isEmpty, bench.plan.version.isLeft { bench.endProbe() }
    #expect(bench.probes.count == 1 + 3 * 2 + 1)
    #expect(bench.plan.extents.ranges == [left[3], left[7], left[11], left[19]])
    #expect(bench.plan.heldCount == bench.plan.presentCount && bench.unpinned == 0)
    bench.drain()
    #expect(bench.plan.isComplete)
  }

  @Test("an origin that fails meanwhile is asked again by the normal rules; nothing is lost by it")
  func failing() {
    var bench = PlanBench(size: 10 * mib, left: Self.left) { $0.stallTimeout = .seconds(1000) }
    let waiter = bench.read(0, 4096)
    for error in [SourceFailure.unreachable("x"), .status(503, retryAfter: .seconds(3)), .status(500, retryAfter: nil)]
    {
      bench.fail(bench.latest, error)
      #expect(bench.running.isEmpty)
      bench.pass(.seconds(15))
      #expect(bench.probes.last?.range == ByteRange(0, 1) && bench.running.count == 1)
    }
    bench.fail(bench.latest, .status(403, retryAfter: nil))
    #expect(bench.links == 2 && bench.running.count == 1)
    bench.answer(isSame: false)
    bench.checkAll()
    let probes = bench.probes.count
    bench.fail(bench.latest, .short(received: 5, expected: 6))
    bench.pass(.seconds(15))
    #expect(bench.probes.count == probes + 1 && bench.probes.last?.range == bench.probes[probes - 1].range)
    while bench.plan.version.isLeft { bench.endProbe() }
    #expect(bench.woken == [waiter] && bench.failed.isEmpty && bench.started.isEmpty)
  }

  @Test("a link that is refused for good is an error for who waits; the next read asks once more")
  func refused() {
    var bench = PlanBench(size: 10 * mib, left: Self.left)
    let first = bench.read(0, 4096)
    for _ in 0..<4 {
      bench.fail(bench.latest, .status(403, retryAfter: nil))
      bench.pass(.seconds(20))
    }
    #expect(bench.failed[first] == .io && bench.running.isEmpty)
    let second = bench.read(0, 4096)
    bench.pass(.seconds(1))
    bench.answer(isSame: true)
    bench.checkAll()
    #expect(bench.woken == [second])
  }

  @Test("an origin that answers wrongly twice cannot be asked: what there was is fetched again by what it does answer")
  func wrongAnswers() {
    var bench = PlanBench(size: 10 * mib, left: [ByteRange(8 * mib, 10 * mib)])
    let waiter = bench.read(9 * mib, 10 * mib)
    bench.fail(bench.latest, .wrongAnswer("from the start"))
    #expect(bench.links == 2, "it may have been the link")
    bench.pass(.seconds(1))
    bench.fail(bench.latest, .wrongAnswer("from the start"))
    #expect(bench.unpinned == 1 && bench.plan.heldCount == 0)
    bench.pass(.seconds(2))
    bench.drain()
    #expect(bench.woken == [waiter])
  }

  @Test("no progress for the stall timeout fails who waited, also for a proof; a check that takes long is no stall")
  func stall() {
    var bench = PlanBench(size: 10 * mib, left: Self.left)
    let waiter = bench.read(0, 4096)
    bench.act(bench.plan.tick(bench.now + .seconds(59), isBusy: true))
    bench.pass(.seconds(100))
    #expect(bench.failed.isEmpty)
    bench.pass(.seconds(61))
    #expect(bench.failed[waiter] == .io)
  }

  @Test("a disk that fails while it is being proven ends the probe, which comes again")
  func diskFails() {
    var bench = PlanBench(size: 10 * mib, left: Self.left)
    let waiter = bench.read(0, 4096)
    let probe = bench.latest
    bench.act(bench.plan.writeFailed(.noSpace, "full", now: bench.now))
    #expect(bench.failed[waiter] == .noSpace && bench.cancelled == [probe])
    let again = bench.read(0, 4096)
    bench.pass(.seconds(1))
    bench.answer(isSame: true)
    bench.checkAll()
    #expect(bench.woken == [again])
  }

  @Test("bytes that were vouched for all the time are there at once, and what is missing is fetched")
  func takenUp() {
    var bench = PlanBench(size: 10 * mib)
    bench.plan.begin(present: RangeSet(Self.left))
    #expect(bench.read(0, 4 * mib) == 1 && bench.woken == [1] && bench.links == 0)
    let waiter = bench.read(4 * mib - 5, 8 * mib + 5)
    bench.drain()
    #expect(bench.woken == [1, waiter] && bench.plan.isComplete && bench.probes.isEmpty)
    #expect(bench.started.reduce(0) { $0 + $1.range.count } == 4 * mib)
    bench.check()
  }
}
