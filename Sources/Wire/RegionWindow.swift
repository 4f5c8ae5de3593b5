import CWire

/// A row over places of the window, and its map of a word a block (`fsmvp_wire.h`, WINDOW). Blocks are given and taken away from any thread, each
/// by one call at a time; after the row's end nothing is written any more.
package struct RegionWindow: TableLease {
  package let row: LeaseRow
  /// Blocks of the file; a file of no bytes has one.
  package let blocks: Int

  /// Bytes a block, and a place.
  package var blockSize: Int64 { 1 << Int64(FSMVP_WINDOW_SHIFT) }

  /// The block's bytes, as far as they have come, are in that place. What is past the file's end is ignored.
  /// - Parameters:
  ///   - generation: of this use of the place; rises with every use.
  ///   - isWhole: all of the block is there. False: only an answer that vouches for a range of it may be read.
  package func put(block: Int, place: Int, generation: UInt32, isWhole: Bool) {
    precondition(place >= 0 && place < Int(FSMVP_PLACES), "place \(place) of the window")
    store(block) {
      fsmvp_max_release32(row.region.header.half(HeaderField.windowGeneration), generation)
      fsmvp_store_release($0, fsmvp_place_word(UInt32(place), isWhole, generation))
    }
  }

  /// Takes the block away. Its place may be overwritten from then on.
  package func clear(block: Int) {
    store(block) {
      fsmvp_store_relaxed($0, 0)
      // The store comes before what is written into the place now.
      fsmvp_fence_full()
    }
  }

  /// Of the source, as whoever fetches tells versions apart; for the control plane that comes after this one. 0: not known.
  package func note(version: UInt64) { row.whileValid { row.region.lease(row.index).store(LeaseField.version, version) } }

  private func store(_ block: Int, _ body: (UnsafeMutablePointer<UInt64>) -> Void) {
    guard block >= 0, block < blocks else { return }
    row.whileValid { body(row.word(block)) }
  }

  /// Takes every block away.
  func clearAll() {
    for block in 0..<blocks { fsmvp_store_relaxed(row.word(block), 0) }
    fsmvp_fence_full()
  }
}
