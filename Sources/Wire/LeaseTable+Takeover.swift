import CWire

/// A lease over a file that stood when its table was taken over, with what its row says.
package struct InheritedRow: Sendable {
  package let lease: RegionLease
  package let node: UInt64
  package let root: UInt32
  package let name: [UInt8]
  package let length: Int64
}

/// A lease over the window that stood when its table was taken over, with what its row says. Its map is empty.
package struct InheritedWindowRow: Sendable {
  package let window: RegionWindow
  package let node: UInt64
  package let length: Int64
  package let version: UInt64
}

extension LeaseTable {
  /// The table as a dead control plane left it, in a region that shims serve from now.
  ///
  /// A valid row stands. A row whose generation is odd was being written or had been revoked; in the second case the shim may still be at a read
  /// that began before, so such a row and its map words stay out of use until `freeUnacknowledged`. So do rows that no honest control plane writes;
  /// those are revoked here.
  ///
  /// A window's row stands with every block taken away: what is in its places is not known here.
  /// - Parameters:
  ///   - roots: how many there are, folders all of them.
  ///   - window: the number of the root that is the window.
  package static func takeOver(
    _ region: Region, roots: Int, window: UInt32? = nil, rows: Int = Int(FSMVP_LEASES), mapWords: Int = Int(FSMVP_MAP_BYTES / 8)
  ) -> (table: LeaseTable, standing: [InheritedRow], windows: [InheritedWindowRow], revoked: [UInt64]) {
    let table = LeaseTable(region: region, rows: rows, mapWords: mapWords)
    let high = min(Int(fsmvp_load_acquire32(region.header.half(HeaderField.leasesHigh))), rows)
    var standing: [InheritedRow] = []
    var windows: [InheritedWindowRow] = []
    var doubtful: [Int] = []
    for index in 0..<high {
      let generation = fsmvp_load_acquire32(region.lease(index).half(LeaseField.generation))
      table.generations.append(generation)
      if let row = table.standing(index, generation, roots: roots) {
        standing.append(row)
      } else if let row = table.standingWindow(index, generation, root: window) {
        windows.append(row)
        row.window.clearAll()
      } else if generation < 2 {
        // Never valid, so nobody reads by it.
        table.freeRows.append(index)
      } else {
        doubtful.append(index)
      }
    }
    table.count = standing.count + windows.count
    return (table, standing, windows, doubtful.map { table.setAside($0) })
  }

  private func standing(_ index: Int, _ generation: UInt32, roots: Int) -> InheritedRow? {
    let bytes = region.lease(index)
    let root = bytes.load32(LeaseField.root)
    let nameLength = Int(bytes.load32(LeaseField.nameLength))
    guard Int(root) < roots, nameLength < Int(FSMVP_LEASE_NAME), bytes.load32(LeaseField.flags) == 0 else { return nil }
    let name = bytes.copyOut(LeaseField.name, count: nameLength)
    guard Self.canBeNamed(name), let taken = take(index, generation, blockShift: FSMVP_BLOCK_SHIFT, blocksAWord: 64) else { return nil }
    let lease = RegionLease(row: taken.row, blocks: taken.blocks)
    return InheritedRow(lease: lease, node: taken.node, root: root, name: name, length: taken.length)
  }

  private func standingWindow(_ index: Int, _ generation: UInt32, root: UInt32?) -> InheritedWindowRow? {
    let bytes = region.lease(index)
    guard bytes.load32(LeaseField.root) == root, bytes.load32(LeaseField.nameLength) == 0,
      bytes.load32(LeaseField.flags) == FSMVP_LEASE_WINDOW,
      let taken = take(index, generation, blockShift: FSMVP_WINDOW_SHIFT, blocksAWord: 1)
    else { return nil }
    return InheritedWindowRow(
      window: RegionWindow(row: taken.row, blocks: taken.blocks), node: taken.node, length: taken.length,
      version: bytes.load(LeaseField.version))
  }

  /// Takes the row's map words, where what it says of node, length and map is as this side writes it.
  private func take(
    _ index: Int, _ generation: UInt32, blockShift: UInt32, blocksAWord: Int
  ) -> (row: LeaseRow, node: UInt64, length: Int64, blocks: Int)? {
    guard generation != 0, generation & 1 == 0 else { return nil }
    let bytes = region.lease(index)
    let node = bytes.load(LeaseField.node)
    guard node != 0, let length = Int64(exactly: bytes.load(LeaseField.length)), bytes.load32(LeaseField.blockShift) == blockShift,
      let words = words(index)
    else { return nil }
    let blocks = Self.blocks(of: length, shift: blockShift)
    guard words.count == (blocks + blocksAWord - 1) / blocksAWord, maps.isFree(words) else { return nil }
    _ = maps.take(words)
    return (LeaseRow(region: region, index: index, generation: generation, words: words), node, length, blocks)
  }

  /// The map words that a row names; nil where they are out of bounds.
  private func words(_ index: Int) -> Range<Int>? {
    let row = region.lease(index)
    let offset = row.load(LeaseField.mapOffset)
    let count = Int(row.load32(LeaseField.mapWords))
    guard offset % 8 == 0, let bytes = Int(exactly: offset), count > 0, bytes / 8 <= maps.words, count <= maps.words - bytes / 8 else {
      return nil
    }
    return bytes / 8..<bytes / 8 + count
  }

  /// Keeps a row and its words out of use; the lease that it was last.
  private func setAside(_ index: Int) -> UInt64 {
    let odd = generations[index] | 1
    generations[index] = odd
    fsmvp_store_release32(region.lease(index).half(LeaseField.generation), odd)
    fsmvp_kill_point("control.adopt.lease")
    unacknowledged.rows.append(index)
    // What another row has is that one's: where fields are torn they may name anything.
    if let words = words(index) { unacknowledged.words += maps.take(words) }
    return fsmvp_pack(UInt32(index), odd &- 1)
  }

  /// The shim has acknowledged the revocation of every row in doubt.
  package func freeUnacknowledged() {
    for words in unacknowledged.words { maps.release(words.lowerBound, words.count) }
    freeRows += unacknowledged.rows
    unacknowledged = ([], [])
  }
}
