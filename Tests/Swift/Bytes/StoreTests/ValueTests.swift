import Core
import Testing

@testable import Store

private let start = Moment(nanoseconds: 1_000_000_000)

@Suite("Back-off")
struct BackoffValueTests {
  @Test("pauses double to the longest, a Retry-After is obeyed to its limit and excuses once, bytes begin anew")
  func table() {
    var backoff = Backoff(.init(), seed: 7)
    for expected in [0.5, 1, 2, 4, 8, 15, 15] {
      let end = backoff.failed(start)
      #expect(end == nil)
      let pause = (backoff.notBefore - start).seconds
      #expect(pause >= expected && pause <= min(15, expected * 1.25))
    }
    #expect(backoff.failures == 7 && backoff.epoch == 7)
    backoff.progressed(3, isNew: true)
    #expect(backoff.failures == 7, "bytes of a fetch from before the failure prove nothing")
    backoff.progressed(7, isNew: true)
    #expect(backoff.failures == 0)
    let asked = [backoff.failed(start, after: .seconds(300)), backoff.failed(start, after: .seconds(300))]
    #expect(asked == [start + .seconds(60), nil] && backoff.hasServerPause)
    #expect(backoff.isOver(start + .seconds(60)) && !backoff.isOver(start + .seconds(59)))
  }

  @Test("connections that are refused come back one by one")
  func cap() {
    var cap = ConnectionCap(limit: 4)
    cap.refused(others: 0, start)
    #expect(cap.count == 4 && cap.raise == nil)
    cap.refused(others: 2, start)
    for (second, count) in [(9, 2), (10, 3), (19, 3), (20, 4)] as [(Int, Int)] {
      cap.tick(start + .seconds(second))
      #expect(cap.count == count, "after \(second) s")
    }
    #expect(cap.raise == nil)
  }
}

@Suite("Demand")
struct DemandValueTests {
  @Test("only what begins where the last one ended is read ahead of, and the lift goes onwards")
  func extents() {
    var demand = Demand(steps: 100...800)
    let is18 = demand.extent(from: 0) == 0
    #expect(is18)
    for expected in [100, 200, 400, 800, 800] as [Int64] {
      demand.served(to: 1000, of: 5000)
      let is19 = demand.extent(from: 1000) == expected
      #expect(is19)
    }
    let is20 = demand.extent(from: 3000) == 0
    #expect(is20)
    #expect(demand.order(5000) == [ByteRange(1000, 5000), ByteRange(0, 1000)])
    demand.served(to: 5000, of: 5000)
    #expect(demand.order(5000) == [ByteRange(0, 5000), ByteRange(0, 0)])
  }

  @Test("those that saw no progress for the limit leave, nobody else")
  func stalled() {
    var demand = Demand(steps: 0...0)
    for (id, second) in [(1, 0), (2, 30)] {
      demand.add(.init(id: id, range: ByteRange(0, 10), since: start + .seconds(second), missing: 0))
    }
    let progress = start + .seconds(20)
    #expect(demand.stall(since: progress, limit: .seconds(60)) == start + .seconds(80))
    let is21 = demand.takeStalled(since: progress, limit: .seconds(60), start + .seconds(79)).isEmpty
    #expect(is21)
    let is22 = demand.takeStalled(since: progress, limit: .seconds(60), start + .seconds(80)).map(\.id) == [1]
    #expect(is22)
    let is23 = demand.takeAll().map(\.id) == [2] && demand.isEmpty
    #expect(is23)
  }
}

@Suite("Outcome")
struct OutcomeTests {
  @Test("an error told within the last second is repeated for the same bytes, then forgotten")
  func memory() {
    var outcome = Outcome()
    outcome.tell()
    outcome.remember([ByteRange(100, 200)], .io, start)
    let is24 = outcome.repeated(at: 150, start + .milliseconds(999)) == .io
    #expect(is24)
    let is25 = outcome.repeated(at: 99, start) == nil && outcome.repeated(at: 200, start) == nil
    #expect(is25)
    outcome.remember([ByteRange(300, 400)], .io, start + .milliseconds(500))
    let is26 = outcome.repeated(at: 150, start + .milliseconds(1400)) == .io
    #expect(is26)
    let is27 = outcome.repeated(at: 350, start + .milliseconds(1500)) == nil
    #expect(is27)
    let is28 = outcome.wrote() && !outcome.wrote()
    #expect(is28)
    outcome.halt()
    outcome.tell()
    let is29 = !outcome.wrote() && outcome.isHalted
    #expect(is29)
  }
}

@Suite("Silence")
struct SilenceValueTests {
  private func heard(gaps: [Duration], isFirst: Bool = false) -> (Silence, Moment) {
    var silence = Silence(.init())
    var now = start
    for gap in gaps {
      now = now + gap
      silence.heard(ByteRange(0, 1), after: gap, isFirst: isFirst, now)
    }
    return (silence, now)
  }

  @Test(
    "what was quick is asked for once more after a second and a half, what takes its time after four times that, and never in a hurry twice"
  )
  func patience() {
    let (quick, now) = heard(gaps: [.milliseconds(10), .milliseconds(20)])
    #expect(quick.hedge(now, isFirst: false, hedged: nil) == now + .milliseconds(1500))
    #expect(quick.hedge(now, isFirst: true, hedged: nil) == now + .seconds(3), "no first bytes were seen")
    let (slow, later) = heard(gaps: [.milliseconds(10), .seconds(5)])
    #expect(slow.hedge(later, isFirst: false, hedged: nil) == later + .seconds(20))
    var tried = quick
    var waits: [Duration] = []
    for _ in 0..<4 {
      tried.hedged()
      waits.append(tried.hedge(now, isFirst: false, hedged: now) - now)
    }
    #expect(waits == [.seconds(3), .seconds(5), .seconds(5), .seconds(5)])
  }

  @Test("after the network changed, half a second is enough, whatever the pace was; not for what came since")
  func shaken() {
    var (slow, now) = heard(gaps: [.seconds(5)])
    slow.shaken(now + .seconds(1))
    #expect(slow.hedge(now, isFirst: false, hedged: nil) == now + .milliseconds(1500))
    slow.heard(ByteRange(0, 1), after: .seconds(2), isFirst: false, now + .seconds(2))
    #expect(slow.hedge(now, isFirst: false, hedged: nil) == now + .seconds(22))
  }

  @Test("a pace is forgotten after two minutes")
  func forgotten() {
    var (slow, now) = heard(gaps: [.seconds(5)])
    for _ in 0..<3 {
      now = now + .seconds(61)
      slow.heard(ByteRange(0, 1), after: .milliseconds(1), isFirst: false, now)
    }
    #expect(slow.hedge(now, isFirst: false, hedged: nil) == now + .milliseconds(1500))
  }
}
