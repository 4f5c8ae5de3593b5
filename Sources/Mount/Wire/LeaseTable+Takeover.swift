import CWire

/// A lease over a file that stood when its table was taken over, with what its row says.
package struct InheritedRow: Sendable {
  package let lease: RegionLease
  package let node: UInt64
  package let root: UInt32
  package let name: [UInt8]
  package let length: Int64
}

/// A lease over the window that stood when its table was taken over, with what its row says. Its map is empty now.
package struct InheritedWindowRow: Sendable {
  package let window: RegionWindow
  package let node: UInt64
  package let length: Int64
  package let version: UInt64
  /// Blocks that were whole, and their frames: at most `InheritedWindowRow.mostFrames`, from all over the file. No
  /// frame has been overwritten since.
  package let frames: [(block: Int, frame: Int)]
  package static let mostFrames = 4
}

/// The table of a dead control plane, read from the region and checked, before the new one grants anything. A worker
/// thread does it, and the table goes to the dispatch loop afterwards.
extension LeaseTable {
  /// The table as a dead control plane left it, in a region that shims serve from now.
  ///
  /// A valid row stands. A row whose generation is odd was being written or had been revoked; in the second case the
  /// shim may still be at a read that began before, so such a row and its map words stay out of use until
  /// `freeUnacknowledged`. So do rows that no honest control plane writes; those are revoked here.
  ///
  /// A window's row stands with every block taken away: what is in its frames is not known here.
  /// - Parameters:
  ///   - roots: how many there are, folders all of them.
  ///   - window: the number of the root that is the window.
  package static func takeOver(
    _ region: Region, roots: Int, window: UInt32? = nil, rows: Int = Int(FSMVP_LEASES),
    mapWords: Int = Int(FSMVP_MAP_BYTES / 8)
  ) -> (table: LeaseTable, standing: [InheritedRow], windows: [InheritedWindowRow], revoked: [UInt64]) {
    let table = LeaseTable(region: region, rows: rows, mapWords: mapWords)
    let high = min(Int(fsmvp_load_acquire32(region.header.half(HeaderField.leasesHigh))), rows)
    table.generations = (0..<high).map { fsmvp_load_acquire32(region.lease($0).half(LeaseField.generation)) }
    let claims = (0..<high).compactMap { table.claim($0, roots: roots, window: window) }
    // If rows name the same words, the one with the lowest number stands, because the claims are examined in the order
    // of the rows.
    var used = Runs()
    let kept = claims.filter { used.add($0.words) }
    var standing: [InheritedRow] = []
    var windows: [InheritedWindowRow] = []
    for claim in kept {
      let row = LeaseRow(
        region: region, index: claim.index, generation: table.generations[claim.index], words: claim.words)
      if let file = claim.file {
        let lease = RegionLease(row: row, blocks: claim.blocks)
        standing.append(
          InheritedRow(lease: lease, node: claim.node, root: file.root, name: file.name, length: claim.length))
      } else {
        let lease = RegionWindow(row: row, blocks: claim.blocks)
        let frames = lease.wholeBlocks(atMost: InheritedWindowRow.mostFrames)
        lease.clearAll()
        windows.append(
          InheritedWindowRow(
            window: lease, node: claim.node, length: claim.length, version: claim.version, frames: frames))
      }
    }
    table.count = kept.count

    var isKept = [Bool](repeating: false, count: high)
    for claim in kept { isKept[claim.index] = true }
    var doubtful: [Int] = []
    for index in 0..<high where !isKept[index] {
      // Never valid, so nothing is read by it.
      if table.generations[index] < 2 { table.freeRows.append(index) } else { doubtful.append(index) }
    }
    let revoked = doubtful.map { table.setAside($0, &used) }
    table.maps = MapAllocator(words: mapWords, used: used.sorted)
    return (table, standing, windows, revoked)
  }

  /// The content of a valid row that is as this side writes it.
  private struct Claim {
    var index: Int
    var node: UInt64
    var length: Int64
    var blocks: Int
    var words: Range<Int>
    /// Nil of a window.
    var file: (root: UInt32, name: [UInt8])?
    var version: UInt64
  }

  private func claim(_ index: Int, roots: Int, window: UInt32?) -> Claim? {
    let generation = generations[index]
    guard generation != 0, generation & 1 == 0 else { return nil }
    let bytes = region.lease(index)
    let root = bytes.load32(LeaseField.root)
    let flags = bytes.load32(LeaseField.flags)
    let nameLength = Int(bytes.load32(LeaseField.nameLength))
    let isWindow = flags == FSMVP_LEASE_WINDOW && nameLength == 0 && root == window
    var file: (root: UInt32, name: [UInt8])?
    if !isWindow {
      guard flags == 0, Int(root) < roots, nameLength < Int(FSMVP_LEASE_NAME) else { return nil }
      let name = bytes.copyOut(LeaseField.name, count: nameLength)
      guard Self.canBeNamed(name) else { return nil }
      file = (root, name)
    }
    let blockShift = isWindow ? FSMVP_WINDOW_SHIFT : FSMVP_BLOCK_SHIFT
    let node = bytes.load(LeaseField.node)
    guard node != 0, let length = Int64(exactly: bytes.load(LeaseField.length)),
      bytes.load32(LeaseField.blockShift) == blockShift,
      let words = words(index)
    else { return nil }
    let blocks = Self.blocks(of: length, shift: blockShift)
    guard words.count == (isWindow ? blocks : (blocks + 63) / 64) else { return nil }
    return Claim(
      index: index, node: node, length: length, blocks: blocks, words: words, file: file,
      version: isWindow ? bytes.load(LeaseField.version) : 0)
  }

  /// The map words that a row names; nil where they are out of bounds.
  private func words(_ index: Int) -> Range<Int>? {
    let row = region.lease(index)
    let offset = row.load(LeaseField.mapOffset)
    let count = Int(row.load32(LeaseField.mapWords))
    guard offset % 8 == 0, let bytes = Int(exactly: offset), count > 0, bytes / 8 <= maps.words,
      count <= maps.words - bytes / 8
    else {
      return nil
    }
    return bytes / 8..<bytes / 8 + count
  }

  /// Keeps a row and its words out of use; the lease that it was last.
  private func setAside(_ index: Int, _ used: inout Runs) -> UInt64 {
    let odd = generations[index] | 1
    generations[index] = odd
    fsmvp_store_release32(region.lease(index).half(LeaseField.generation), odd)
    fsmvp_kill_point("control.adopt.lease")
    unacknowledged.rows.append(index)
    // Words that another row holds stay with that row: torn fields may name any words.
    if let words = words(index) { unacknowledged.words += used.addRest(of: words) }
    return fsmvp_pack(UInt32(index), odd &- 1)
  }

  /// The shim has acknowledged the revocation of every row in doubt.
  package func freeUnacknowledged() {
    for words in unacknowledged.words { maps.release(words.lowerBound, words.count) }
    freeRows += unacknowledged.rows
    unacknowledged = ([], [])
  }
}

/// Which words are taken while a table is taken over, a bit a word: adding a run costs its length, however many there
/// are.
private struct Runs {
  private var bits: [UInt64] = []

  /// False, and nothing is added, if any word of it is taken.
  mutating func add(_ run: Range<Int>) -> Bool {
    grow(to: run.upperBound)
    var isFree = true
    Self.each(run) { word, mask in isFree = isFree && bits[word] & mask == 0 }
    if isFree { set(run) }
    return isFree
  }

  /// Adds what is not taken yet; the parts that were not.
  mutating func addRest(of run: Range<Int>) -> [Range<Int>] {
    grow(to: run.upperBound)
    var parts: [Range<Int>] = []
    for word in run where bits[word / 64] >> UInt64(word % 64) & 1 == 0 {
      if let last = parts.last, last.upperBound == word {
        parts[parts.count - 1] = last.lowerBound..<word + 1
      } else {
        parts.append(word..<word + 1)
      }
    }
    set(run)
    return parts
  }

  /// Everything that is taken, in rising runs that do not touch.
  var sorted: [Range<Int>] {
    var runs: [Range<Int>] = []
    for (index, word) in bits.enumerated() where word != 0 {
      var at = 0
      while at < 64, word >> UInt64(at) != 0 {
        at += (word >> UInt64(at)).trailingZeroBitCount
        let length = (~(word >> UInt64(at))).trailingZeroBitCount
        let start = index * 64 + at
        if let last = runs.last, last.upperBound == start {
          runs[runs.count - 1] = last.lowerBound..<start + length
        } else {
          runs.append(start..<start + length)
        }
        at += length
      }
    }
    return runs
  }

  private mutating func grow(to words: Int) {
    let count = (words + 63) / 64
    if bits.count < count { bits += [UInt64](repeating: 0, count: max(count, bits.count * 2) - bits.count) }
  }

  private static func each(_ run: Range<Int>, _ body: (_ word: Int, _ mask: UInt64) -> Void) {
    for word in run.lowerBound / 64...(run.upperBound - 1) / 64 {
      let low = max(run.lowerBound - word * 64, 0)
      let high = min(run.upperBound - word * 64, 64)
      body(word, UInt64.max << UInt64(low) & UInt64.max >> UInt64(64 - high))
    }
  }

  private mutating func set(_ run: Range<Int>) {
    Self.each(run) { word, mask in bits[word] |= mask }
  }
}
