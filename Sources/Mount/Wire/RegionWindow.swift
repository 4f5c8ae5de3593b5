import CWire

/// A row over frames of the window, and its map of a word a block (`fsmvp_wire.h`, WINDOW). Blocks are given and taken
/// away from any thread, each by one call at a time; after the row's end nothing is written any more. `LeaseTable`
/// makes it; the frames' bytes are written by the volume's store, not here.
package struct RegionWindow: TableLease {
  package let row: LeaseRow
  /// Blocks of the file; a file of no bytes has one.
  package let blocks: Int

  /// Bytes a block, and a frame.
  package var blockSize: Int64 { 1 << Int64(FSMVP_WINDOW_SHIFT) }

  /// Stores that the block's bytes, as far as they have come, are in that frame. Bytes past the file's end are ignored.
  /// - Parameters:
  ///   - generation: of this use of the frame; rises with every use.
  ///   - isWhole: all of the block is there. False: only an answer that vouches for a range of it may be read.
  package func put(block: Int, frame: Int, generation: UInt32, isWhole: Bool) {
    precondition(frame >= 0 && frame < Int(FSMVP_FRAMES), "frame \(frame) of the window")
    store(block) {
      fsmvp_raise_generation(row.region.header.half(HeaderField.windowGeneration), generation)
      fsmvp_store_release($0, fsmvp_frame_word(UInt32(frame), isWhole, generation))
    }
  }

  /// Takes the block away. Its frame may be overwritten from then on.
  package func clear(block: Int) {
    store(block) {
      fsmvp_store_relaxed($0, 0)
      // The store comes before what is written into the frame now.
      fsmvp_fence_full()
    }
  }

  /// Stores which version of its source the file is of, as the fetching side numbers them, for the next control plane.
  /// 0: no byte was given out.
  package func note(version: UInt64) {
    row.whileValid { row.region.lease(row.index).store(LeaseField.version, version) }
  }

  private func store(_ block: Int, _ body: (UnsafeMutablePointer<UInt64>) -> Void) {
    guard block >= 0, block < blocks else { return }
    row.whileValid { body(row.word(block)) }
  }

  /// Blocks that are whole, with their frames, from all over the file.
  func wholeBlocks(atMost limit: Int) -> [(block: Int, frame: Int)] {
    var whole: [(block: Int, frame: Int)] = []
    for block in 0..<blocks {
      let word = fsmvp_load_relaxed(row.word(block))
      guard fsmvp_frame_is_whole(word) else { continue }
      let frame = Int(fsmvp_frame_number(word)) - 1
      if (0..<Int(FSMVP_FRAMES)).contains(frame) { whole.append((block, frame)) }
    }
    guard whole.count > limit, limit > 1 else { return Array(whole.prefix(limit)) }
    return (0..<limit).map { whole[$0 * (whole.count - 1) / (limit - 1)] }
  }

  /// Takes every block away.
  func clearAll() {
    for block in 0..<blocks { fsmvp_store_relaxed(row.word(block), 0) }
    fsmvp_fence_full()
  }
}
