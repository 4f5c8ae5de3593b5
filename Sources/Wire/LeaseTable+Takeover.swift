import CWire

/// A lease that stood when its table was taken over, with what its row says.
package struct InheritedRow: Sendable {
  package let lease: RegionLease
  package let node: UInt64
  package let root: UInt32
  package let name: [UInt8]
  package let length: Int64
}

extension LeaseTable {
  /// The table as a dead control plane left it, in a region that shims serve from now.
  ///
  /// A valid row stands. A row whose generation is odd was being written or had been revoked; in the second case the shim may still be at a read
  /// that began before, so such a row and its map words stay out of use until `freeUnacknowledged`. So do rows that no honest control plane writes;
  /// those are revoked here.
  /// - Parameter roots: how many there are.
  package static func takeOver(
    _ region: Region, roots: Int, rows: Int = Int(FSMVP_LEASES), mapWords: Int = Int(FSMVP_MAP_BYTES / 8)
  ) -> (table: LeaseTable, standing: [InheritedRow], revoked: [UInt64]) {
    let table = LeaseTable(region: region, rows: rows, mapWords: mapWords)
    let high = min(Int(fsmvp_load_acquire32(region.header.half(HeaderField.leasesHigh))), rows)
    var standing: [InheritedRow] = []
    var doubtful: [Int] = []
    for index in 0..<high {
      let generation = fsmvp_load_acquire32(region.lease(index).half(LeaseField.generation))
      table.generations.append(generation)
      if let row = table.standing(index, generation, roots: roots) {
        standing.append(row)
      } else if generation < 2 {
        // Never valid, so nobody reads by it.
        table.freeRows.append(index)
      } else {
        doubtful.append(index)
      }
    }
    table.count = standing.count
    return (table, standing, doubtful.map { table.setAside($0) })
  }

  /// Takes the row's map words, where all of it is as this side writes it.
  private func standing(_ index: Int, _ generation: UInt32, roots: Int) -> InheritedRow? {
    guard generation != 0, generation & 1 == 0 else { return nil }
    let row = region.lease(index)
    let root = row.load32(LeaseField.root)
    let node = row.load(LeaseField.node)
    let nameLength = Int(row.load32(LeaseField.nameLength))
    guard Int(root) < roots, node != 0, nameLength < Int(FSMVP_LEASE_NAME), let length = Int64(exactly: row.load(LeaseField.length)),
      row.load32(LeaseField.blockShift) == UInt32(FSMVP_BLOCK_SHIFT), let words = words(index)
    else { return nil }
    let name = row.copyOut(LeaseField.name, count: nameLength)
    let blocks = Self.blocks(of: length)
    guard Self.canBeNamed(name), words.count == (blocks + 63) / 64, maps.isFree(words) else { return nil }
    _ = maps.take(words)
    let lease = RegionLease(
      region: region, index: index, generation: generation, firstWord: words.lowerBound, words: words.count, blocks: blocks)
    return InheritedRow(lease: lease, node: node, root: root, name: name, length: length)
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
