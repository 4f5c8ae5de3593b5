import CWire

/// The rows of the lease table, all written here. One thread grants, revokes and frees (the dispatch loop's).
///
/// A row's generation is odd from the moment it is not to be used until it says something new and true; the last
/// generation of each row is kept here, as what the region says may have been written by the other side. The mount's
/// `Leases` owns it.
package final class LeaseTable {
  let region: Region
  var maps: MapAllocator
  var generations: [UInt32] = []
  var freeRows: [Int] = []
  let rows: Int
  /// Leases granted and not freed.
  package internal(set) var count = 0
  /// Rows and map words of a table taken over that the shim may still read by, because it has not acknowledged their
  /// revocation.
  var unacknowledged: (rows: [Int], words: [Range<Int>]) = ([], [])

  /// Smaller tables are for tests.
  package init(region: Region, rows: Int = Int(FSMVP_LEASES), mapWords: Int = Int(FSMVP_MAP_BYTES / 8)) {
    self.region = region
    self.rows = rows
    maps = MapAllocator(words: mapWords)
  }

  /// A valid row for the file `name` of the cache root number `root`, with no block marked. Nil where a table is full
  /// or the name cannot be said on the wire (1 to 63 bytes, no '/', no NUL, not beginning with '.').
  package func grant(node: UInt64, root: UInt32, name: [UInt8], length: Int64) -> RegionLease? {
    guard Self.canBeNamed(name), length >= 0 else { return nil }
    let blocks = Self.blocks(of: length, shift: FSMVP_BLOCK_SHIFT)
    let fields = Fields(node: node, root: root, name: name, length: length, blockShift: FSMVP_BLOCK_SHIFT, flags: 0)
    return write(fields, words: (blocks + 63) / 64).map { RegionLease(row: $0, blocks: blocks) }
  }

  /// A valid row for a file whose bytes are in frames of the window, the root number `root`, with no block there. Nil
  /// where a table is full.
  package func grantWindow(node: UInt64, root: UInt32, length: Int64) -> RegionWindow? {
    guard length >= 0 else { return nil }
    let blocks = Self.blocks(of: length, shift: FSMVP_WINDOW_SHIFT)
    let fields = Fields(
      node: node, root: root, name: [], length: length, blockShift: FSMVP_WINDOW_SHIFT, flags: FSMVP_LEASE_WINDOW)
    return write(fields, words: blocks).map { RegionWindow(row: $0, blocks: blocks) }
  }

  private struct Fields {
    var node: UInt64
    var root: UInt32
    var name: [UInt8]
    var length: Int64
    var blockShift: UInt32
    var flags: UInt32
  }

  /// A free row with these fields and so many map words, all 0.
  private func write(_ fields: Fields, words: Int) -> LeaseRow? {
    guard let index = freeRows.popLast() ?? (generations.count < rows ? generations.count : nil) else { return nil }
    guard let firstWord = maps.allocate(words) else {
      if index < generations.count { freeRows.append(index) }
      return nil
    }
    if index == generations.count { generations.append(0) }

    let row = region.lease(index)
    let generationField = row.half(LeaseField.generation)
    let odd = generations[index] | 1
    fsmvp_store_release32(generationField, odd)
    fsmvp_kill_point("control.lease.odd")
    fsmvp_fence_release()
    for word in firstWord..<firstWord + words { fsmvp_store_relaxed(region.mapWord(word), 0) }
    row.store32(LeaseField.root, fields.root)
    row.store(LeaseField.node, fields.node)
    row.store(LeaseField.length, UInt64(fields.length))
    row.store(LeaseField.version, 0)
    row.store(LeaseField.mapOffset, UInt64(firstWord) * 8)
    row.store32(LeaseField.mapWords, UInt32(words))
    row.store32(LeaseField.blockShift, fields.blockShift)
    row.store32(LeaseField.flags, fields.flags)
    row.store32(LeaseField.nameLength, UInt32(fields.name.count))
    row.copyIn(LeaseField.name, fields.name + [UInt8](repeating: 0, count: Int(FSMVP_LEASE_NAME) - fields.name.count))
    // The shim reads no row past the mark, so the mark is raised before the row is valid.
    fsmvp_max_release32(region.header.half(HeaderField.leasesHigh), UInt32(index + 1))
    fsmvp_kill_point("control.lease.written")
    // 0 says "never valid", so the wrap steps over it.
    let even = odd &+ 1 == 0 ? 2 : odd &+ 1
    generations[index] = even
    fsmvp_store_release32(generationField, even)
    fsmvp_kill_point("control.lease.even")
    count += 1
    return LeaseRow(region: region, index: index, generation: even, words: firstWord..<firstWord + words)
  }

  /// Ends the row's validity. The shim may still be at a read that began before; what it holds is free only after it
  /// said so: `free`. False where it was revoked before.
  @discardableResult
  package func revoke(_ lease: some TableLease) -> Bool {
    let row = lease.row
    guard row.end() else { return false }
    generations[row.index] = row.generation | 1
    fsmvp_store_release32(region.lease(row.index).half(LeaseField.generation), row.generation | 1)
    // Before its frames or map words get anything else: a reader in the middle finds that out at its second look.
    fsmvp_fence_full()
    fsmvp_kill_point("control.lease.revoked")
    return true
  }

  /// Gives row and map back, after `revoke` and the shim's acknowledgement; once.
  package func free(_ lease: some TableLease) {
    let row = lease.row
    precondition(
      generations[row.index] == row.generation | 1, "lease \(row.index) is freed before it was revoked, or twice")
    fsmvp_kill_point("control.lease.free")
    maps.release(row.words.lowerBound, row.words.count)
    freeRows.append(row.index)
    count -= 1
  }

  /// Whether the shim can open the name under a root: 1 to 63 bytes, no '/', no NUL, not beginning with '.'.
  package static func canBeNamed(_ name: [UInt8]) -> Bool {
    !name.isEmpty && name.count < Int(FSMVP_LEASE_NAME) && name[0] != 0x2e && !name.contains(0x2f) && !name.contains(0)
  }

  /// A file of no bytes has one.
  static func blocks(of length: Int64, shift: UInt32) -> Int {
    Int((length - (length > 0 ? 1 : 0)) >> Int64(shift)) + 1
  }

  /// Sets where a row's generations go on; for tests of the wrap.
  func begin(row: Int, generation: UInt32) {
    while generations.count <= row {
      if generations.count < row { freeRows.append(generations.count) }
      generations.append(0)
    }
    generations[row] = generation
    freeRows.removeAll { $0 == row }
    freeRows.append(row)
  }
}
