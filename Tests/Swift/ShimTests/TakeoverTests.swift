import CShim
import CWire
import Testing

/// A successor's work on the tables, at their full size.
@Suite struct TakeoverTests {
  let opening = FSMVP_HANDLE_OPENING.rawValue
  let released = FSMVP_HANDLE_RELEASED.rawValue

  func raw(_ unique: UInt64, in row: UnsafeMutablePointer<fsmvp_waiting>) {
    withUnsafeMutableBytes(of: &row.pointee.raw) { $0.storeBytes(of: unique, toByteOffset: 8, as: UInt64.self) }
  }

  /// Each handle was looked for in all slots and all waiting rows: more than two thousand million looks here.
  @Test("a takeover with every table full keeps the handles whose OPEN is in hand, and releases the others")
  func fullTables() throws {
    let (scratch, stand) = try stand(slots: FSMVP_SLOTS - FSMVP_SLOTS_RESERVED)
    defer { withExtendedLifetime(scratch) {} }
    let region = stand.pointee.region
    let slots = Int(FSMVP_SLOTS)
    let waiting = Int(FSMVP_WAITING)
    let handles = Int(FSMVP_HANDLES)
    for index in 0..<handles {
      region.handles[index].word = fsmvp_pack(opening, 3)
      region.handles[index].unique = UInt64(index) * 2 + 2
    }
    // Handles in the order of the table's end: slots first, then waiting rows; the rest is in neither.
    for index in 0..<slots {
      let handle = handles - 1 - index
      region.words[index] = fsmvp_pack(FSMVP_SUBMITTED.rawValue, 1)
      region.slots[index].unique = UInt64(handle) * 2 + 2
      region.slots[index].handle = fsmvp_pack(UInt32(handle), 3)
    }
    for index in 0..<waiting {
      let handle = handles - 1 - slots - index
      region.waiting[index].word = fsmvp_pack(FSMVP_WAIT_WAITING.rawValue, 1)
      region.waiting[index].handle = fsmvp_pack(UInt32(handle), 3)
      raw(UInt64(handle) * 2 + 2, in: region.waiting + index)
    }
    // A READ of that handle, a row that is free, and one that was torn speak of no OPEN; a number out of range is
    // no handle's.
    region.slots[0].unique = 1
    region.words[1] = fsmvp_pack(FSMVP_FREE.rawValue, 2)
    region.waiting[0].word = fsmvp_pack(FSMVP_WAIT_FREE.rawValue, 2)
    region.slots[2].handle = .max
    let dropped = [handles - 1, handles - 2, handles - 3, handles - 1 - slots]
    stand.pointee.handles.high = UInt64(handles)
    stand.pointee.ring.high = UInt64(slots)
    stand.pointee.waiting.high = FSMVP_WAITING
    takeover_clear_handles(stand)
    let kept = handles - slots - waiting
    var wrong = 0
    for index in 0..<handles {
      let want = index < kept || dropped.contains(index) ? released : opening
      if region.handles[index].word != fsmvp_pack(want, 3) { wrong += 1 }
    }
    #expect(wrong == 0)
    #expect(region.header.pointee.released == UInt64(kept + dropped.count))
  }
}
