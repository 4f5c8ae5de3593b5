import ByteSource
import Core
import Testing
import Transfer

@testable import Store

/// A request beside a silent one, and answers of two versions.
@Suite("Fetch plan: two requests for the same bytes")
struct HedgeVersionTests {
  static let (a, b) = (Validator(etag: "\"a\""), Validator(etag: "\"b\""))

  /// Request 1 is silent, and the one that `hedge` is was begun beside it.
  static func hedged(_ bench: inout PlanBench, _ range: ByteRange = ByteRange(0, mib)) -> (silent: Int, hedge: Int) {
    bench.runsHedges = true
    bench.read(range.start, range.end)
    let silent = bench.latest
    while bench.hedges.isEmpty { bench.pass(.milliseconds(500)) }
    return (silent, bench.hedges[0].id)
  }

  @discardableResult
  static func head(_ bench: inout PlanBench, _ id: Int, _ validator: Validator) -> Bool {
    let (goesOn, gain) = bench.plan.headCame(id, validator, isWhole: false, now: bench.now)
    bench.act(gain.actions)
    return goesOn
  }

  @Test("a hedge whose answer has to be compared takes the place of the silent request, and its bytes are used then")
  func hedgeToCompare() {
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, 4096)
    let first = bench.latest
    Self.head(&bench, first, Validator(lastModified: "then"))
    bench.finish(first)
    let (silent, hedge) = Self.hedged(&bench, ByteRange(50 * mib, 51 * mib))
    #expect(Self.head(&bench, hedge, Validator(lastModified: "then")) && bench.plan.isHeld(hedge))
    #expect(bench.plan.fetch(silent) == nil && bench.running[silent] == nil)
    let probe = bench.probes[0]
    Self.head(&bench, probe.id, Validator(lastModified: "then"))
    bench.running[probe.id] = nil
    bench.act(bench.plan.ended(probe.id, error: nil, now: bench.now))
    bench.act(bench.plan.compared(isEqual: true, now: bench.now).actions)
    #expect(bench.released == [hedge] && !bench.plan.isHeld(hedge))
  }

  @Test("a comparison whose request brings nothing is asked for again on a fresh connection, each time later")
  func silentProbe() {
    var bench = PlanBench(size: 100 * mib) { $0.stallTimeout = .seconds(600) }
    bench.read(0, 4096)
    let first = bench.latest
    Self.head(&bench, first, Self.a)
    bench.finish(first)
    bench.read(50 * mib, 51 * mib)
    Self.head(&bench, bench.running(from: 50 * mib), Self.b)
    var times: [Duration] = []
    let began = bench.now
    while bench.now - began < .seconds(60) {
      let count = bench.probes.count
      bench.pass(.milliseconds(100))
      if bench.probes.count > count { times.append(bench.now - began) }
    }
    #expect((2...5).contains(times.count) && times[0] <= .seconds(3), "\(times)")
    #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 > $0 }, "\(times)")
    #expect(bench.running.keys.filter { id in bench.probes.contains { $0.id == id } }.count == 1)
  }

  @Test("a comparison that brings bytes, however slowly, is waited for, and is no stall")
  func slowProbe() {
    var bench = PlanBench(size: 100 * mib) { $0.stallTimeout = .seconds(10) }
    bench.read(0, 4096)
    let first = bench.latest
    Self.head(&bench, first, Self.a)
    bench.finish(first)
    bench.read(50 * mib, 51 * mib)
    Self.head(&bench, bench.running(from: 50 * mib), Self.b)
    for _ in 0..<60 {
      bench.pass(.seconds(1))
      bench.plan.probeReceived(bench.now)
    }
    #expect(bench.probes.count == 1 && bench.failed.isEmpty)
  }

  @Test(
    "a reader across the place at which a connection fell silent has the rest asked for, though its first bytes came")
  func straddle() {
    var bench = PlanBench(size: 100 * mib)
    bench.runsHedges = true
    bench.read(0, mib)
    let silent = bench.latest
    Self.head(&bench, silent, Self.a)
    // Received, and not written yet.
    bench.plan.received(silent, upTo: 300 * kib, now: bench.now)
    bench.read(290 * kib, 400 * kib)
    for _ in 0..<40 { bench.pass(.milliseconds(100)) }
    #expect(bench.hedges.first?.range.start == 300 * kib)
  }

  @Test("a validator that is wholly new has all bytes compared, up to a limit; beyond it parts of all")
  func wideOverlaps() {
    for (here, isAll) in [(mib * 3, true), (mib * 80, false)] {
      var bench = PlanBench(size: 1000 * mib) { $0.readAheadLimit = 4 * mib }
      bench.plan.begin(
        present: RangeSet([ByteRange(0, here)]), validators: [Validator(etag: "\"a\"", lastModified: "then")])
      bench.read(900 * mib, 901 * mib)
      Self.head(&bench, bench.running(from: 900 * mib), Validator(etag: "\"b\"", lastModified: "now"))
      let overlaps = bench.plan.overlaps()
      let covered = overlaps.reduce(Int64(0)) { $0 + $1.count }
      #expect(isAll ? covered >= here : covered < here / 10 && overlaps.count >= 30, "\(overlaps.count) \(covered)")
      #expect(overlaps.allSatisfy { $0.count <= mib && $0.end <= here })
    }
  }

  @Test("the first accepted answer names the version, whichever of the two requests it is of")
  func versions() {
    var bench = PlanBench(size: 100 * mib)
    let (silent, hedge) = Self.hedged(&bench)
    #expect(Self.head(&bench, hedge, Self.b))
    #expect(!Self.head(&bench, silent, Self.a), "another version than the other one's bytes")
    bench.receive(hedge, upTo: mib)
    #expect(bench.plan.version.accepted == [Self.b] && bench.plan.extents.contains(ByteRange(0, mib)))
  }

  @Test("no third request's answer changes the version while an accepted one may still bring bytes")
  func third() {
    var bench = PlanBench(size: 100 * mib)
    let (_, hedge) = Self.hedged(&bench)
    #expect(Self.head(&bench, hedge, Self.b))
    bench.read(50 * mib, 51 * mib)
    let third = bench.running(from: 50 * mib)
    #expect(Self.head(&bench, third, Self.a) && bench.plan.isHeld(third))
    #expect(bench.plan.version.accepted == [Self.b])
  }

  /// Some bytes are here, and a request of another validator beside which another one was begun is held back.
  private func held(_ bench: inout PlanBench) -> (silent: Int, hedge: Int) {
    bench.read(0, 4096)
    let first = bench.latest
    Self.head(&bench, first, Self.a)
    bench.finish(first)
    let pair = Self.hedged(&bench, ByteRange(50 * mib, 51 * mib))
    Self.head(&bench, pair.silent, Self.b)
    #expect(bench.plan.isHeld(pair.silent))
    return pair
  }

  @Test("bytes of the second request come although the answer to the first was held back and then failed")
  func failedWhileHeld() {
    var bench = PlanBench(size: 100 * mib)
    let (silent, hedge) = held(&bench)
    bench.fail(silent, .unreachable("reset"))
    #expect(!bench.plan.isHeld(hedge) && bench.released == [hedge])
    #expect(Self.head(&bench, hedge, Self.a) && !bench.plan.isHeld(hedge))
    bench.finish(hedge)
    #expect(bench.plan.extents.contains(ByteRange(50 * mib, 51 * mib)))
  }

  @Test("a second answer of the right version is taken at once, and the first need not be compared")
  func rightWhileHeld() {
    var bench = PlanBench(size: 100 * mib)
    let (silent, hedge) = held(&bench)
    #expect(Self.head(&bench, hedge, Self.a) && !bench.plan.isHeld(hedge))
    #expect(bench.cancelled == [silent] && bench.plan.fetch(silent) == nil)
    bench.finish(hedge)
    #expect(bench.plan.extents.contains(ByteRange(50 * mib, 51 * mib)))
  }

  @Test("an answer that is held back for a comparison is not ended for its silence")
  func heldIsNotSilent() {
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, 4096)
    Self.head(&bench, 1, Self.a)
    bench.finish(1)
    let other = bench.read(20 * mib, 28 * mib)
    let flowing = bench.latest
    Self.head(&bench, flowing, Self.a)
    bench.read(50 * mib, 51 * mib)
    let held = bench.running(from: 50 * mib)
    Self.head(&bench, held, Self.b)
    #expect(bench.plan.isHeld(held))
    for part in 1...60 as ClosedRange<Int64> {
      bench.receive(flowing, upTo: 20 * mib + part * 4096)
      bench.pass(.milliseconds(200))
    }
    #expect(!bench.cancelled.contains(held) && bench.plan.fetch(held) != nil && !bench.woken.contains(other))
  }
}
