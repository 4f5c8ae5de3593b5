import CShim
import CWire
import Foundation
import Testing

/// Requests that found no free slot, in the tables of a region, without a kernel: what is moved on has no session to be
/// answered by.
@Suite struct WaitingTests {
  let waiting32 = FSMVP_WAIT_WAITING.rawValue

  func raw(_ unique: UInt64, _ opcode: UInt32) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 80)
    bytes.withUnsafeMutableBytes {
      $0.storeBytes(of: 80, as: UInt32.self)
      $0.storeBytes(of: opcode, toByteOffset: 4, as: UInt32.self)
      $0.storeBytes(of: unique, toByteOffset: 8, as: UInt64.self)
    }
    return bytes
  }

  /// Puts a request in a waiting row, like a worker that finds no slot. The receive buffer's word is zero afterwards.
  func put(_ stand: UnsafeMutablePointer<shim>, _ unique: UInt64, op: UInt32 = read32) -> Bool {
    var ask = ask()
    (ask.op, ask.node, ask.arg0, ask.arg1) = (op, 42, unique * 4096, 4096)
    var length: UInt32 = 80
    let bytes = raw(unique, 15)
    return bytes.withUnsafeBufferPointer { bytes in
      withUnsafeMutablePointer(to: &length) { length in
        var source = source()
        (source.raw, source.length, source.taken_at, source.in_hand) = (bytes.baseAddress, 80, 1, length)
        let done = waiting_put(stand, OpaquePointer(bitPattern: UInt(unique)), &ask, 0, &source)
        #expect((length.pointee == 0) == done, "the request is in one of the two")
        return done
      }
    }
  }

  func uniques(_ stand: UnsafeMutablePointer<shim>) -> [UInt64] {
    var found: [UInt64] = []
    for index in 0..<Int(stand.pointee.ring.rows)
    where fsmvp_low(stand.pointee.region.words[index]) == FSMVP_SUBMITTED.rawValue {
      found.append(stand.pointee.region.slots[index].unique)
    }
    return found
  }

  @Test("a full table of slots makes requests wait, and they move on in their order")
  func order() throws {
    let (scratch, stand) = try stand(slots: 2)
    defer { withExtendedLifetime(scratch) {} }
    var rows = [row(), row()]
    #expect(
      ring_claim(&stand.pointee.ring, SLOT_READ, &rows[0]) && ring_claim(&stand.pointee.ring, SLOT_READ, &rows[1]))
    for unique: UInt64 in 1...5 { #expect(put(stand, unique)) }
    #expect(waiting_has(&stand.pointee.waiting, SLOT_READ) && !waiting_has(&stand.pointee.waiting, SLOT_NAME))
    forward_waiting(stand)
    #expect(waiting_count(&stand.pointee.waiting) == 5 && uniques(stand) == [])

    #expect(ring_free(&stand.pointee.ring, rows[0], filling))
    forward_waiting(stand)
    #expect(uniques(stand) == [1] && waiting_count(&stand.pointee.waiting) == 4)
    let slot = stand.pointee.region.slots[Int(rows[0].index)]
    #expect(slot.arg0 == 4096 && slot.arg1 == 4096 && slot.node == 42 && slot.raw_length == 80)
    #expect(stand.pointee.region.waiting[0].word == fsmvp_pack(FSMVP_WAIT_FREE.rawValue, 1))
    #expect(ring_free(&stand.pointee.ring, rows[1], filling))
    forward_waiting(stand)
    #expect(uniques(stand) == [1, 2])
  }

  @Test("requests of names do not wait behind reads, and take the rows kept for them")
  func names() throws {
    let (scratch, stand) = try stand(slots: 1)
    defer { withExtendedLifetime(scratch) {} }
    var taken = row()
    #expect(ring_claim(&stand.pointee.ring, SLOT_READ, &taken))
    #expect(put(stand, 1))
    #expect(put(stand, 2, op: lookup32))
    forward_waiting(stand)
    #expect(uniques(stand) == [2])
    #expect(waiting_has(&stand.pointee.waiting, SLOT_READ) && !waiting_has(&stand.pointee.waiting, SLOT_NAME))
  }

  @Test("rows are used again, and past the last of them a request is refused, still in its receive buffer")
  func bounds() throws {
    let (scratch, stand) = try stand(slots: 1)
    defer { withExtendedLifetime(scratch) {} }
    var taken = row()
    #expect(ring_claim(&stand.pointee.ring, SLOT_READ, &taken))
    stand.pointee.waiting.rows = 3
    for unique: UInt64 in 1...3 { #expect(put(stand, unique)) }
    #expect(!put(stand, 4))
    #expect(ring_free(&stand.pointee.ring, taken, filling))
    forward_waiting(stand)
    #expect(put(stand, 5) && !put(stand, 6))
    #expect(stand.pointee.region.header.pointee.waiting_high == 3)
  }

  @Test("a successor finds the requests that waited, and none twice")
  func succession() throws {
    let (scratch, stand) = try stand(slots: 1)
    defer { withExtendedLifetime(scratch) {} }
    for unique: UInt64 in 1...4 { #expect(put(stand, unique)) }
    let rows = stand.pointee.region.waiting!
    func word(_ index: Int, _ state: fsmvp_waiting_state) { rows[index].word = fsmvp_pack(state.rawValue, 7) }
    word(0, FSMVP_WAIT_MOVING)  // its slot is live
    word(1, FSMVP_WAIT_MOVING)  // its slot was torn
    word(2, FSMVP_WAIT_FILLING)
    var next = waiting()
    #expect(waiting_open(&next, &stand.pointee.region) == 0)
    stand.pointee.waiting = next
    waiting_clear(stand) { _, unique in unique == 1 }
    #expect(
      (0..<4).map { fsmvp_low(rows[$0].word) } == [
        FSMVP_WAIT_FREE.rawValue, waiting32, FSMVP_WAIT_FREE.rawValue, waiting32,
      ])
    #expect(waiting_holds(&stand.pointee.waiting, 2) && waiting_holds(&stand.pointee.waiting, 4))
    #expect(!waiting_holds(&stand.pointee.waiting, 1) && !waiting_holds(&stand.pointee.waiting, 3))
    var ask = ask()
    ask.op = read32
    for (index, unique): (UInt32, UInt) in [(1, 2), (3, 4)] {
      waiting_adopt(stand, index, OpaquePointer(bitPattern: unique), &ask)
    }
    forward_waiting(stand)
    #expect(uniques(stand) == [2])
    // The torn rows are free for others.
    #expect(put(stand, 8) && put(stand, 9))
    #expect(stand.pointee.waiting.high == 4)
  }

  @Test("an interrupt finds the request that waits")
  func interrupts() throws {
    let (scratch, stand) = try stand(slots: 1)
    defer { withExtendedLifetime(scratch) {} }
    var taken = row()
    #expect(ring_claim(&stand.pointee.ring, SLOT_READ, &taken))
    #expect(put(stand, 6))
    #expect(!waiting_interrupted(stand, 5, 77))
    #expect(waiting_interrupted(stand, 6, 77))
    #expect(stand.pointee.region.waiting[0].flags == FSMVP_SLOT_INTERRUPTED)
    #expect(ring_free(&stand.pointee.ring, taken, filling))
    forward_waiting(stand)
    #expect(stand.pointee.region.slots[Int(taken.index)].flags == FSMVP_SLOT_INTERRUPTED)
    #expect(ring_interrupted_at(&stand.pointee.ring.entries[Int(taken.index)]) != 0)
  }

  /// It was cancelled at once, if its caller's process cannot be seen.
  @Test("a request in a row where another was interrupted before is not taken for interrupted")
  func anInterruptEndsWithItsRequest() throws {
    let (scratch, stand) = try stand(slots: 1)
    defer { withExtendedLifetime(scratch) {} }
    var taken = row()
    #expect(ring_claim(&stand.pointee.ring, SLOT_READ, &taken))
    #expect(put(stand, 6) && waiting_interrupted(stand, 6, 77))
    #expect(stand.pointee.waiting.entries[0].interrupted_at == 77)
    #expect(ring_free(&stand.pointee.ring, taken, filling))
    forward_waiting(stand)
    #expect(put(stand, 7) && stand.pointee.waiting.high == 1, "the same row")
    #expect(stand.pointee.waiting.entries[0].interrupted_at == 0 && stand.pointee.region.waiting[0].flags == 0)
  }
}
