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
    // What the kernel may still say of the old file is done already.
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
