import CWire

/// How much of a file is here, as coarsely as a person looks at it. These are pure functions over a lease's map, which
/// is read without a lock and may change meanwhile.
enum Presence {
  /// The value of a cell of which everything is here.
  static let whole: UInt8 = 15

  /// - Parameters:
  ///   - cells: at most so many; a file of fewer blocks gets one a block.
  ///   - count: how many of these blocks are here.
  /// - Returns: for each of equal parts of the file 0 (nothing is here) to 15 (all is).
  static func cells(of blocks: Int, atMost cells: Int, count: (Range<Int>) -> Int) -> [UInt8] {
    let cells = min(cells, blocks)
    guard cells > 0 else { return [] }
    return (0..<cells).map { cell in
      let range = blocks * cell / cells..<blocks * (cell + 1) / cells
      let here = count(range)
      // A part that is neither empty nor full never has the value of an empty or full one.
      if here == 0 || here >= range.count { return here == 0 ? 0 : whole }
      return UInt8(max(1, min(14, here * 15 / range.count)))
    }
  }
}

extension RegionLease {
  /// See `Presence.cells`; all 0 once the lease has ended.
  package func presence(cells: Int) -> [UInt8] {
    var values = [UInt8](repeating: 0, count: min(cells, blocks))
    row.whileValid { values = Presence.cells(of: blocks, atMost: cells, count: marks) }
    return values
  }

  private func marks(in range: Range<Int>) -> Int {
    (range.lowerBound / 64...(range.upperBound - 1) / 64).reduce(0) { sum, word in
      let low = max(range.lowerBound - word * 64, 0)
      let high = min(range.upperBound - word * 64, 64)
      let bits = UInt64.max << UInt64(low) & UInt64.max >> UInt64(64 - high)
      return sum + (fsmvp_load_relaxed(row.word(word)) & bits).nonzeroBitCount
    }
  }
}

extension RegionWindow {
  /// See `Presence.cells`; all 0 once the lease has ended.
  package func presence(cells: Int) -> [UInt8] {
    var values = [UInt8](repeating: 0, count: min(cells, blocks))
    row.whileValid {
      values = Presence.cells(of: blocks, atMost: cells) { range in
        range.count { fsmvp_frame_number(fsmvp_load_relaxed(row.word($0))) != 0 }
      }
    }
    return values
  }
}
