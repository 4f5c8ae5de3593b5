import Core
import Testing
import Transfer

@testable import Store

@Suite("Fetch plan: failures")
struct FailureTests {
  static let reset = TransferError.unreachable("reset")

  @Test("back-off doubles from half a second to fifteen, with at most a quarter more, and begins anew after progress")
  func backoff() {
    var bench = PlanBench(size: 100 * mib) { $0.stallTimeout = .seconds(10_000) }
    bench.read(0, 4096)
    for expected in [0.5, 1, 2, 4, 8, 15, 15, 15] {
      bench.fail(bench.latest, Self.reset)
      let delay = (bench.plan.notBefore - bench.now).seconds
      #expect(delay >= expected && delay <= min(15, expected * 1.25))
      #expect(bench.running.isEmpty)
      #expect(bench.plan.deadline(bench.now) == bench.plan.notBefore)
      bench.pass(bench.plan.notBefore - bench.now)
      #expect(bench.running.count == 1)
    }
    let id = bench.latest
    bench.receive(id, upTo: 1000)
    bench.fail(id, .short(received: 1000, expected: mib))
    #expect((bench.plan.notBefore - bench.now).seconds < 0.7)
    bench.pass(.seconds(1))
    #expect(bench.started.last?.range.start == 1000)
  }

  @Test("several ranges that fail together are one failure")
  func burst() {
    var bench = PlanBench(size: 1000 * mib)
    for index in 0..<8 { bench.read(Int64(index) * 100 * mib, Int64(index) * 100 * mib + 4096) }
    #expect(bench.running.count == 8)
    for id in bench.running.keys.sorted() { bench.fail(id, Self.reset) }
    #expect(bench.plan.failures == 1)
    #expect((bench.plan.notBefore - bench.now).seconds < 0.7)
  }

  @Test("Retry-After is honoured, up to a minute", arguments: [(2, 2.0), (30, 30.0), (3600, 60.0)])
  func retryAfter(named: Int, expected: Double) {
    var bench = PlanBench(size: 100 * mib)
    let waiter = bench.read(0, 4096)
    bench.fail(1, .status(429, retryAfter: .seconds(named)))
    #expect((bench.plan.notBefore - bench.now).seconds == expected)
    bench.pass(.seconds(expected))
    #expect(bench.running.count == 1 && bench.failed[waiter] == nil)
  }

  @Test("an origin that refuses more connections gets fewer, and demand takes one from the filler")
  func tooManyConnections() {
    var bench = PlanBench(size: 1000 * mib) {
      $0.fillersAtStart = 2; $0.fillersLimit = 2
    }
    bench.fill()
    let waiter = bench.read(900 * mib, 900 * mib + 4096)
    let demand = bench.running(from: 900 * mib)
    bench.fail(demand, .status(503, retryAfter: nil))
    #expect(bench.plan.connectionCap == 2)
    bench.pass(.seconds(1))
    #expect(bench.cancelled.count == 1 && bench.running.count == 2)
    bench.finish(bench.running(from: 900 * mib))
    #expect(bench.woken == [waiter])
    for _ in 0..<20 { bench.pass(.seconds(10)) }
    #expect(bench.plan.connectionCap == 16)
  }

  @Test(
    "a link that expires in the middle is replaced once for all ranges, which go on at their first missing byte",
    arguments: [401, 403, 404, 410])
  func linkExpires(code: Int) {
    var bench = PlanBench(size: 1000 * mib)
    for index in 0..<4 { bench.read(Int64(index) * 100 * mib, Int64(index) * 100 * mib + mib) }
    for id in 1...4 { bench.receive(id, upTo: Int64(id - 1) * 100 * mib + 5000) }
    bench.hasLink = false
    for id in 1...4 { bench.fail(id, .status(code, retryAfter: nil)) }
    #expect(bench.links == 2 && bench.running.isEmpty)
    bench.linkReady()
    #expect(bench.running.values.map(\.start).sorted() == (0..<4).map { Int64($0) * 100 * mib + 5000 })
    bench.hasLink = true
    bench.drain()
    #expect(bench.woken.sorted() == [1, 2, 3, 4] && bench.links == 2)
  }

  @Test("a range that fails late under a link already replaced goes on under the new one, and mints none")
  func lateUnderOldLink() {
    var bench = PlanBench(size: 1000 * mib)
    bench.read(0, mib)
    bench.read(500 * mib, 501 * mib)
    bench.fail(1, .status(403, retryAfter: nil))
    bench.fail(2, .status(403, retryAfter: nil))
    #expect(bench.links == 2 && bench.running.count == 2 && bench.failed.isEmpty)
    bench.drain()
    #expect(bench.woken.sorted() == [1, 2])
  }

  @Test("link after link refused without progress in between is final for those who wait, and forgotten for the next")
  func linksRefused() {
    var bench = PlanBench(size: 100 * mib)
    bench.fill()
    let first = bench.read(0, 4096)
    for _ in 0..<8 where bench.failed[first] == nil {
      while let id = bench.running.keys.min() { bench.fail(id, .status(403, retryAfter: nil)) }
      bench.pass(.seconds(20))
    }
    #expect(bench.failed[first] == .io && bench.links == 4)
    #expect(bench.reports.last == "the origin answered with status 403")
    bench.pass(.seconds(3600))
    #expect(bench.running.isEmpty)
    let second = bench.read(0, 4096)
    bench.pass(.seconds(1))
    bench.drain()
    #expect(bench.woken == [second] && bench.reports.last == .some(nil))
  }

  @Test("a progress between two expiries makes each the first")
  func linkExpiresAgain() {
    var bench = PlanBench(size: 100 * mib)
    let waiter = bench.read(0, 10 * mib)
    for turn in 1...5 {
      let id = bench.latest
      bench.receive(id, upTo: Int64(turn) * mib)
      bench.fail(id, .status(403, retryAfter: nil))
    }
    bench.drain()
    #expect(bench.woken == [waiter] && bench.links == 6)
  }

  @Test("wrong answers get a few tries, one of them with a new link, and are then final")
  func wrongAnswers() {
    var bench = PlanBench(size: 100 * mib)
    let waiter = bench.read(0, 4096)
    var tries = 0
    while bench.failed[waiter] == nil, tries < 20 {
      guard let id = bench.running.keys.max() else {
        bench.pass(.seconds(1))
        continue
      }
      bench.fail(id, .wrongAnswer("a web page"))
      tries += 1
    }
    #expect(tries == 4 && bench.links == 2 && bench.failed[waiter] == .io)
    #expect(bench.reports.last == "the origin's answer is not the file: a web page")
  }

  @Test(
    "a wrong size and a changed source fail the file for good; what is there stays readable",
    arguments: [TransferError.sourceChanged, .sizeDiffers(expected: 1, found: 2)])
  func forGood(error: TransferError) {
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, mib)
    bench.drain()
    bench.fill()
    let waiting = bench.read(50 * mib, 51 * mib)
    bench.fail(bench.earliest, error)
    #expect(bench.failed[waiting] == .io && bench.running.isEmpty)
    let later = bench.read(60 * mib, 61 * mib)
    let there = bench.read(0, mib)
    #expect(bench.failed[later] == .io && bench.woken.contains(there))
    bench.pass(.seconds(1000))
    #expect(bench.running.isEmpty && bench.links == 1)
  }

  @Test("no progress for the stall timeout fails who waited so long, nobody else, and a slow transfer never")
  func stall() {
    var bench = PlanBench(size: 100 * mib) { $0.stallTimeout = .seconds(60) }
    let first = bench.read(0, mib)
    for byte in 1...20 {
      bench.pass(.seconds(50))
      bench.receive(1, upTo: Int64(byte))
    }
    #expect(bench.failed.isEmpty)
    bench.pass(.seconds(30))
    let second = bench.read(0, 100)
    bench.pass(.seconds(31))
    #expect(bench.failed == [first: .io])
    bench.pass(.seconds(30))
    #expect(bench.failed == [first: .io, second: .io])
    #expect(bench.reports.count == 2)
    let third = bench.read(0, 100)
    bench.drain()
    #expect(bench.woken == [third])
    #expect(bench.reports.last == .some(nil))
  }

  @Test("a disk that stands still is no stall of the origin")
  func slowDisk() {
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, mib)
    for _ in 0..<10 {
      bench.now = bench.now + .seconds(59)
      bench.act(bench.plan.tick(bench.now, isBusy: true))
    }
    #expect(bench.failed.isEmpty)
  }

  @Test("a body that ends early without an error is a failure, and resumed")
  func silentEnd() {
    var bench = PlanBench(size: mib)
    let waiter = bench.read(0, mib)
    bench.receive(1, upTo: 1000)
    bench.running[1] = nil
    bench.act(bench.plan.ended(1, error: nil, now: bench.now))
    #expect(bench.woken.isEmpty && bench.plan.failures == 1)
    bench.pass(.seconds(1))
    #expect(bench.started.last?.range.start == 1000)
    bench.drain()
    #expect(bench.woken == [waiter])
  }

  @Test("an origin that sends the whole object for a part from 0 is fetched whole, once")
  func wholeFromStart() {
    var bench = PlanBench(size: 10 * mib)
    let head = bench.read(0, 4096)
    let tail = bench.read(9 * mib, 10 * mib)
    bench.act(bench.plan.began(1, isWhole: true, now: bench.now))
    #expect(bench.running.count == 1 && bench.cancelled == [2])
    bench.receive(1, upTo: 10 * mib)
    bench.act(bench.plan.ended(1, error: nil, now: bench.now))
    #expect(bench.woken == [head, tail] && bench.plan.isComplete)
    bench.check()
  }

  @Test("an origin that sends the whole object for a part from the middle is found out by asking from 0")
  func wholeFromMiddle() {
    var bench = PlanBench(size: 10 * mib)
    let tail = bench.read(9 * mib, 10 * mib)
    bench.fail(1, .wrongAnswer("from the start"))
    #expect(bench.running.count == 1 && bench.started.last?.range.start == 0)
    let id = bench.latest
    bench.act(bench.plan.began(id, isWhole: true, now: bench.now))
    bench.receive(id, upTo: 4 * mib)
    bench.fail(id, .short(received: 4 * mib, expected: 10 * mib))
    bench.pass(.seconds(1))
    #expect(bench.started.last?.range == ByteRange(0, 10 * mib))
    bench.check()
    bench.drain()
    #expect(bench.woken == [tail] && bench.plan.isComplete && bench.links == 1)
  }

  @Test("a whole object that never gets further than before is given up")
  func wholeNeverGrows() {
    var bench = PlanBench(size: 10 * mib) { $0.stallTimeout = .seconds(100_000) }
    bench.read(0, mib)
    bench.act(bench.plan.began(1, isWhole: true, now: bench.now))
    let waiter = bench.read(9 * mib, 10 * mib)
    var tries = 0
    while bench.failed[waiter] == nil, tries < 100 {
      guard let id = bench.running.keys.max() else {
        bench.pass(.seconds(16))
        continue
      }
      tries += 1
      bench.receive(id, upTo: 3 * mib)
      bench.fail(id, .short(received: 3 * mib, expected: 10 * mib))
    }
    #expect(tries < 10 && bench.failed[waiter] == .io)
  }

  @Test("another validator under a new link is compared before a byte is mixed in", arguments: [true, false])
  func comparison(isEqual: Bool) {
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, mib)
    bench.drain()
    let waiter = bench.read(mib, 2 * mib)
    let id = bench.latest
    bench.running[id] = nil
    bench.act(bench.plan.needsComparison(id))
    #expect(bench.probes.map(\.range) == [ByteRange(mib - 64 * kib, mib)])
    #expect(bench.running.count == 1)
    let probe = bench.probes[0].id
    bench.running[probe] = nil
    bench.act(bench.plan.ended(probe, error: nil, now: bench.now))
    #expect(bench.running.isEmpty)
    bench.act(bench.plan.compared(isEqual: isEqual))
    bench.drain()
    #expect(isEqual ? bench.woken.contains(waiter) : bench.failed[waiter] == .io)
  }

  @Test("a comparison that fails on the way is tried again")
  func comparisonRetried() {
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, mib)
    bench.drain()
    bench.read(mib, 2 * mib)
    let id = bench.latest
    bench.running[id] = nil
    bench.act(bench.plan.needsComparison(id))
    bench.fail(bench.probes[0].id, Self.reset)
    bench.pass(.seconds(1))
    #expect(bench.probes.count == 2)
  }

  @Test("a link that cannot be had is asked for again after a pause, or is final")
  func linkFails() {
    var bench = PlanBench(size: 100 * mib)
    bench.hasLink = false
    let first = bench.read(0, 4096)
    bench.act(bench.plan.linkFailed(.unreachable("no route"), now: bench.now))
    bench.read(0, 4096)
    #expect(bench.links == 1)
    bench.pass(.seconds(1))
    #expect(bench.links == 2 && bench.failed.isEmpty)
    bench.act(bench.plan.linkFailed(.refused("The file is gone."), now: bench.now))
    #expect(bench.failed[first] == .io && bench.reports.last == "The file is gone.")
  }

  @Test("a full disk is told as such to who waits; the next read tries again")
  func diskFull() {
    var bench = PlanBench(size: 100 * mib)
    bench.fill()
    let waiter = bench.read(0, 4096)
    bench.act(bench.plan.writeFailed(.noSpace, "the folder is full", now: bench.now))
    #expect(bench.failed[waiter] == .noSpace && bench.running.isEmpty && bench.reports.last == "the folder is full")
    bench.pass(.seconds(10))
    #expect(bench.running.isEmpty)
    let later = bench.read(0, 4096)
    bench.pass(.seconds(1))
    bench.drain()
    #expect(bench.woken == [later])
  }
}

@Suite("Validators")
struct SourcePinTests {
  @Test("the same link keeps its validator; a new one with another is compared, unless there is nothing to mix")
  func table() {
    let (a, b, none) = (Validator(etag: "\"a\""), Validator(etag: "\"b\""), Validator())
    var pin = SourcePin()
    #expect(pin.judge(a, generation: 1, hasBytes: false) == .same)
    #expect(pin.judge(a, generation: 1, hasBytes: true) == .same)
    #expect(pin.judge(b, generation: 1, hasBytes: true) == .changed)
    #expect(pin.judge(none, generation: 1, hasBytes: true) == .changed)
    #expect(pin.judge(a, generation: 2, hasBytes: true) == .same)
    #expect(pin.judge(b, generation: 3, hasBytes: true) == .compare)
    #expect(pin.judge(b, generation: 3, hasBytes: true) == .compare)
    pin.judgeProbe(b, generation: 3)
    pin.comparedEqual()
    #expect(pin.judge(b, generation: 3, hasBytes: true) == .same)
    #expect(pin.judge(a, generation: 2, hasBytes: true) == .same)
    #expect(pin.judge(Validator(etag: "\"c\""), generation: 3, hasBytes: true) == .changed)
    #expect(pin.judge(Validator(etag: "\"d\""), generation: 4, hasBytes: true) == .compare)
    let pinning = pin.pinning
    pin.hadNothingToCompare()
    #expect(pin.accepted == [Validator(etag: "\"d\"")] && pin.pinning == pinning + 1, "what it was not compared with vouches for nothing")
    var empty = SourcePin()
    #expect(empty.judge(none, generation: 1, hasBytes: false) == .same)
    #expect(empty.judge(none, generation: 1, hasBytes: true) == .same)
    #expect(empty.judge(none, generation: 2, hasBytes: true) == .compare)
    var fresh = SourcePin()
    #expect(fresh.judge(a, generation: 1, hasBytes: false) == .same)
    #expect(fresh.judge(b, generation: 2, hasBytes: false) == .same)
    #expect(fresh.judge(a, generation: 2, hasBytes: true) == .changed)
  }

  @Test("only a strong ETag of an earlier run is a proof, and all overlaps have to come under one validator")
  func earlier() {
    let (a, b) = (Validator(etag: "\"a\"", lastModified: "Mon"), Validator(etag: "\"b\"", lastModified: "Mon"))
    #expect(SourcePin.isSame(a, as: [b, a]) && SourcePin.isSame(Validator(etag: "\"a\""), as: [a]))
    for (new, old) in [
      (a, b), (Validator(lastModified: "Mon"), Validator(lastModified: "Mon")), (Validator(), Validator()), (b, Validator()),
    ] {
      #expect(!SourcePin.isSame(new, as: [old]))
    }
    #expect(!SourcePin.isSame(a, as: []))
    var pin = SourcePin()
    let verdicts = [pin.judgeOverlap(b, generation: 1), pin.judgeOverlap(b, generation: 2), pin.judgeOverlap(a, generation: 2)]
    #expect(verdicts == [true, true, false])
    pin.prove([a])
    #expect(pin.accepted == [a, b] && pin.pinning == 0)
    #expect(pin.judge(a, generation: 2, hasBytes: true) == .same && pin.judge(b, generation: 3, hasBytes: true) == .same)
    pin.forget()
    #expect(pin.judge(Validator(etag: "\"c\""), generation: 3, hasBytes: false) == .same && pin.pinning == 1)
    #expect(pin.accepted == [Validator(etag: "\"c\"")])
    var taken = SourcePin(earlier: [a])
    #expect(taken.judge(b, generation: 1, hasBytes: true) == .compare && taken.judge(a, generation: 1, hasBytes: true) == .same)
  }

  @Test("an equal strong ETag decides whatever the dates say; dates decide where an ETag is missing on one side")
  func agreement() {
    var pin = SourcePin()
    #expect(pin.judge(Validator(etag: "\"a\"", lastModified: "Mon"), generation: 1, hasBytes: false) == .same)
    #expect(pin.judge(Validator(etag: "\"a\"", lastModified: "Tue"), generation: 1, hasBytes: true) == .same)
    #expect(pin.judge(Validator(lastModified: "Mon"), generation: 1, hasBytes: true) == .same)
    #expect(pin.judge(Validator(lastModified: "Wed"), generation: 1, hasBytes: true) == .changed)
  }
}
