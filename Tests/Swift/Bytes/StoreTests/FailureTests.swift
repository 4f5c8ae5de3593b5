import ByteSource
import Core
import Testing

@testable import Store

@Suite("Fetch plan: failures")
struct FailureTests {
  static let reset = SourceFailure.unreachable("reset")

  @Test("back-off doubles from half a second to fifteen, with at most a quarter more, and begins anew after progress")
  func backoff() {
    var bench = PlanBench(size: 100 * mib) { $0.stallTimeout = .seconds(10_000) }
    bench.read(0, 4096)
    for expected in [0.5, 1, 2, 4, 8, 15, 15, 15] {
      bench.fail(bench.latest, Self.reset)
      let delay = (bench.plan.backoff.notBefore - bench.now).seconds
      #expect(delay >= expected && delay <= min(15, expected * 1.25))
      #expect(bench.running.isEmpty)
      #expect(bench.plan.deadline(bench.now) == bench.plan.backoff.notBefore)
      bench.pass(bench.plan.backoff.notBefore - bench.now)
      #expect(bench.running.count == 1)
    }
    let id = bench.latest
    bench.receive(id, upTo: 1000)
    bench.fail(id, .short(received: 1000, expected: mib))
    #expect((bench.plan.backoff.notBefore - bench.now).seconds < 0.7)
    bench.pass(.seconds(1))
    #expect(bench.started.last?.range.start == 1000)
  }

  @Test("several ranges that fail together are one failure")
  func burst() {
    var bench = PlanBench(size: 1000 * mib)
    for index in 0..<8 { bench.read(Int64(index) * 100 * mib, Int64(index) * 100 * mib + 4096) }
    #expect(bench.running.count == 8)
    for id in bench.running.keys.sorted() { bench.fail(id, Self.reset) }
    #expect(bench.plan.backoff.failures == 1)
    #expect((bench.plan.backoff.notBefore - bench.now).seconds < 0.7)
  }

  @Test("Retry-After is honoured, up to a minute", arguments: [(2, 2.0), (30, 30.0), (3600, 60.0)])
  func retryAfter(named: Int, expected: Double) {
    var bench = PlanBench(size: 100 * mib)
    let waiter = bench.read(0, 4096)
    bench.fail(1, .status(429, retryAfter: .seconds(named)))
    #expect((bench.plan.backoff.notBefore - bench.now).seconds == expected)
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
    #expect(bench.plan.cap.count == 2)
    bench.pass(.seconds(1))
    #expect(bench.cancelled.count == 1 && bench.running.count == 2)
    bench.finish(bench.running(from: 900 * mib))
    #expect(bench.woken == [waiter])
    for _ in 0..<20 { bench.pass(.seconds(10)) }
    #expect(bench.plan.cap.count == 16)
  }

  @Test(
    "a link that expires in the middle is replaced once for all ranges, which go on at their first missing byte",
    arguments: [400, 401, 402, 403, 404, 405, 409, 410, 418, 423, 451, 499])
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

  @Test(
    "link after link refused is an error for those who wait once stall_timeout is over, with few links minted, and forgotten for the next"
  )
  func linksRefused() {
    var bench = PlanBench(size: 100 * mib)
    let first = bench.read(0, 4096)
    var passed = 0
    while bench.failed[first] == nil, passed < 1000 {
      while let id = bench.running.keys.min() { bench.fail(id, .status(403, retryAfter: nil)) }
      bench.pass(.milliseconds(250))
      passed += 1
    }
    #expect(bench.failed[first] == .io && (230...260).contains(passed))
    #expect((3...6).contains(bench.links) && bench.started.count < 30)
    #expect(bench.reports.last??.contains("(the origin answered with status 403); the setting stall_timeout") == true)
    bench.drain()
    bench.pass(.seconds(3600))
    #expect(bench.running.isEmpty)
    let second = bench.read(0, 4096)
    bench.pass(.seconds(1))
    bench.drain()
    #expect(bench.woken.contains(second) && bench.reports.last == .some(nil))
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
    #expect(tries == 5 && bench.links == 2 && bench.failed[waiter] == .io)
    #expect(bench.reports.last == "the origin's answer is not the file: a web page")
  }

  @Test("one stray total in one answer does not make a file unreadable: the origin is asked again over a new link")
  func strayTotal() {
    var bench = PlanBench(size: 100 * mib)
    let waiting = bench.read(50 * mib, 51 * mib)
    bench.fail(bench.latest, .sizeDiffers(expected: 1, found: 2))
    #expect(bench.failed.isEmpty && bench.links == 2)
    bench.pass(.seconds(1))
    bench.drain()
    #expect(bench.woken == [waiting] && bench.reports.isEmpty && bench.changes.isEmpty)
  }

  @Test(
    "a total that three answers name is believed: readers get an error that names the remedy, and the next read asks again"
  )
  func otherTotal() {
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, mib)
    bench.drain()
    let waiting = bench.read(50 * mib, 51 * mib)
    for _ in 0..<3 {
      bench.fail(bench.latest, .sizeDiffers(expected: 1, found: 2))
      bench.pass(.seconds(2))
    }
    #expect(bench.failed[waiting] == .io && bench.running.isEmpty && bench.changes == [.otherLength(2)])
    #expect(bench.reports.last??.contains("fsmvp unstage") == true)
    let there = bench.read(0, mib)
    #expect(bench.woken.contains(there))
    let later = bench.read(60 * mib, 61 * mib)
    bench.pass(.seconds(1))
    bench.fail(bench.latest, .sizeDiffers(expected: 1, found: 2))
    #expect(bench.failed[later] == .io, "what was believed needs one answer")
    // An error that was told is repeated for a second; then the next read asks.
    bench.pass(.seconds(1))
    let last = bench.read(60 * mib, 61 * mib)
    bench.pass(.seconds(1))
    bench.drain()
    #expect(bench.woken.contains(last) && bench.reports.last == .some(nil))
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
    bench.pass(.seconds(1))
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
    #expect(bench.woken.isEmpty && bench.plan.backoff.failures == 1)
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

  @Test(
    "an answer under another validator is held back until bytes that are here, fetched once more, compared equal",
    arguments: [true, false])
  func comparison(isEqual: Bool) {
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, mib)
    bench.take(bench.plan.headCame(bench.latest, PlanBench.earlier, isWhole: false, now: bench.now).gain)
    bench.drain()
    let waiter = bench.read(mib, 2 * mib)
    for turn in 0..<(isEqual ? 1 : SourceVersion.contradictionLimit) {
      let id = bench.latest
      #expect(bench.plan.headCame(id, Validator(), isWhole: false, now: bench.now).goesOn && bench.plan.isHeld(id))
      bench.act([])
      #expect(bench.probes.last?.range == ByteRange(mib - 64 * kib, mib) && bench.running.count == 2)
      let probe = bench.latest
      bench.running[probe] = nil
      bench.take(bench.plan.headCame(probe, Validator(), isWhole: false, now: bench.now).gain)
      bench.act(bench.plan.ended(probe, error: nil, now: bench.now))
      #expect(bench.released.isEmpty)
      bench.take(bench.plan.compared(isEqual: isEqual, now: bench.now))
      #expect(isEqual ? bench.released == [id] : bench.cancelled.last == id)
      if turn == 0 { #expect(bench.links == (isEqual ? 1 : 2) && bench.failed.isEmpty) }
      if turn == 0, !isEqual { bench.pass(.seconds(1)) }
    }
    bench.drain()
    #expect(isEqual ? bench.woken.contains(waiter) : bench.failed[waiter] == .io && bench.changes == [.refused])
    let there = bench.read(0, mib)
    #expect(bench.woken.contains(there))
  }

  @Test("a comparison that fails on the way is tried again")
  func comparisonRetried() {
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, mib)
    bench.take(bench.plan.headCame(bench.latest, PlanBench.earlier, isWhole: false, now: bench.now).gain)
    bench.drain()
    bench.read(mib, 2 * mib)
    bench.take(bench.plan.headCame(bench.latest, PlanBench.other, isWhole: false, now: bench.now).gain)
    bench.fail(bench.probes[0].id, Self.reset)
    bench.pass(.seconds(1))
    #expect(bench.probes.count == 2)
  }

  @Test("a link that cannot be had is asked for again after a pause, or is final")
  func linkFails() {
    var bench = PlanBench(size: 100 * mib)
    bench.hasLink = false
    let first = bench.read(0, 4096)
    bench.act(bench.plan.accessFailed(.unreachable("no route"), now: bench.now))
    bench.read(0, 4096)
    #expect(bench.links == 1)
    bench.pass(.seconds(1))
    #expect(bench.links == 2 && bench.failed.isEmpty)
    bench.act(bench.plan.accessFailed(.refused("The credentials are wrong."), now: bench.now))
    #expect(bench.failed.isEmpty)
    bench.act(bench.plan.accessFailed(.notThere("The file is gone."), now: bench.now))
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
