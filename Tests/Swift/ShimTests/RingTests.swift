import CShim
import CWire
import Foundation
import Testing

@Suite struct RingTests {
  @Test func oneThreadGetsARow() throws {
    let scratch = try Scratch()
    let owners = Shared(Int(FSMVP_SLOTS))
    let clashes = Shared()

    inThreads(8) { thread in
      for turn in 0..<20_000 {
        var row = row()
        let kind = (turn + thread) % 2 == 0 ? SLOT_READ : SLOT_NAME
        guard ring_claim(scratch.ring, kind, &row) else {
          clashes.add(1)
          continue
        }
        if fsmvp_exchange(owners.words + Int(row.index), 1) != 0 { clashes.add(1) }
        if fsmvp_exchange(owners.words + Int(row.index), 0) != 1 { clashes.add(1) }
        if !ring_free(scratch.ring, row, filling) { clashes.add(1) }
      }
    }
    #expect(clashes.value == 0)
    #expect(scratch.ring.pointee.in_use == 0)
    // Rows near the beginning are used again first: eight threads never need more than a few.
    #expect(scratch.region.pointee.header.pointee.slots_high <= FSMVP_SLOTS_RESERVED + 64)
  }

  @Test func readsLeaveTheReservedRows() throws {
    let scratch = try Scratch()
    var row = row()

    for _ in 0..<(FSMVP_SLOTS - FSMVP_SLOTS_RESERVED) {
      #expect(ring_claim(scratch.ring, SLOT_READ, &row))
      #expect(row.index >= FSMVP_SLOTS_RESERVED)
    }
    #expect(!ring_claim(scratch.ring, SLOT_READ, &row))
    for _ in 0..<FSMVP_SLOTS_RESERVED {
      #expect(ring_claim(scratch.ring, SLOT_NAME, &row))
      #expect(row.index < FSMVP_SLOTS_RESERVED)
    }
    #expect(!ring_claim(scratch.ring, SLOT_NAME, &row))
    #expect(scratch.region.pointee.header.pointee.slots_high == FSMVP_SLOTS)
    #expect(ring_free(scratch.ring, row, filling))
    #expect(ring_claim(scratch.ring, SLOT_NAME, &row))
  }

  @Test("reads of bytes that are here have rows of their own when all others wait for the origin")
  func localReads() throws {
    let scratch = try Scratch()
    var row = row()

    for _ in 0..<(FSMVP_SLOTS - FSMVP_SLOTS_RESERVED) { #expect(ring_claim(scratch.ring, SLOT_READ, &row)) }
    for _ in 0..<FSMVP_SLOTS_LOCAL {
      #expect(ring_claim(scratch.ring, SLOT_LOCAL, &row))
      #expect(row.index >= FSMVP_SLOTS_RESERVED - FSMVP_SLOTS_LOCAL && row.index < FSMVP_SLOTS_RESERVED)
    }
    #expect(!ring_claim(scratch.ring, SLOT_LOCAL, &row))
    for _ in 0..<(FSMVP_SLOTS_RESERVED - FSMVP_SLOTS_LOCAL) { #expect(ring_claim(scratch.ring, SLOT_NAME, &row)) }
    #expect(!ring_claim(scratch.ring, SLOT_NAME, &row))
    #expect(ring_free(scratch.ring, row, filling))
    #expect(ring_claim(scratch.ring, SLOT_NAME, &row))
  }

  @Test func othersMayUseTheRowsOfReads() throws {
    let scratch = try Scratch()
    var row = row()

    for _ in 0...FSMVP_SLOTS_RESERVED { #expect(ring_claim(scratch.ring, SLOT_NAME, &row)) }
    #expect(row.index == FSMVP_SLOTS_RESERVED)
    #expect(scratch.region.pointee.header.pointee.slots_high == FSMVP_SLOTS_RESERVED + 1)
  }

  @Test("a row is given up in every state it can have, and another request's is left alone: no spin")
  func givingUp() throws {
    let submitted = FSMVP_SUBMITTED.rawValue
    let cases: [(from: UInt32, generation: UInt32, to: UInt64)] = [
      (FSMVP_LOCAL.rawValue, 5, fsmvp_pack(free32, 6)), (submitted, 5, fsmvp_pack(free32, 6)),
      (FSMVP_TAKEN.rawValue, 5, fsmvp_pack(FSMVP_CANCELLED.rawValue, 5)),
      (FSMVP_DONE.rawValue, 5, fsmvp_pack(free32, 6)),
      (FSMVP_CANCELLED.rawValue, 5, fsmvp_pack(FSMVP_CANCELLED.rawValue, 5)),
      (FSMVP_CANCEL_DONE.rawValue, 5, fsmvp_pack(free32, 6)),
      (free32, 5, fsmvp_pack(free32, 5)), (filling, 5, fsmvp_pack(filling, 5)), (8, 5, fsmvp_pack(8, 5)),
      (.max, 5, fsmvp_pack(.max, 5)),
      (submitted, 6, fsmvp_pack(submitted, 6)), (FSMVP_DONE.rawValue, 4, fsmvp_pack(FSMVP_DONE.rawValue, 4)),
    ]
    let scratch = try Scratch()
    for (from, generation, to) in cases {
      scratch.region.pointee.words[9] = fsmvp_pack(from, generation)
      ring_give_up(scratch.ring, row(index: 9, generation: 5))
      #expect(scratch.region.pointee.words[9] == to, "from \(from) in generation \(generation)")
    }
  }

  @Test func generationsWrap() throws {
    let scratch = try Scratch()
    var row = row()

    scratch.region.pointee.words[0] = fsmvp_pack(free32, .max)
    #expect(ring_claim(scratch.ring, SLOT_NAME, &row))
    #expect(row.generation == .max)
    #expect(ring_free(scratch.ring, row, filling))
    #expect(scratch.region.pointee.words[0] == fsmvp_pack(free32, 0))
    #expect(!ring_free(scratch.ring, row, filling))
  }

  @Test func aRequestIsTakenOnce() throws {
    let scratch = try Scratch()
    let taken = Shared()

    for turn in 1...2_000 {
      ring_put(scratch.ring, 7, UnsafeMutableRawPointer(bitPattern: turn))
      inThreads(4) { _ in
        if ring_take(scratch.ring, 7) != nil { taken.add(1) }
      }
    }
    #expect(taken.value == 2_000)
  }

  @Test func walksSeeBothParts() throws {
    let scratch = try Scratch()
    var row = row()
    var seen: [UInt32] = []

    #expect(ring_claim(scratch.ring, SLOT_READ, &row))
    var index = ring_next(scratch.ring, .max)
    while index != .max {
      seen.append(index)
      index = ring_next(scratch.ring, index)
    }
    #expect(seen == Array(0...FSMVP_SLOTS_RESERVED))
  }

  /// A sleeper that missed a ring would sleep for the whole timeout while there is work.
  @Test func noRingIsLost() {
    let bell = bell_create()
    let work = Shared()
    let missed = Shared()
    let producers = 3
    let each: UInt64 = 50_000

    inThreads(producers + 1) { thread in
      if thread > 0 {
        for _ in 0..<each {
          work.add(1)
          bell_ring(bell)
        }
        return
      }
      var done: UInt64 = 0
      while done < each * UInt64(producers) {
        if !bell_wait(bell, 2_000), work.value != done {
          missed.add(1)
          break
        }
        done = work.value
      }
    }
    #expect(missed.value == 0)
    close(bell)
  }

  @Test("the memory of listing rows goes back after two seconds without an answer, but for rows in use")
  func trim() throws {
    let scratch = try Scratch()
    let (ring, region) = (scratch.ring, scratch.region.pointee)
    func row(_ index: Int) -> UnsafeMutablePointer<UInt8> { region.listings + index * Int(FSMVP_LISTING_SIZE) }
    let second: UInt64 = 1_000_000_000
    for index in 0..<3 { memset(row(index), 0xaa, Int(FSMVP_LISTING_SIZE)) }
    ring.pointee.entries[0].listed_at = 10 * second
    ring.pointee.entries[1].listed_at = 11 * second
    ring.pointee.entries[2].listed_at = 10 * second
    region.words[2] = fsmvp_pack(FSMVP_TAKEN.rawValue, 7)
    ring_trim(ring, 12 * second)
    #expect(row(0)[0] == 0 && row(0)[32_767] == 0 && row(1)[0] == 0xaa && row(2)[0] == 0xaa)
    #expect(region.words[0] == fsmvp_pack(free32, 1) && region.words[1] == 0)
    #expect(region.words[2] == fsmvp_pack(FSMVP_TAKEN.rawValue, 7))
    #expect((0..<3).map { ring.pointee.entries[$0].listed_at } == [0, 11 * second, 10 * second])
    region.words[2] = fsmvp_pack(free32, 8)
    ring_trim(ring, 13 * second)
    #expect(row(1)[0] == 0 && row(2)[0] == 0 && ring.pointee.in_use == 0)
  }
}
