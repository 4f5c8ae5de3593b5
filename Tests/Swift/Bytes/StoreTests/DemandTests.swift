import Core
import Testing

@testable import Store

@Suite("Fetch plan: demand and filling")
struct DemandTests {
  @Test("nothing is fetched, and no link asked for, until somebody wants bytes")
  func lazy() {
    var bench = PlanBench(size: 100 * mib)
    bench.act([])
    #expect(bench.links == 0 && bench.started.isEmpty)
    bench.read(0, 4096)
    #expect(bench.links == 1 && bench.started.count == 1)
  }

  @Test("a read of one byte fetches its block, and is answered as soon as its byte is written")
  func oneByte() {
    var bench = PlanBench(size: 100 * mib)
    let waiter = bench.read(10 * mib + 70_000, 10 * mib + 70_001)
    #expect(bench.started.map(\.range) == [ByteRange(10 * mib + 64 * kib, 10 * mib + 128 * kib)])
    bench.receive(1, upTo: 10 * mib + 70_000)
    #expect(bench.woken.isEmpty)
    bench.receive(1, upTo: 10 * mib + 70_001)
    #expect(bench.woken == [waiter])
  }

  @Test("head, middle and tail are all fetched at once while the filler runs")
  func everywhere() {
    var bench = PlanBench(size: 1000 * mib)
    bench.fill()
    for offset in [0, 500 * mib, 999 * mib] { bench.read(offset, offset + 128 * kib) }
    for offset in [0, 500 * mib, 999 * mib] {
      #expect(
        bench.running.values.contains { $0.start <= offset && offset - $0.start <= 2 * mib && $0.contains(offset) })
    }
    bench.check()
    let ids = bench.running.keys.sorted()
    for id in ids { bench.receive(id, upTo: bench.range(id).start + mib) }
    #expect(bench.woken.sorted() == [1, 2, 3])
  }

  @Test(
    "a fetch that will be there soon serves a waiter; one far behind is cut and the waiter gets its own",
    arguments: [1, 2, 3, 8])
  func cuts(distance: Int64) {
    var bench = PlanBench(size: 64 * mib) {
      $0.fillersAtStart = 1; $0.fillersLimit = 1
    }
    bench.read(0, 32 * mib)
    #expect(bench.running[1] == ByteRange(0, 32 * mib))
    bench.read(distance * mib, distance * mib + 4096)
    if distance <= 2 {
      #expect(bench.started.count == 1 && bench.stopped.isEmpty)
    } else {
      #expect(bench.stopped.map(\.at) == [distance * mib])
      #expect(bench.running[1] == ByteRange(0, distance * mib))
      #expect(bench.running[2]?.start == distance * mib)
    }
    bench.check()
    bench.drain()
    #expect(bench.woken.sorted() == [1, 2])
  }

  @Test("a demand ends where bytes are present or in flight")
  func endsAtPresent() {
    var bench = PlanBench(size: 64 * mib)
    bench.read(10 * mib + 512 * kib, 10 * mib + 640 * kib)
    bench.drain()
    bench.read(10 * mib, 11 * mib)
    #expect(bench.started.last?.range == ByteRange(10 * mib, 10 * mib + 512 * kib))
    bench.read(9 * mib, 9 * mib + 4096)
    bench.read(9 * mib + 64 * kib, 9 * mib + 65 * kib)
    #expect(bench.started.last?.range == ByteRange(9 * mib + 64 * kib, 10 * mib))
  }

  @Test(
    "demand elsewhere reads nothing ahead; one that begins where the one before ended reads further ahead each time")
  func readAhead() {
    var bench = PlanBench(size: 64 * mib)
    var offset: Int64 = 0
    for expected in [64 * kib, mib, 2 * mib, 4 * mib, 8 * mib, 8 * mib] {
      bench.read(offset, offset + 4096)
      #expect(bench.started.last?.range.count == expected)
      offset = bench.started.last?.range.end ?? 0
      bench.drain()
    }
  }

  @Test("the filler starts behind the reader, wraps, and fetches every byte once")
  func filler() {
    var bench = PlanBench(size: 20 * mib + 12_345)
    bench.read(8 * mib, 8 * mib + 4096)
    bench.fill()
    #expect(bench.started[1].range.start == 8 * mib + 64 * kib)
    bench.drain()
    #expect(bench.plan.isComplete)
    #expect(bench.started.reduce(0) { $0 + $1.range.count } == 20 * mib + 12_345)
    for part in bench.started.dropLast() { #expect(part.range.start % (64 * kib) == 0) }
    bench.check()
  }

  @Test("the first bytes of a file come alone: one short part, and all streams once it is here")
  func first() {
    var bench = PlanBench(size: 1000 * mib) { $0.firstPart = 256 * kib }
    bench.fill()
    #expect(bench.started.map(\.range) == [ByteRange(0, 256 * kib)])
    let waiter = bench.read(0, 128 * kib)
    #expect(bench.started.count == 1)
    bench.finish(1)
    #expect(bench.woken == [waiter] && bench.running.count == 2)
    bench.check()
    // A first read elsewhere gets a range of its own at once.
    var other = PlanBench(size: 1000 * mib) { $0.firstPart = 256 * kib }
    other.fill()
    other.read(999 * mib, 1000 * mib)
    #expect(other.started.map(\.range.start) == [0, 999 * mib])
  }

  @Test("a demand gets a connection though the filler holds all of the file's")
  func preempts() {
    var bench = PlanBench(size: 1000 * mib) {
      $0.rangesPerFile = 4; $0.fillersAtStart = 4; $0.fillersLimit = 4
    }
    bench.fill()
    #expect(bench.running.count == 4)
    bench.read(900 * mib, 900 * mib + 4096)
    #expect(bench.cancelled.count == 1 && bench.running.count == 4)
    #expect(bench.running.values.contains { $0.start == 900 * mib })
    bench.check()
  }

  @Test("what stops being filled ends at the next block, but not before what somebody waits for")
  func stopsFilling() {
    var bench = PlanBench(size: 1000 * mib) { $0.fillersAtStart = 2 }
    bench.fill()
    bench.receive(1, upTo: 100_000)
    let (first, second) = (bench.range(1), bench.range(2))
    bench.receive(2, upTo: second.start + 10)
    let waiter = bench.read(second.start + 100, second.start + 200 * kib)
    bench.act(bench.plan.setFilling(false, now: bench.now))
    #expect(first.end > 128 * kib && bench.running[1] == ByteRange(0, 128 * kib))
    #expect(bench.running[2] == ByteRange(second.start, second.start + 256 * kib))
    bench.drain()
    #expect(bench.woken == [waiter])
    #expect(bench.running.isEmpty && !bench.plan.isComplete)
  }

  @Test("two thousand waiters spread over a file are all answered, each once, within sixteen connections")
  func manyWaiters() {
    var bench = PlanBench(size: 4000 * mib)
    for index in 0..<2000 {
      let offset = Int64((index * 7919) % 2000) * 2 * mib
      bench.read(offset, offset + 128 * kib)
    }
    #expect(bench.running.count == 16)
    bench.check()
    bench.drain()
    #expect(bench.woken.sorted() == Array(1...2000))
  }

  @Test("only those whose range is wholly there are woken")
  func exactly() {
    var bench = PlanBench(size: 10 * mib)
    var ends: [Int: Int64] = [:]
    for index in 0..<2000 {
      let start = Int64(index % 8) * 1000
      let end = start + 1000 + Int64(index % 3) * 500
      ends[bench.read(start, end)] = end
    }
    bench.receive(1, upTo: 4000)
    let expected = ends.filter { $0.value <= 4000 }.keys.sorted()
    #expect(bench.woken.sorted() == expected)
    bench.check()
  }

  @Test("whole blocks are told once each, and the last one though it is shorter")
  func blocks() {
    var bench = PlanBench(size: 10_000, blockSize: 4096)
    bench.read(0, 10_000)
    bench.plan.received(1, upTo: 10_000, now: bench.now)
    let pieces: [(Int64, Int64, Range<Int>?)] = [
      (100, 4096, nil), (0, 100, 0..<1), (4096, 8191, nil), (8191, 10_000, 1..<3),
    ]
    for (start, end, expected) in pieces {
      #expect(bench.plan.written(ByteRange(start, end), now: bench.now).blocks == expected)
    }
  }

  @Test("bytes no longer believed are missing by whole blocks, and fetched again for who waits")
  func distrust() {
    var bench = PlanBench(size: 10 * mib, blockSize: 64 * kib)
    bench.read(0, mib)
    bench.drain()
    #expect(bench.plan.distrust(ByteRange(100_000, 100_001)) == 1..<2)
    bench.check()
    let again = bench.read(0, mib)
    #expect(bench.started.last?.range == ByteRange(64 * kib, 128 * kib))
    bench.drain()
    #expect(bench.woken.contains(again))
  }

  @Test(
    "an origin that limits the total gets one stream, one that limits each connection gets all",
    arguments: [true, false])
  func tuning(isTotalLimited: Bool) {
    var tuner = StreamTuner(start: 2, limit: 4)
    var now = Moment(nanoseconds: 0)
    var seen: [Int] = []
    for _ in 0..<600 {
      now = now + .milliseconds(100)
      let rate = isTotalLimited ? 4_000_000.0 : 1_000_000.0 * Double(tuner.streams)
      tuner.received(Int64(rate / 10), active: tuner.streams, now: now)
      seen.append(tuner.streams)
    }
    let most = Dictionary(grouping: seen.suffix(400), by: { $0 }).max { $0.value.count < $1.value.count }?.key
    #expect(most == (isTotalLimited ? 1 : 4))
    #expect(tuner.partSize >= mib && tuner.partSize <= 16 * mib)
  }
}
