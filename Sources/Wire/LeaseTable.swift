import CWire
import Synchronization

/// The rows of the lease table, all written here. One thread grants, revokes and frees (the dispatch loop's).
///
/// A row's generation is odd from the moment it is not to be used until it says something new and true; the last generation of each row is kept
/// here, as what the region says may have been written by the other side.
package final class LeaseTable {
  let region: Region
  var maps: MapAllocator
  var generations: [UInt32] = []
  var freeRows: [Int] = []
  let rows: Int
  /// Leases granted and not freed.
  package internal(set) var count = 0
  /// Of a table taken over: rows and map words that a shim may still read by, because nobody knows whether it has let go.
  var unacknowledged: (rows: [Int], words: [Range<Int>]) = ([], [])

  /// Smaller tables are for tests.
  package init(region: Region, rows: Int = Int(FSMVP_LEASES), mapWords: Int = Int(FSMVP_MAP_BYTES / 8)) {
    self.region = region
    self.rows = rows
    maps = MapAllocator(words: mapWords)
  }

  /// A valid row for the file `name` of the cache root number `root`, with no block marked. Nil where a table is full or the name cannot be said
  /// on the wire (1 to 63 bytes, no '/', no NUL, not beginning with '.').
  package func grant(node: UInt64, root: UInt32, name: [UInt8], length: Int64) -> RegionLease? {
    guard Self.canBeNamed(name), length >= 0 else { return nil }
    let blocks = Self.blocks(of: length)
    let words = (blocks + 63) / 64
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
    row.store32(LeaseField.root, root)
    row.store(LeaseField.node, node)
    row.store(LeaseField.length, UInt64(length))
    row.store(LeaseField.mapOffset, UInt64(firstWord) * 8)
    row.store32(LeaseField.mapWords, UInt32(words))
    row.store32(LeaseField.blockShift, UInt32(FSMVP_BLOCK_SHIFT))
    row.store32(LeaseField.flags, 0)
    row.store32(LeaseField.nameLength, UInt32(name.count))
    row.copyIn(LeaseField.name, name + [UInt8](repeating: 0, count: Int(FSMVP_LEASE_NAME) - name.count))
    // A row past the mark is looked at by nobody, so the mark is raised before the row is valid.
    fsmvp_max_release32(region.header.half(HeaderField.leasesHigh), UInt32(index + 1))
    fsmvp_kill_point("control.lease.written")
    // 0 says "never valid", so the wrap steps over it.
    let even = odd &+ 1 == 0 ? 2 : odd &+ 1
    generations[index] = even
    fsmvp_store_release32(generationField, even)
    fsmvp_kill_point("control.lease.even")
    count += 1
    return RegionLease(region: region, index: index, generation: even, firstWord: firstWord, words: words, blocks: blocks)
  }

  /// Ends the row's validity. The shim may still be at a read that began before; what it holds is free only after it said so: `free`.
  /// False where it was revoked before.
  @discardableResult
  package func revoke(_ lease: RegionLease) -> Bool {
    guard lease.end() else { return false }
    generations[lease.index] = lease.generation | 1
    fsmvp_store_release32(region.lease(lease.index).half(LeaseField.generation), lease.generation | 1)
    fsmvp_kill_point("control.lease.revoked")
    return true
  }

  /// Gives row and map back, after `revoke` and the shim's acknowledgement; once.
  package func free(_ lease: RegionLease) {
    precondition(generations[lease.index] == lease.generation | 1, "lease \(lease.index) is freed before it was revoked, or twice")
    fsmvp_kill_point("control.lease.free")
    maps.release(lease.firstWord, lease.words)
    freeRows.append(lease.index)
    count -= 1
  }

  /// What the shim can open under a root: 1 to 63 bytes, no '/', no NUL, not beginning with '.'.
  static func canBeNamed(_ name: [UInt8]) -> Bool {
    !name.isEmpty && name.count < Int(FSMVP_LEASE_NAME) && name[0] != 0x2e && !name.contains(0x2f) && !name.contains(0)
  }

  /// A file of no bytes has one.
  static func blocks(of length: Int64) -> Int { Int((length - (length > 0 ? 1 : 0)) >> Int64(FSMVP_BLOCK_SHIFT)) + 1 }

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

/// A granted row and its block map. Blocks are marked from any thread.
package final class RegionLease: Sendable {
  private let region: Region
  let index: Int
  let generation: UInt32
  let firstWord: Int
  let words: Int
  /// Blocks of the file; a file of no bytes has one.
  package let blocks: Int
  /// Once it is false the map's words may belong to another lease: a late mark there would vouch for bytes that are not.
  private let isValid = Mutex(true)

  init(region: Region, index: Int, generation: UInt32, firstWord: Int, words: Int, blocks: Int) {
    self.region = region
    self.index = index
    self.generation = generation
    self.firstWord = firstWord
    self.words = words
    self.blocks = blocks
  }

  /// As it stands in handle rows and orders; never 0.
  package var id: UInt64 { fsmvp_pack(UInt32(index), generation) }
  /// Bytes a block.
  package var blockSize: Int64 { 1 << Int64(FSMVP_BLOCK_SHIFT) }

  /// Marks blocks whose bytes are all in the file; what is past the end is ignored, and all of it after the lease has ended.
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
    isValid.withLock { isValid in
      guard isValid else { return }
      for word in range.lowerBound / 64...(range.upperBound - 1) / 64 {
        let low = max(range.lowerBound - word * 64, 0)
        let high = min(range.upperBound - word * 64, 64)
        apply(region.mapWord(firstWord + word), UInt64.max << UInt64(low) & UInt64.max >> UInt64(64 - high))
      }
    }
  }

  /// The blocks that are marked now, in rising runs that do not touch.
  package var marked: [Range<Int>] {
    var runs: [Range<Int>] = []
    for word in 0..<words {
      var bits = fsmvp_load_acquire(region.mapWord(firstWord + word))
      // Bits past the file are nobody's.
      if word == words - 1, blocks % 64 != 0 { bits &= UInt64.max >> UInt64(64 - blocks % 64) }
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

  /// False where it has ended already.
  func end() -> Bool {
    isValid.withLock { isValid in
      defer { isValid = false }
      return isValid
    }
  }
}
