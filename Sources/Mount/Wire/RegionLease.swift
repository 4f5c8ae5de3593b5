import CWire

/// A row over a file, and its map of a bit a block. Blocks are marked from any thread. It has no state but the row's:
/// `LeaseTable` makes it and writes the row's fields.
package struct RegionLease: TableLease {
  package let row: LeaseRow
  /// Blocks of the file; a file of no bytes has one.
  package let blocks: Int

  /// Bytes a block.
  package var blockSize: Int64 { 1 << Int64(FSMVP_BLOCK_SHIFT) }

  /// Marks blocks whose bytes are all in the file; what is past the end is ignored, and all of it after the lease has
  /// ended.
  package func mark(_ blocks: Range<Int>) { change(blocks) { word, bits in fsmvp_or_release(word, bits) } }

  package func unmark(_ blocks: Range<Int>) {
    change(blocks) { word, bits in
      var seen = fsmvp_load_relaxed(word)
      while !fsmvp_cas(word, seen, seen & ~bits) { seen = fsmvp_load_relaxed(word) }
    }
  }

  private func change(_ range: Range<Int>, _ apply: (UnsafeMutablePointer<UInt64>, UInt64) -> Void) {
    let range = range.clamped(to: 0..<blocks)
    guard !range.isEmpty else { return }
    row.whileValid {
      for word in range.lowerBound / 64...(range.upperBound - 1) / 64 {
        let low = max(range.lowerBound - word * 64, 0)
        let high = min(range.upperBound - word * 64, 64)
        apply(row.word(word), UInt64.max << UInt64(low) & UInt64.max >> UInt64(64 - high))
      }
    }
  }

  /// The blocks that are marked now, in rising runs that do not touch.
  package var marked: [Range<Int>] {
    var runs: [Range<Int>] = []
    for word in 0..<row.words.count {
      var bits = fsmvp_load_acquire(row.word(word))
      // Bits past the file's end belong to no block.
      if word == row.words.count - 1, blocks % 64 != 0 { bits &= UInt64.max >> UInt64(64 - blocks % 64) }
      var at = 0
      while bits >> UInt64(at) != 0, at < 64 {
        at += (bits >> UInt64(at)).trailingZeroBitCount
        let length = (~(bits >> UInt64(at))).trailingZeroBitCount
        let run = word * 64 + at..<word * 64 + at + length
        if let last = runs.last, last.upperBound == run.lowerBound {
          runs[runs.count - 1] = last.lowerBound..<run.upperBound
        } else {
          runs.append(run)
        }
        at += length
      }
    }
    return runs
  }
}
