import ByteSource
import Core
import Testing
import Transfer

@testable import Store

/// Each symptom was seen in use.
@Suite("Fetch plan: symptoms")
struct SymptomTests {
  @Test("an expired link answered with 400 breaks no upload", arguments: Array(400..<500) as [Int])
  func expired(status: Int) {
    guard ![408, 416, 425, 429].contains(status) else { return }
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, mib)
    bench.drain()
    bench.pass(.seconds(3600 * 6))
    let waiter = bench.read(mib, 10 * mib)
    bench.fail(bench.latest, .status(status, retryAfter: nil))
    #expect(bench.links == 2 && bench.running.values.map(\.start) == [mib], "one new link, at once")
    bench.drain()
    #expect(bench.woken.contains(waiter) && bench.reports.isEmpty)
  }

  @Test(
    "an answer that passes within stall_timeout ends no reader, be the link new or old",
    arguments: Array(100...599) as [Int], [false, true])
  func passing(status: Int, hasWorked: Bool) {
    let verdict = StatusVerdict(status: status)
    guard verdict != .bytes, verdict != .gone else { return }
    var bench = PlanBench(size: 100 * mib)
    if hasWorked {
      bench.read(50 * mib, 50 * mib + 4096)
      bench.drain()
    }
    let waiter = bench.read(0, 4096)
    let began = bench.now
    while bench.now - began < .seconds(8) {
      while let id = bench.running.keys.min() { bench.fail(id, .status(status, retryAfter: nil)) }
      bench.pass(.milliseconds(250))
    }
    #expect(bench.failed.isEmpty && bench.links <= 3, "\(status)")
    for _ in 0..<64 where !bench.woken.contains(waiter) {
      bench.drain()
      bench.pass(.milliseconds(250))
    }
    #expect(bench.woken.contains(waiter) && bench.now - began < .seconds(24), "\(status)")
  }

  @Test(
    "a link that is known everywhere only eight seconds after it was minted is waited for, not replaced by ever newer ones"
  )
  func notEverywhere() {
    var bench = PlanBench(size: 100 * mib)
    bench.hasLink = false
    var mintedAt = bench.now
    let waiter = bench.read(0, 4096)
    var seen = 0
    for _ in 0..<240 where !bench.woken.contains(waiter) {
      if bench.links > seen {
        seen = bench.links
        mintedAt = bench.now
        bench.linkReady()
      }
      while let id = bench.running.keys.min() {
        if bench.now - mintedAt >= .seconds(8) {
          bench.finish(id)
        } else {
          bench.fail(id, .status(404, retryAfter: nil))
        }
      }
      if bench.links == seen { bench.pass(.milliseconds(250)) }
    }
    #expect(bench.woken == [waiter] && bench.failed.isEmpty && bench.links <= 3)
  }

  @Test("a gone file is an error after one new link, not after a minute", arguments: [410, 451])
  func gone(status: Int) {
    var bench = PlanBench(size: 100 * mib)
    let waiter = bench.read(0, 4096)
    bench.fail(bench.latest, .status(status, retryAfter: nil))
    bench.fail(bench.latest, .status(status, retryAfter: nil))
    #expect(bench.failed[waiter] == nil && bench.links == 2, "one of several requests at once proves nothing")
    bench.pass(.seconds(2))
    bench.fail(bench.latest, .status(status, retryAfter: nil))
    #expect(bench.failed[waiter] == .io && bench.links == 2)
  }

  @Test(
    "a buffered reader whose kernel asks again waits stall_timeout once, and wrong answers cost their requests once")
  func asksAgain() {
    var bench = PlanBench(size: 100 * mib)
    let ahead = bench.read(0, 128 * kib)
    while bench.failed[ahead] == nil { bench.pass(.seconds(1)) }
    let told = bench.now
    let page = bench.read(0, 4096)
    #expect(bench.failed[page] == .io && bench.now == told, "at once")
    bench.pass(.milliseconds(999))
    let next = bench.read(4096, 8192)
    #expect(bench.failed[next] == .io)
    bench.pass(.milliseconds(1))
    let later = bench.read(0, 4096)
    #expect(bench.failed[later] == nil)
    bench.drain()
    #expect(bench.woken == [later])
    #expect(bench.reports.first??.contains("stall_timeout") == true)

    var wrong = PlanBench(size: 100 * mib)
    let first = wrong.read(0, 128 * kib)
    while wrong.failed[first] == nil {
      while let id = wrong.running.keys.min() { wrong.fail(id, .wrongAnswer("a web page")) }
      wrong.pass(.milliseconds(250))
    }
    let requests = wrong.started.count
    let again = wrong.read(0, 4096)
    #expect(wrong.failed[again] == .io && wrong.started.count == requests && requests == 5)
  }

  @Test(
    "the question at an open ends if the origin refuses it, and is no failure of the file",
    arguments: [403, 404, 410, 503])
  func refusedQuestion(status: Int) {
    var bench = PlanBench(size: 10 * mib)
    bench.read(0, 4096)
    bench.drain()
    bench.act(bench.plan.recheck(bench.now))
    for _ in 0..<2 where bench.rechecked.isEmpty { bench.fail(bench.latest, .status(status, retryAfter: nil)) }
    #expect(bench.rechecked == [false] && bench.reports.isEmpty && bench.changes.isEmpty)
    bench.pass(.seconds(15))
    let later = bench.read(mib, mib + 4096)
    bench.drain()
    #expect(bench.woken.contains(later))
  }

  @Test(
    "another length at an open is believed when the origin has said so by three answers, and one stray answer is none")
  func otherLengthAtAnOpen() {
    var bench = PlanBench(size: 10 * mib)
    bench.read(0, 4096)
    bench.drain()
    let links = bench.links
    bench.act(bench.plan.recheck(bench.now))
    for _ in 0..<2 {
      bench.fail(bench.latest, .sizeDiffers(expected: 10 * mib, found: 3 * mib))
      #expect(bench.rechecked.isEmpty && bench.changes.isEmpty)
      bench.pass(.milliseconds(300))
    }
    #expect(bench.links == links + 2, "by another link each time")
    bench.fail(bench.latest, .sizeDiffers(expected: 10 * mib, found: 3 * mib))
    #expect(bench.rechecked == [true] && bench.changes == [.otherLength(3 * mib)] && bench.reports.isEmpty)
  }

  @Test("a page in place of the file, in the middle of an upload, ends no reader before stall_timeout")
  func portal() {
    var bench = PlanBench(size: 100 * mib)
    bench.read(0, 4096)
    bench.drain()
    let waiter = bench.read(50 * mib, 50 * mib + 4096)
    for _ in 0..<120 {
      while let id = bench.running.keys.min() { bench.fail(id, .wrongAnswer("a web page")) }
      bench.pass(.milliseconds(250))
    }
    #expect(bench.failed.isEmpty)
    bench.pass(.seconds(15))
    bench.drain()
    #expect(bench.woken.contains(waiter))
  }

  @Test("a peek at head and tail costs what it reads, with the file open and after its close")
  func peek() {
    var bench = PlanBench(size: 1000 * mib) { $0.firstPart = 256 * kib }
    for _ in 0..<8 {
      bench.act(bench.plan.setFilling(.readers, now: bench.now))
      // The kernel asks for the parts of one read at once.
      bench.read(0, 128 * kib)
      bench.read(128 * kib, 256 * kib)
      bench.read(1000 * mib - 64 * kib, 1000 * mib)
      bench.drain()
      bench.pass(.seconds(1))
      bench.drain()
      bench.act(bench.plan.setFilling(.kept, now: bench.now))
      bench.pass(.seconds(5))
      bench.act(bench.plan.setFilling(.none, now: bench.now))
    }
    #expect(bench.plan.heldCount <= 320 * kib + mib, "\(bench.plan.heldCount)")
    #expect(!bench.started.contains { !$0.isDemand })
  }

  @Test("a reader that reads on soon has all of the file fetched before it, and nothing more once it has closed")
  func readsOn() {
    var bench = PlanBench(size: 1000 * mib) { $0.firstPart = 256 * kib }
    bench.act(bench.plan.setFilling(.readers, now: bench.now))
    #expect(bench.links == 1 && bench.started.isEmpty, "a link, and not a byte")
    bench.read(0, 128 * kib)
    bench.drain()
    bench.read(128 * kib, 256 * kib)
    #expect(bench.running.count == 2, "its own, and what the credit has beyond it")
    let ahead = bench.started.filter { !$0.isDemand }.map(\.range.end).max() ?? 0
    #expect(ahead <= 2 * mib, "in proportion to what it has read")
    bench.drain()
    bench.read(bench.plan.heldCount, bench.plan.heldCount + 128 * kib)
    for _ in 0..<8 {
      bench.read(bench.plan.heldCount, bench.plan.heldCount + mib)
      if let id = bench.running.keys.min() { bench.finish(id) }
    }
    for _ in 0..<20 { if let id = bench.running.keys.min() { bench.finish(id) } }
    #expect(bench.plan.heldCount > 20 * mib && bench.running.count >= 2)
    for id in bench.running.keys.sorted() { bench.receive(id, upTo: bench.range(id).start + 1000) }
    bench.act(bench.plan.setFilling(.kept, now: bench.now))
    #expect(bench.running.values.allSatisfy { $0.count <= 64 * kib }, "to the next block")
    let count = bench.started.count
    bench.drain()
    bench.act(bench.plan.setFilling(.readers, now: bench.now))
    bench.pass(.seconds(1))
    #expect(bench.started.count == count, "the next reader has to show anew that it reads on")
  }

  @Test("connections that all fall silent at once: what a reader waits for comes over a fresh one within three seconds")
  func allSilent() {
    var bench = PlanBench(size: 1000 * mib) { $0.fillersAtStart = 4 }
    bench.runsHedges = true
    bench.fill()
    for _ in 0..<20 {
      bench.pass(.milliseconds(50))
      for id in bench.running.keys.sorted() {
        bench.receive(id, upTo: bench.range(id).start + 4096 * Int64(bench.started.count))
      }
    }
    let frame = bench.plan.fetches.first?.position ?? 0
    let waiter = bench.read(frame, frame + 64 * kib)
    let (dead, silentAt) = (Set(bench.running.keys), bench.now)
    while !bench.woken.contains(waiter), bench.now - silentAt < .seconds(30) {
      bench.pass(.milliseconds(100))
      for id in bench.running.keys.sorted() where !dead.contains(id) {
        bench.receive(id, upTo: bench.range(id).start + 128 * kib)
      }
    }
    #expect(
      bench.woken.contains(waiter) && bench.now - silentAt <= .seconds(3), "after \((bench.now - silentAt).seconds) s")
    #expect(bench.hedges.count == 1 && dead.allSatisfy { bench.running[$0] == nil }, "the others are dead too")
    bench.check()
    bench.drain()
    #expect(bench.plan.isComplete && bench.failed.isEmpty)
  }

  @Test(
    "an origin that takes its time between bytes loses nothing by being asked once more, and is asked less and less")
  func slowButHealthy() {
    var bench = PlanBench(size: mib) { $0.stallTimeout = .seconds(600) }
    let waiter = bench.read(0, mib)
    for part in 1...20 as ClosedRange<Int64> {
      for _ in 0..<60 { bench.pass(.milliseconds(100)) }
      bench.receive(1, upTo: part * mib / 20)
      #expect(bench.plan.fetch(1) != nil && bench.cancelled.isEmpty)
    }
    #expect(bench.woken == [waiter] && bench.started.count == 1 && bench.hedges.count <= 4, "\(bench.hedges.count)")
  }

  @Test("after a suspend or a change of network the running connections are asked once more after half a second")
  func shaken() {
    var bench = PlanBench(size: 100 * mib)
    bench.runsHedges = true
    let waiter = bench.read(0, mib)
    bench.receive(1, upTo: 1000)
    bench.plan.shaken(bench.now)
    bench.pass(.milliseconds(400))
    #expect(bench.hedges.isEmpty)
    bench.pass(.milliseconds(100))
    #expect(bench.hedges.map(\.range) == [ByteRange(1000, mib)])
    bench.fail(1, .unreachable("reset"))
    #expect(bench.plan.backoff.failures == 0 && bench.running.count == 1, "the other one goes on")
    bench.finish(bench.latest)
    #expect(bench.woken == [waiter])
  }
}
