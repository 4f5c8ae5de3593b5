import CWire
import Core
import Glibc
import Synchronization
import Testing

@testable import Wire

@Suite struct SlotRingTests {
  @Test("a walk with a limit stops there, the next one goes on behind it, and what is not READ is never put off")
  func limitedWalk() throws {
    let test = try TestRegion()
    let ring = test.ring()
    for index in 200..<210 { test.submitRead(index, offset: 0, size: 1) }
    test.submitGetattr(5)
    func walk() -> (indices: [Int], isAll: Bool) {
      var indices: [Int] = []
      let isAll = ring.walk(atMost: 4) { indices.append($0.id.index) }
      return (indices, isAll)
    }
    var first = walk()
    #expect(first.indices == [5, 200, 201, 202] && !first.isAll)
    // A row that is submitted meanwhile behind the walk's back waits for those before it.
    test.submitRead(199, offset: 0, size: 1)
    test.submitGetattr(6)
    first = walk()
    #expect(first.indices == [6, 203, 204, 205] && !first.isAll)
    first = walk()
    #expect(first.indices == [206, 207, 208, 209] && !first.isAll)
    first = walk()
    #expect(first.indices == [199] && first.isAll)
  }

  @Test(
    "requests that cost more fill a walk sooner, and a READ comes in turn though there are always more of the others")
  func weighedWalk() throws {
    let test = try TestRegion()
    let ring = test.ring()
    for index in 0..<6 { test.submitGetattr(index) }
    test.submitRead(200, offset: 0, size: 1)
    func walk() -> (indices: [Int], isAll: Bool) {
      var indices: [Int] = []
      let isAll = ring.walk(atMost: 4, weight: { $0.id.index == 1 ? 10 : 2 }) { indices.append($0.id.index) }
      return (indices, isAll)
    }
    var part = walk()
    #expect(part.indices == [0, 1, 200] && !part.isAll)
    part = walk()
    #expect(part.indices == [2, 3] && !part.isAll)
    part = walk()
    #expect(part.indices == [4, 5] && !part.isAll)
    part = walk()
    #expect(part.indices.isEmpty && part.isAll)
  }

  @Test("a submitted slot is handed out once, answered once, and the shim is rung")
  func once() throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submitGetattr(5)
    #expect(taken(ring).map(\.id) == [SlotID(index: 5, generation: 0)])
    #expect(test.state(5) == FSMVP_TAKEN)
    #expect(ring.inHand == 1)
    #expect(taken(ring).isEmpty)
    #expect(ring.complete(SlotID(index: 5, generation: 0), .failed(.stale)))
    #expect(test.state(5) == FSMVP_DONE)
    #expect(test.slots[5].error == -ESTALE)
    #expect(!ring.complete(SlotID(index: 5, generation: 0), .failed(.io)))
    #expect(test.slots[5].error == -ESTALE)
    #expect(ring.inHand == 0)
    var rings: UInt64 = 0
    #expect(read(test.shimBell.number, &rings, 8) == 8 && rings == 1)
  }

  @Test("rows kept for metadata are walked without regard to the high-water mark, READ rows up to it")
  func highWater() throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submitGetattr(127)
    test.submitRead(4000, offset: 0, size: 1)
    fsmvp_store_release32(&test.header.pointee.slots_high, 128)
    #expect(taken(ring).map(\.id.index) == [127])
    fsmvp_store_release32(&test.header.pointee.slots_high, 4001)
    #expect(taken(ring).map(\.id.index) == [4000])
  }

  @Test("a slot the shim submits again as bad is handed out again, and so says it")
  func bad() throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submitRead(130, offset: 0, size: 4096)
    let id = try #require(taken(ring).first?.id)
    ring.complete(id, .bytes(ByteRange(0, 4096)))
    test.slots[130].flags |= UInt32(FSMVP_SLOT_BAD)
    #expect(test.step(130, FSMVP_DONE, FSMVP_SUBMITTED))
    #expect(taken(ring).map(\.wasBad) == [true])
    #expect(ring.complete(id, .bytes(ByteRange(0, 4096))))
  }

  @Test("READ vouches for its own range only: cut at the end, nothing before the start")
  func readLengths() throws {
    let test = try TestRegion()
    let ring = test.ring()
    func answer(_ range: ByteRange) throws -> (Int32, UInt32) {
      test.submitRead(200, offset: 100, size: 50)
      let id = try #require(taken(ring).first?.id)
      ring.complete(id, .bytes(range))
      defer { test.step(200, FSMVP_DONE, FSMVP_FREE) }
      return (test.slots[200].error, test.slots[200].length)
    }
    #expect(try answer(ByteRange(100, 150)) == (0, 50))
    #expect(try answer(ByteRange(0, 1000)) == (0, 50))
    #expect(try answer(ByteRange(100, 120)) == (0, 20))
    #expect(try answer(ByteRange(100, 100)) == (0, 0))
    #expect(try answer(ByteRange(0, 40)) == (0, 0))
    #expect(try answer(ByteRange(110, 150)) == (-EIO, 0))
  }

  // MARK: Hostile slots

  @Test("requests out of range are answered EIO, counted, and handed to nobody")
  func hostileRequests() throws {
    let test = try TestRegion()
    let ring = test.ring()
    func lookup(offset: UInt16, length: UInt16, raw: UInt32) -> (inout fsmvp_slot) -> Void {
      { slot in
        slot.op = FSMVP_OP_LOOKUP.rawValue
        slot.name_offset = offset
        slot.name_length = length
        slot.raw_length = raw
        withUnsafeMutableBytes(of: &slot.raw) { bytes in for index in bytes.indices { bytes[index] = 0x61 } }
      }
    }
    func read(_ offset: UInt64, _ size: UInt64) -> (inout fsmvp_slot) -> Void {
      { slot in
        slot.op = FSMVP_OP_READ.rawValue
        slot.arg0 = offset
        slot.arg1 = size
      }
    }
    let cases: [(inout fsmvp_slot) -> Void] = [
      { $0.op = 0 }, { $0.op = FSMVP_OP_RELEASE.rawValue }, { $0.op = 16 }, { $0.op = .max },
      lookup(offset: 40, length: 0, raw: 304), lookup(offset: 40, length: 256, raw: 304),
      lookup(offset: 49, length: 255, raw: 303),
      lookup(offset: .max, length: .max, raw: .max), lookup(offset: .max, length: 1, raw: 304),
      lookup(offset: 0, length: 10, raw: 305),
      { slot in
        lookup(offset: 49, length: 255, raw: 303)(&slot)
        slot.op = FSMVP_OP_GETXATTR.rawValue
      },
      { slot in
        lookup(offset: 40, length: 8, raw: 304)(&slot)
        withUnsafeMutableBytes(of: &slot.raw) { $0[44] = 0 }
      },
      read(0, UInt64(FSMVP_READ_MAX) + 1), read(.max, 1), read(UInt64(Int64.max), 1), read(1 << 63, 0), read(0, .max),
    ]
    for (number, fill) in cases.enumerated() {
      test.submit(number, fill)
      #expect(taken(ring).isEmpty, "case \(number)")
      #expect(test.state(number) == FSMVP_DONE, "case \(number)")
      #expect(test.slots[number].error == -EIO, "case \(number)")
      #expect(ring.hostileCount == UInt64(number + 1))
    }
    // The largest that is not.
    test.submit(100, lookup(offset: 49, length: 255, raw: 304))
    test.submit(101, read(UInt64(Int64.max) - UInt64(FSMVP_READ_MAX), UInt64(FSMVP_READ_MAX)))
    #expect(taken(ring).count == 2)
  }

  @Test("a state word out of range is counted and left alone")
  func hostileStates() throws {
    let test = try TestRegion()
    let ring = test.ring()
    fsmvp_store_release(test.words, fsmvp_pack(8, 0))
    fsmvp_store_release(test.words + 1, .max)
    #expect(taken(ring).isEmpty)
    #expect(ring.hostileCount == 2)
    #expect(fsmvp_load_acquire(test.words) == fsmvp_pack(8, 0))
  }

  @Test("a slot in hand that is submitted a second time is handed out to nobody")
  func hostileDouble() throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submitGetattr(0)
    let id = try #require(taken(ring).first?.id)
    fsmvp_store_release(test.words, fsmvp_pack(FSMVP_SUBMITTED.rawValue, 0))
    #expect(taken(ring).isEmpty)
    #expect(ring.hostileCount == 1)
    // Its answer finds a state it knows nothing of, and changes none.
    #expect(!ring.complete(id, .failed(.io)))
    #expect(test.state(0) == FSMVP_SUBMITTED)
  }

  // MARK: Cancelling, adopting, failing

  @Test("a cancelled slot is let go, and the late answer writes nothing")
  func cancelled() throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submitRead(128, offset: 0, size: 10)
    let id = try #require(taken(ring).first?.id)
    #expect(ring.isWanted(id))
    #expect(test.step(128, FSMVP_TAKEN, FSMVP_CANCELLED))
    #expect(!ring.isWanted(id))
    #expect(taken(ring).isEmpty)
    #expect(test.state(128) == FSMVP_CANCEL_DONE)
    #expect(test.step(128, FSMVP_CANCEL_DONE, FSMVP_FREE))
    test.submitRead(128, offset: 7, size: 10)
    test.slots[128].error = 99
    #expect(!ring.complete(id, .failed(.io)))
    #expect(test.slots[128].error == 99)
    #expect(taken(ring).map(\.call) == [.read(ByteRange(7, 17))])
    #expect(!ring.complete(id, .failed(.io)))
    #expect(test.state(128) == FSMVP_TAKEN)
  }

  @Test("an answer that comes between the cancelling and the walk lets go itself")
  func cancelledAnswer() throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submitGetattr(0)
    let id = try #require(taken(ring).first?.id)
    test.step(0, FSMVP_TAKEN, FSMVP_CANCELLED)
    #expect(!ring.complete(id, .failed(.io)))
    #expect(test.state(0) == FSMVP_CANCEL_DONE)
    #expect(taken(ring).isEmpty)
  }

  @Test("failing all answers what is in hand, and only that")
  func failAll() throws {
    let test = try TestRegion()
    let ring = test.ring()
    for index in [0, 127, 128, 4095] { test.submitGetattr(index) }
    _ = taken(ring)
    test.submitGetattr(1)
    // The other side cannot hide a slot from it by lowering the mark.
    fsmvp_store_release32(&test.header.pointee.slots_high, 0)
    ring.failAll(.io)
    for index in [0, 127, 128, 4095] {
      #expect(test.state(index) == FSMVP_DONE)
      #expect(test.slots[index].error == -EIO)
    }
    #expect(test.state(1) == FSMVP_SUBMITTED)
    #expect(ring.inHand == 0)
  }

  @Test("a successor submits again what the dead control plane had taken, and lets go what was cancelled")
  func adopt() throws {
    let test = try TestRegion()
    let old = test.ring()
    for index in 0..<3 { test.submitGetattr(index) }
    let ids = taken(old).map(\.id)
    test.step(1, FSMVP_TAKEN, FSMVP_CANCELLED)
    old.complete(ids[2], .failed(.noEntry))
    let new = test.ring()
    new.adopt()
    #expect((0..<3).map { test.state($0) } == [FSMVP_SUBMITTED, FSMVP_CANCEL_DONE, FSMVP_DONE])
    #expect(taken(new).map(\.id) == [ids[0]])
  }

  @Test("slots go on over the wrap of their generation, and old answers stay too late")
  func wrap() throws {
    let test = try TestRegion()
    let ring = test.ring()
    fsmvp_store_release(test.words, fsmvp_pack(0, .max - 3))
    var earlier: [SlotID] = []
    for turn in 0..<8 as Range<UInt32> {
      test.submitGetattr(0, node: UInt64(turn))
      let request = try #require(taken(ring).first)
      #expect(request.id.generation == .max - 3 &+ turn)
      #expect(request.node == UInt64(turn))
      for id in earlier { #expect(!ring.complete(id, .failed(.stale))) }
      #expect(ring.complete(request.id, .failed(.noEntry)))
      earlier.append(request.id)
      #expect(test.step(0, FSMVP_DONE, FSMVP_FREE))
    }
  }

  // MARK: Two threads

  @Test("of an answer and a cancelling exactly one wins, and the loser never writes the row")
  func race() throws {
    let test = try TestRegion()
    let ring = test.ring()
    let rounds: UInt64 = 30_000
    let go = Signal()
    let back = Signal()
    let wins = Counter()
    let answerer = TestThread {
      for round in 1...rounds {
        go.wait(for: round)
        if ring.complete(SlotID(index: 0, generation: UInt32(round - 1)), .failed(Errno(7))) { wins.add() }
        back.set(round)
      }
    }
    defer { answerer.join() }
    var cancelled: UInt64 = 0
    for round in 1...rounds {
      test.submitGetattr(0)
      let requests = taken(ring)
      guard requests.count == 1 else {
        Issue.record("round \(round): \(requests.count) requests")
        go.set(rounds)
        return
      }
      // Each side is let win for certain now and then; in between they race, from a different moment each time.
      if round % 100 == 0 { test.step(0, FSMVP_TAKEN, FSMVP_CANCELLED) }
      go.set(round)
      if round % 100 == 50 { back.wait(for: round) }
      for _ in 0..<(round % 64) { _ = fsmvp_load_acquire(test.words) }
      if round % 100 == 0 || test.step(0, FSMVP_TAKEN, FSMVP_CANCELLED) {
        cancelled += 1
        while test.state(0) == FSMVP_CANCELLED { _ = taken(ring) }
        test.step(0, FSMVP_CANCEL_DONE, FSMVP_FREE)
        test.slots[0].error = 12345
        back.wait(for: round)
        if test.slots[0].error != 12345 { Issue.record("round \(round): a late answer wrote \(test.slots[0].error)") }
      } else {
        back.wait(for: round)
        if test.state(0) != FSMVP_DONE || test.slots[0].error != -7 {
          Issue.record("round \(round): no answer in the row")
        }
        test.step(0, FSMVP_DONE, FSMVP_FREE)
      }
    }
    #expect(wins.value + cancelled == rounds)
    #expect(wins.value >= 300 && cancelled >= 300, "\(wins.value) and \(cancelled)")
  }

  @Test("120,000 slots over two doorbells, in bursts: no wake-up is lost")
  func wakeUps() throws {
    let test = try TestRegion()
    let total = 120_000
    let lost = Counter()
    // Waits for a bell as a loop does: poll, clear, look. Five seconds without one, while work is open, is a lost
    // wake-up.
    @Sendable func isRung(_ bell: Doorbell) -> Bool {
      var watched = pollfd(fd: bell.number, events: Int16(POLLIN), revents: 0)
      guard poll(&watched, 1, 5000) == 1 else {
        lost.add()
        return false
      }
      bell.clear()
      return true
    }
    let control = TestThread {
      let ring = test.ring()
      var answered = 0
      while answered < total, isRung(test.controlBell) {
        ring.walk { request in
          ring.complete(request.id, .failed(Errno(1 + Int32(request.node % 100))))
          answered += 1
        }
      }
    }
    defer { control.join() }
    var submitted = 0
    var finished = 0
    var window = 1
    while finished < total {
      // From one at a time, where every slot needs both bells, to bursts.
      window = window % 24 + 1
      for index in 128..<(128 + window) where submitted < total && test.state(index) == FSMVP_FREE {
        test.submitGetattr(index, node: UInt64(submitted))
        submitted += 1
        test.controlBell.ring()
      }
      guard isRung(test.shimBell) else { break }
      for index in 128..<152 where test.state(index) == FSMVP_DONE {
        if test.slots[index].error != -(1 + Int32(test.slots[index].node % 100)) {
          Issue.record("slot \(index): another's answer")
        }
        test.step(index, FSMVP_DONE, FSMVP_FREE)
        finished += 1
      }
    }
    #expect(finished == total)
    #expect(lost.value == 0)
  }
}

/// A number another thread waits for.
final class Signal: Sendable {
  private let value = Atomic<UInt64>(0)
  func set(_ number: UInt64) { value.store(number, ordering: .releasing) }
  func isAt(_ number: UInt64) -> Bool { value.load(ordering: .acquiring) >= number }
  func wait(for number: UInt64) { while value.load(ordering: .acquiring) < number { sched_yield() } }
}

final class Counter: Sendable {
  private let count = Atomic<UInt64>(0)
  func add() { count.add(1, ordering: .relaxed) }
  var value: UInt64 { count.load(ordering: .relaxed) }
}
