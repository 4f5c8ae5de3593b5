import CShim
import CWire
import Testing

@Suite struct HandleTests {
  let filling = FSMVP_HANDLE_FILLING.rawValue
  let opening = FSMVP_HANDLE_OPENING.rawValue
  let open = FSMVP_HANDLE_OPEN.rawValue
  let released = FSMVP_HANDLE_RELEASED.rawValue

  func freeByControl(_ scratch: Scratch, _ id: UInt64) -> Bool {
    fsmvp_handle_step(
      &scratch.region.pointee.handles[Int(fsmvp_low(id))].word, FSMVP_SIDE_CONTROL, fsmvp_generation(id), released,
      FSMVP_HANDLE_FREE.rawValue)
  }

  @Test func lifeOfARow() throws {
    let scratch = try Scratch()
    var id: UInt64 = 0

    #expect(handle_claim(scratch.handles, &id))
    #expect(handle_find(scratch.handles, id) == nil)
    #expect(handle_step(scratch.handles, id, filling, opening))
    #expect(handle_step(scratch.handles, id, opening, open))
    #expect(handle_find(scratch.handles, id) != nil)
    #expect(handle_release(scratch.handles, id))
    #expect(handle_find(scratch.handles, id) == nil)
    #expect(!handle_release(scratch.handles, id))
    #expect(scratch.region.pointee.header.pointee.released == 1)
    #expect(bell_wait(scratch.bell, 0))
    #expect(freeByControl(scratch, id))
  }

  @Test func releasedWhileItsOpenIsUnanswered() throws {
    let scratch = try Scratch()
    var id: UInt64 = 0

    #expect(handle_claim(scratch.handles, &id))
    #expect(handle_step(scratch.handles, id, filling, opening))
    #expect(handle_release(scratch.handles, id))
    #expect(!handle_step(scratch.handles, id, opening, open))
  }

  @Test("the lease of an OPEN goes into the row that waits for it, once")
  func aLeaseAnswersOneOpen() throws {
    let scratch = try Scratch()
    var id: UInt64 = 0
    #expect(handle_claim(scratch.handles, &id))
    let row = scratch.region.pointee.handles + Int(fsmvp_low(id))
    row.pointee.lease = handle_unanswered(id)
    #expect(!handle_open(scratch.handles, id, 7), "not OPENING yet")
    row.pointee.lease = handle_unanswered(id)
    #expect(handle_step(scratch.handles, id, filling, opening))
    #expect(handle_open(scratch.handles, id, 7))
    #expect(row.pointee.lease == 7 && handle_find(scratch.handles, id) == row)
    // A successor answers it once more, after the shim before had opened the row.
    #expect(handle_open(scratch.handles, id, 7) && row.pointee.lease == 7)
    #expect(!handle_open(scratch.handles, UInt64(UInt32.max), 7), "no row")
  }

  @Test("a late replay of an OPEN stores no lease into a row that is another file's by now", arguments: 0..<6)
  func aLateReplayOfAnOpen(step: Int) throws {
    let scratch = try Scratch()
    var old: UInt64 = 0
    var new: UInt64 = 0
    #expect(handle_claim(scratch.handles, &old))
    let row = scratch.region.pointee.handles + Int(fsmvp_low(old))
    row.pointee.lease = handle_unanswered(old)
    #expect(handle_step(scratch.handles, old, filling, opening))
    // The file was opened and closed, or its caller died before the answer; either way control freed the row.
    if step % 2 == 0 { #expect(handle_open(scratch.handles, old, 7)) }
    #expect(handle_release(scratch.handles, old) && freeByControl(scratch, old))
    scratch.handles.pointee.next = fsmvp_low(old)
    #expect(handle_claim(scratch.handles, &new) && fsmvp_low(new) == fsmvp_low(old))
    row.pointee.lease = handle_unanswered(new)
    if step >= 2 { #expect(handle_step(scratch.handles, new, filling, opening)) }
    if step >= 4 { #expect(handle_open(scratch.handles, new, 0)) }
    #expect(!handle_open(scratch.handles, old, 7))
    #expect(row.pointee.lease == (step >= 4 ? 0 : handle_unanswered(new)))
  }

  @Test("late replays of OPENs beside new ones never leave a wrong lease")
  func lateReplaysBesideNewOpens() throws {
    let scratch = try Scratch()
    let gone = Shared()
    let over = Shared()
    let wrong = Shared()
    // No handle yet: the first one has the number 0.
    fsmvp_store_release(gone.words, fsmvp_pack(0, .max))
    inOwnThreads(2) { thread in
      if thread == 1 {
        while over.value == 0 { _ = handle_open(scratch.handles, gone.value, .max) }
        return
      }
      var id: UInt64 = 0
      for turn in 1...200_000 as ClosedRange<UInt64> {
        scratch.handles.pointee.next = 0
        if !handle_claim(scratch.handles, &id) { wrong.add(1) }
        let lease = Self.lease(of: scratch.region.pointee.handles + Int(fsmvp_low(id)))
        fsmvp_store_relaxed(lease, handle_unanswered(id))
        if !handle_step(scratch.handles, id, filling, opening) { wrong.add(1) }
        // Some have no lease, which is the value easiest to spoil; some end before their answer.
        if turn % 3 != 0 {
          if !handle_open(scratch.handles, id, turn % 3 == 1 ? 0 : turn) { wrong.add(1) }
          if fsmvp_load_acquire(lease) != (turn % 3 == 1 ? 0 : turn) { wrong.add(1) }
        }
        if !handle_release(scratch.handles, id) || !freeByControl(scratch, id) { wrong.add(1) }
        fsmvp_store_release(gone.words, id)
      }
      over.add(1)
    }
    #expect(wrong.value == 0)
  }

  private static func lease(of row: UnsafeMutablePointer<fsmvp_handle>) -> UnsafeMutablePointer<UInt64> {
    (UnsafeMutableRawPointer(row) + 24).assumingMemoryBound(to: UInt64.self)
  }

  @Test func generationsWrap() throws {
    let scratch = try Scratch()
    var id: UInt64 = 0

    #expect(handle_claim(scratch.handles, &id))
    scratch.region.pointee.handles[Int(fsmvp_low(id))].word = fsmvp_pack(open, .max)
    let last = fsmvp_pack(fsmvp_low(id), .max)
    #expect(handle_find(scratch.handles, last) != nil)
    #expect(handle_release(scratch.handles, last))
    #expect(freeByControl(scratch, last))
    #expect(scratch.region.pointee.handles[Int(fsmvp_low(id))].word == fsmvp_pack(0, 0))
    // A second release of the old handle is refused.
    #expect(!handle_release(scratch.handles, last))
    #expect(handle_claim(scratch.handles, &id))
    #expect(id == fsmvp_pack(fsmvp_low(last), 0))
  }

  @Test func aFullTableSaysSo() throws {
    let scratch = try Scratch()
    var id: UInt64 = 0

    for _ in 0..<FSMVP_HANDLES { #expect(handle_claim(scratch.handles, &id)) }
    #expect(!handle_claim(scratch.handles, &id))
    #expect(scratch.region.pointee.header.pointee.count_handles_full == 1)
    #expect(handle_step(scratch.handles, id, filling, 0))
    #expect(handle_claim(scratch.handles, &id))
  }

  @Test func idsOutOfRange() throws {
    let scratch = try Scratch()

    #expect(handle_find(scratch.handles, UInt64(FSMVP_HANDLES)) == nil)
    #expect(!handle_release(scratch.handles, UInt64(UInt32.max)))
  }

  @Test func bytesAndCursor() {
    var row = fsmvp_handle()

    handle_account(&row, 1000, 24)
    handle_account(&row, 0, 8)
    handle_account(&row, 1 << 40, 0)
    #expect(row.bytes == 32)
    #expect(row.cursor == 1024)
  }
}
