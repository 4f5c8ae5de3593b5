import Core
import Support
import Testing

@testable import Store

@Suite("Fetch plan: where readers are")
struct CursorTests {
  private func read(_ cursors: inout FetchCursors, _ start: Int64, _ end: Int64) -> FetchCursors.Cursor {
    cursors.read(ByteRange(start, end), held: RangeSet(), size: 4096 * mib)
  }

  @Test("the kernel's read-ahead in any order is one stream; a jump is a place of its own")
  func reordered() {
    var cursors = FetchCursors()
    for part in [0, 2, 1, 4, 3, 6, 5] as [Int64] { _ = read(&cursors, part * 128 * kib, (part + 1) * 128 * kib) }
    #expect(cursors.all.count == 1 && cursors.streams[0].isStream && cursors.streams[0].position == 7 * 128 * kib)
    #expect(!read(&cursors, 3000 * mib, 3000 * mib + 128 * kib).isStream)
    #expect(read(&cursors, 20 * mib, 20 * mib + 1).start == 20 * mib)
    #expect(cursors.all.count == 3 && cursors.streams.count == 1)
  }

  @Test("what is jumped over was not read, and a look further on is no reading on, however near it is")
  func looks() {
    var cursors = FetchCursors()
    var held = RangeSet()
    for frame in [0, 11, 4, 14, 23] as [Int64] {
      let cursor = cursors.read(ByteRange(frame * mib, frame * mib + 64 * kib), held: held, size: 4096 * mib)
      #expect(!cursor.isReadOn && !cursor.isStream && cursor.credit == 0)
      held.insert(ByteRange(frame * mib, frame * mib + 64 * kib))
    }
    let on = cursors.read(ByteRange(23 * mib + 64 * kib, 23 * mib + 128 * kib), held: held, size: 4096 * mib)
    #expect(on.isReadOn && on.credit.map { $0 < 2 * mib } == true)
  }

  @Test("what is present is passed unseen: the same stream, however far it has come")
  func passed() {
    var cursors = FetchCursors()
    let held = RangeSet([ByteRange(0, 900 * mib)])
    for start in [0, mib] { cursors.read(ByteRange(start, start + mib), held: held, size: 4096 * mib) }
    #expect(cursors.read(ByteRange(900 * mib, 901 * mib), held: held, size: 4096 * mib).start == 0)
    #expect(cursors.all.count == 1)
  }

  @Test("the place used longest ago is forgotten for a new one")
  func forgets() {
    var cursors = FetchCursors()
    for frame in 0..<9 as Range<Int64> {
      _ = read(&cursors, frame * 100 * mib, frame * 100 * mib + 1)
      if frame > 0 { _ = read(&cursors, mib, mib + 1) }
    }
    #expect(cursors.all.count == FetchCursors.limit)
    #expect(cursors.all.contains { $0.start == 0 } && !cursors.all.contains { $0.start == 100 * mib })
  }

  @Test("a probe of the tail neither moves the filler nor takes a stream from it")
  func probe() {
    var bench = PlanBench(size: 1000 * mib) { $0.fillersLimit = 2 }
    bench.read(0, 128 * kib)
    bench.fill()
    let before = bench.started.count
    bench.read(999 * mib, 999 * mib + 4096)
    #expect(bench.cancelled.isEmpty && bench.stopped.isEmpty)
    #expect(bench.started.count == before + 1 && bench.started.last?.range.start == 999 * mib)
    #expect(bench.plan.fetches.count(where: { !$0.isDemand }) == 2)
    // The filler goes on where the reader of the head is.
    for _ in 0..<4 { bench.finish(bench.plan.fetches.first { !$0.isDemand }?.id ?? 0) }
    #expect(bench.started.allSatisfy { $0.isDemand || $0.range.end < 200 * mib })
    bench.check()
  }

  @Test("whoever goes on reading after a jump has the filler before him; two who do share it")
  func jump() {
    var bench = PlanBench(size: 4096 * mib) { $0.fillersLimit = 2 }
    bench.read(0, 128 * kib)
    bench.fill()
    func stream(_ start: Int64) {
      for part in 0..<3 as Range<Int64> {
        bench.read(start + part * mib, start + part * mib + 128 * kib)
        for fetch in bench.plan.fetches where fetch.isDemand { bench.finish(fetch.id) }
      }
    }
    stream(2000 * mib)
    for _ in 0..<4 { bench.finish(bench.plan.fetches.first { !$0.isDemand }?.id ?? 0) }
    #expect(bench.plan.fetches.filter { !$0.isDemand }.allSatisfy { $0.start > 2000 * mib })
    stream(3000 * mib)
    for _ in 0..<8 { bench.finish(bench.plan.fetches.first { !$0.isDemand }?.id ?? 0) }
    let starts = bench.started.filter { !$0.isDemand }.suffix(6).map(\.range.start)
    #expect(starts.contains { $0 > 3000 * mib } && starts.contains { $0 < 3000 * mib })
    bench.check()
  }

  @Test("an origin that gives each connection so much is used by eight within two seconds")
  func ramps() {
    var tuner = StreamTuner(start: 2, limit: 16)
    var now = Moment(nanoseconds: 0)
    var waited = 0
    while tuner.streams < 8, waited < 400 {
      now = now + .milliseconds(10)
      waited += 1
      // The first bytes of a connection come after 80 ms.
      tuner.received(Int64(8 << 20) / 100 * Int64(tuner.streams), active: tuner.streams, now: now)
    }
    #expect(waited < 200)
  }

  @Test("a machine at its limit is not given more connections to serve")
  func fast() {
    var tuner = StreamTuner(start: 2, limit: 16)
    var now = Moment(nanoseconds: 0)
    var most = 0
    for _ in 0..<1000 {
      now = now + .milliseconds(10)
      tuner.received(10_000_000, active: tuner.streams, now: now)
      most = max(most, tuner.streams)
    }
    #expect(most <= 2)
  }
}

@Suite("Fetch plan: links that end, connections that fall silent")
struct RenewalTests {
  @Test("a link is replaced before it ends, once, and what is in flight goes on")
  func renews() {
    var bench = PlanBench(size: 100 * mib) { $0.stallTimeout = .seconds(6000) }
    bench.hasLink = false
    bench.read(0, mib)
    bench.act(bench.plan.accessReady(generation: 1, expires: bench.now + .seconds(600), now: bench.now))
    #expect(bench.links == 1 && bench.running.count == 1)
    bench.receive(1, upTo: 1000)
    bench.pass(.seconds(500))
    #expect(bench.links == 1)
    bench.receive(1, upTo: 2000)
    bench.pass(.seconds(41))
    bench.pass(.seconds(1))
    #expect(bench.links == 2 && bench.cancelled.isEmpty)
    bench.read(50 * mib, 51 * mib)
    #expect(bench.running.count == 2)
    bench.act(bench.plan.accessReady(generation: 2, expires: bench.now + .seconds(600), now: bench.now))
    #expect(bench.plan.generation == 2 && bench.running.count == 2)
  }

  @Test("links of a few seconds are replaced before they end", arguments: [2, 5, 16])
  func short(life: Int) {
    var bench = PlanBench(size: 100 * mib) { $0.stallTimeout = .seconds(6000) }
    bench.hasLink = false
    bench.read(0, mib)
    let end = bench.now + .seconds(life)
    bench.act(bench.plan.accessReady(generation: 1, expires: end, now: bench.now))
    while bench.links == 1, bench.now < end {
      bench.receive(1, upTo: 1000)
      bench.pass(.milliseconds(50))
    }
    #expect(bench.links == 2 && bench.now < end)
  }

  @Test("a service that gives no other link in time changes nothing while the old one works")
  func keeps() {
    var bench = PlanBench(size: 100 * mib) { $0.stallTimeout = .seconds(6000) }
    bench.hasLink = false
    let waiter = bench.read(0, mib)
    bench.act(bench.plan.accessReady(generation: 1, expires: bench.now + .seconds(100), now: bench.now))
    bench.receive(1, upTo: 1000)
    bench.pass(.seconds(50))
    bench.receive(1, upTo: 2000)
    bench.pass(.seconds(41))
    #expect(bench.links == 2)
    bench.act(bench.plan.accessFailed(.status(503, retryAfter: nil), now: bench.now))
    #expect(bench.plan.access.isReady && bench.failed.isEmpty)
    bench.finish(1)
    #expect(bench.woken == [waiter])
  }

  @Test("a link that ended while nobody read is not tried: the next reader's is another one")
  func ended() {
    var bench = PlanBench(size: 100 * mib)
    bench.hasLink = false
    bench.read(0, mib)
    bench.act(bench.plan.accessReady(generation: 1, expires: bench.now + .seconds(100), now: bench.now))
    bench.finish(1)
    bench.pass(.seconds(1000))
    #expect(bench.links == 1)
    bench.read(50 * mib, 51 * mib)
    #expect(bench.links == 2 && bench.running.isEmpty)
  }

  @Test("a link that is over at once by our clock is used, and not replaced at every read")
  func clockAhead() {
    var bench = PlanBench(size: 100 * mib)
    bench.hasLink = false
    bench.read(0, 4096)
    bench.act(bench.plan.accessReady(generation: 1, expires: bench.now + .seconds(1), now: bench.now))
    for frame in 1...12 as ClosedRange<Int64> {
      bench.pass(.seconds(1))
      let waiter = bench.read(frame * mib, frame * mib + 4096)
      bench.drain()
      #expect(bench.woken.contains(waiter))
    }
    #expect(bench.links == 1)
  }

  @Test("a silent connection that somebody waits for is replaced while another one brings bytes; all silent, it is not")
  func silent() {
    var bench = PlanBench(size: 100 * mib) { $0.stallTimeout = .seconds(600) }
    bench.read(0, mib)
    let waiter = bench.read(50 * mib, 51 * mib)
    bench.receive(1, upTo: 100)
    bench.receive(2, upTo: 50 * mib + 100)
    bench.pass(.seconds(20))
    #expect(bench.cancelled.isEmpty)
    bench.receive(1, upTo: 200)
    bench.pass(.milliseconds(500))
    #expect(bench.cancelled == [2])
    #expect(bench.running.values.contains { $0.start == 50 * mib + 100 })
    bench.drain()
    #expect(bench.woken.contains(waiter))
  }
}

@Suite("Fetch plan: waiters and connections that bring nothing")
struct SilenceTests {
  @Test("a place of the file that takes its time to begin is served while the filler goes on", arguments: [4, 9, 19])
  func slowFrame(seconds: Int) {
    var bench = PlanBench(size: 4096 * mib) { $0.fillersLimit = 1 }
    bench.read(0, 4096)
    bench.fill()
    let waiter = bench.read(3000 * mib, 3000 * mib + 4096)
    var began: [Int: Moment] = [:]
    var passed = 0
    while !bench.woken.contains(waiter), passed < 4 * 120 {
      bench.pass(.milliseconds(250))
      passed += 1
      for id in bench.running.keys.sorted() {
        guard bench.range(id).start >= 3000 * mib else {
          bench.receive(id, upTo: bench.plan.fetch(id).map { $0.position + 4096 } ?? 0)
          continue
        }
        let since = began[id, default: bench.now]
        began[id] = since
        if since + .seconds(seconds) <= bench.now { bench.finish(id) }
      }
    }
    #expect(bench.woken.contains(waiter) && bench.failed.isEmpty, "after \(passed / 4) s")
  }

  @Test(
    "a reader of what begins slowly gets its turn beside one of what comes at once, on one connection",
    arguments: [2, 5])
  func oneConnection(seconds: Int) {
    var bench = PlanBench(size: 4096 * mib) { $0.rangesPerFile = 1 }
    let slow = bench.read(3000 * mib, 3000 * mib + 4096)
    var quick: Int64 = 0
    bench.read(0, 4096)
    var began: [Int: Moment] = [:]
    var passed = 0
    while !bench.woken.contains(slow), passed < 4 * 120 {
      bench.pass(.milliseconds(250))
      passed += 1
      for id in bench.running.keys.sorted() {
        let since = began[id, default: bench.now]
        began[id] = since
        guard bench.range(id).start < 3000 * mib || since + .seconds(seconds) <= bench.now else { continue }
        bench.finish(id)
      }
      // The quick one reads on and on.
      if bench.plan.waiters.firstMissing(in: ByteRange(0, 2000 * mib)) == nil {
        quick += 8 * mib
        bench.read(quick, quick + 4096)
      }
    }
    #expect(bench.woken.contains(slow) && bench.failed.isEmpty, "after \(passed / 4) s")
  }

  @Test("a near reader has a connection though far ones hold all of them and get nothing")
  func near() {
    var bench = PlanBench(size: 4096 * mib) { $0.stallTimeout = .seconds(600) }
    for frame in 1...40 as ClosedRange<Int64> { bench.read(frame * 100 * mib, frame * 100 * mib + 4096) }
    #expect(bench.running.count == 16)
    let near = bench.read(0, 4096)
    // Only what is asked for at the head of the file comes.
    var passed = 0
    while !bench.woken.contains(near), passed < 100 {
      bench.pass(.milliseconds(250))
      passed += 1
      for id in bench.running.keys.sorted() where bench.range(id).start < 100 * mib { bench.finish(id) }
      bench.check()
    }
    #expect(bench.woken == [near] && bench.failed.isEmpty)
    #expect(bench.running.count == 16)
    for _ in 0..<20 { bench.drain() }
    #expect(bench.woken.count == 41)
  }

  @Test("an origin that is slow to begin serves more waiters than there are connections", arguments: [1, 2, 5])
  func slow(seconds: Int) {
    var bench = PlanBench(size: 4096 * mib) { $0.stallTimeout = .seconds(60) }
    var began: [Int: Moment] = [:]
    for frame in 1...40 as ClosedRange<Int64> { bench.read(frame * 100 * mib, frame * 100 * mib + 4096) }
    var passed = 0
    while bench.woken.count < 40, passed < 4 * 120 {
      bench.pass(.milliseconds(250))
      passed += 1
      for id in bench.running.keys.sorted() {
        let since = began[id, default: bench.now]
        began[id] = since
        if since + .seconds(seconds) <= bench.now { bench.finish(id) }
      }
    }
    #expect(bench.woken.count == 40 && bench.failed.isEmpty)
    #expect(bench.cancelled.count < 4 * 40)
  }
}

@Suite("Fetch plan: a window")
struct WindowPlanTests {
  private func bench(_ adjust: (inout FetchPlan.Settings) -> Void = { _ in }) -> PlanBench {
    PlanBench(size: 1000 * mib, blockSize: 256 * kib) { settings in
      settings = FetchPlan.Settings.window(size: settings.size, blockSize: settings.blockSize)
      adjust(&settings)
    }
  }

  @Test("a place that nobody reads on from costs what was asked for, to the page")
  func exact() {
    var bench = bench()
    bench.fill()
    for frame in 1...20 as ClosedRange<Int64> { bench.read(frame * 40 * mib + 5000, frame * 40 * mib + 6000) }
    bench.drain()
    #expect(bench.started.allSatisfy { $0.range.count == 4096 && $0.isDemand })
  }

  @Test("who reads on and on has more and more fetched ahead, never more than its credit")
  func ahead() {
    var bench = bench()
    bench.fill()
    var most: Int64 = 0
    for part in 0..<2000 as Range<Int64> {
      let range = ByteRange(part * 128 * kib, (part + 1) * 128 * kib)
      if bench.plan.extents.contains(range) { bench.plan.touched(range) } else { bench.read(range.start, range.end) }
      bench.act([])
      bench.drain()
      let ahead = bench.plan.speculation.unreadCount
      #expect(ahead <= mib + bench.plan.speculation.readCount / 8)
      most = max(most, ahead)
      bench.check()
    }
    #expect(most > 16 * mib)
    #expect(bench.started.count(where: \.isDemand) < 20)
  }

  @Test("no part ahead of a reader is longer than it may be", arguments: [256 * kib, 512 * kib, 3 * mib])
  func parts(limit: Int64) {
    var bench = bench { $0.partLimit = limit }
    bench.fill()
    for part in 0..<1000 as Range<Int64> {
      let range = ByteRange(part * 128 * kib + 777, (part + 1) * 128 * kib + 777)
      if bench.plan.extents.contains(range) { bench.plan.touched(range) } else { bench.read(range.start, range.end) }
      bench.act([])
      bench.drain()
    }
    let ahead = bench.started.filter { !$0.isDemand }.map(\.range.count)
    #expect(ahead.count > 20 && ahead.allSatisfy { $0 <= limit })
  }

  @Test("jumping about costs little more than what is read", arguments: 0..<20)
  func seeks(seed: Int) {
    var random = SplitMix(seed: UInt64(seed))
    var bench = bench()
    bench.fill()
    var read: Int64 = 0
    for _ in 0..<60 {
      var offset = Int64.random(in: 0..<960, using: &random) * mib + 4096 * Int64.random(in: 0..<200, using: &random)
      for _ in 0..<Int.random(in: 1...40, using: &random) {
        let range = ByteRange(offset, offset + 128 * kib)
        if bench.plan.extents.contains(range) { bench.plan.touched(range) } else { bench.read(range.start, range.end) }
        bench.act([])
        bench.drain()
        read += range.count
        offset = range.end
      }
      // Ranges that no reader came back for give way.
      for range in bench.plan.extents.ranges.dropLast(8) { _ = bench.plan.distrust(range) }
    }
    let fetched = bench.started.reduce(0) { $0 + $1.range.count }
    #expect(Double(fetched) <= Double(read) * 1.15, "seed \(seed): \(fetched) for \(read)")
  }

  @Test("an origin without ranges is a named error, as a window has no place for all of it")
  func noRanges() {
    var bench = bench()
    let waiter = bench.read(0, 4096)
    for _ in 0..<8 where bench.failed.isEmpty {
      bench.act(bench.plan.began(bench.latest, isWhole: true, now: bench.now))
      bench.pass(.seconds(20))
    }
    #expect(bench.failed[waiter] == .io)
    #expect(bench.reports.last??.contains("ignored the range") == true)
    #expect(!bench.plan.isWholeOnly)
  }
}
