import CWire

/// An open file's row, copied out.
package struct HandleRow: Equatable, Sendable {
  /// Index and generation.
  package var handle: UInt64
  package var node: UInt64
  /// Given to the kernel, read-ahead included.
  package var bytes: Int64
  /// One past the furthest byte given.
  package var furthest: Int64
  /// The thread that opened it; 0 from a foreign pid namespace.
  package var pid: UInt32
}

/// The table of open files, which the shim writes; the control plane reads it, and frees what was released. It is a
/// view of the region without state of its own, for `Dispatch` and for an adoption.
package struct HandleRows: Sendable {
  private let region: Region
  package init(region: Region) { self.region = region }

  /// The row of a handle, in whatever state; nil for a number that is no row's present generation.
  package func row(of handle: UInt64) -> HandleRow? {
    guard let index = index(of: handle) else { return nil }
    return copy(handle, region.handle(index))
  }

  /// Whether the row waits for the answer to its OPEN, as it must when the OPEN arrives.
  package func isOpening(_ handle: UInt64) -> Bool {
    guard let index = index(of: handle) else { return false }
    return fsmvp_low(word(index)) == FSMVP_HANDLE_OPENING.rawValue
  }

  /// Hands out the rows that were released, at most `limit` of them, among `count` rows from number `first` on.
  /// - Returns: the row to go on with; nil at the table's high-water row.
  @discardableResult
  package func forEachReleased(
    from first: Int = 0, count: Int = .max, atMost limit: Int = .max, _ body: (HandleRow) -> Void
  ) -> Int? {
    let high = region.handlesHigh
    let end = first + min(count, max(0, high - first))
    var left = limit
    var next = first
    while next < end, left > 0 {
      let word = word(next)
      if fsmvp_low(word) == FSMVP_HANDLE_RELEASED.rawValue {
        left -= 1
        body(copy(fsmvp_pack(UInt32(next), fsmvp_generation(word)), region.handle(next)))
      }
      next += 1
    }
    return next < high ? next : nil
  }

  /// Hands out every row of a file that is open, or whose OPEN is under way.
  package func forEachOpen(_ body: (HandleRow) -> Void) {
    for index in 0..<region.handlesHigh {
      let word = word(index)
      guard [FSMVP_HANDLE_OPENING.rawValue, FSMVP_HANDLE_OPEN.rawValue].contains(fsmvp_low(word)) else { continue }
      body(copy(fsmvp_pack(UInt32(index), fsmvp_generation(word)), region.handle(index)))
    }
  }

  /// Gives a released row back. False where it was not in that generation any more.
  @discardableResult
  package func free(_ handle: UInt64) -> Bool {
    guard let index = index(of: handle) else { return false }
    fsmvp_kill_point("control.handle.released")
    defer { fsmvp_kill_point("control.handle.freed") }
    return fsmvp_handle_step(
      region.handle(index).word(HandleField.word), FSMVP_SIDE_CONTROL, fsmvp_generation(handle),
      FSMVP_HANDLE_RELEASED.rawValue,
      FSMVP_HANDLE_FREE.rawValue)
  }

  private func word(_ index: Int) -> UInt64 { fsmvp_load_acquire(region.handle(index).word(HandleField.word)) }

  private func index(of handle: UInt64) -> Int? {
    let index = Int(fsmvp_low(handle))
    guard index < Int(FSMVP_HANDLES), fsmvp_generation(word(index)) == fsmvp_generation(handle) else { return nil }
    return index
  }

  private func copy(_ handle: UInt64, _ row: SharedBytes) -> HandleRow {
    HandleRow(
      handle: handle, node: row.load(HandleField.node), bytes: Int64(clamping: row.load(HandleField.bytes)),
      furthest: Int64(clamping: row.load(HandleField.cursor)), pid: row.load32(HandleField.pid))
  }
}
