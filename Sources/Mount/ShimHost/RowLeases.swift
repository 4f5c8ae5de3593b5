import Glibc
import Volume
import Wire

/// A lease as volumes hold it: a row of the table. The types of this file are thin values over rows that `LeaseTable`
/// owns; their calls write the region, from any thread. `StandingWindow.take` alone reads bytes of the window, on a
/// worker thread.
protocol RowLease: Lease { var row: RegionLease { get } }

extension RowLease {
  package var id: LeaseID { LeaseID(row.id) }
  package var blockSize: Int64 { row.blockSize }
  package func mark(_ blocks: Range<Int>) { row.mark(blocks) }
  package func unmark(_ blocks: Range<Int>) { row.unmark(blocks) }
  package func presence(cells: Int) -> [UInt8] { row.presence(cells: cells) }
}

struct GrantedLease: RowLease { let row: RegionLease }

/// A lease that stood when its shims were adopted.
struct StandingLease: InheritedLease, RowLease {
  let row: RegionLease
  let node: NodeID
  let root: Int
  let name: String
  let length: Int64
  var marked: [Range<Int>] { row.marked }

  /// Nil where its name is no text, which no volume of ours gives.
  init?(_ standing: InheritedRow) {
    guard let name = String(validating: standing.name, as: UTF8.self) else { return nil }
    row = standing.lease
    node = NodeID(standing.node)
    root = Int(standing.root)
    self.name = name
    length = standing.length
  }
}

/// A window lease as volumes hold it: a row of the table.
protocol RowWindow: WindowLease { var row: RegionWindow { get } }

extension RowWindow {
  package var id: LeaseID { LeaseID(row.id) }
  package var blockSize: Int64 { row.blockSize }
  package func put(_ block: Int, frame: Int, generation: UInt32, isWhole: Bool) {
    row.put(block: block, frame: frame, generation: generation, isWhole: isWhole)
  }
  package func clear(_ block: Int) { row.clear(block: block) }
  package func note(version: UInt64) { row.note(version: version) }
  package func presence(cells: Int) -> [UInt8] { row.presence(cells: cells) }
}

struct GrantedWindow: RowWindow { let row: RegionWindow }

/// A lease of a window that stood when its shims were adopted.
struct StandingWindow: InheritedWindow, RowWindow {
  let row: RegionWindow
  let node: NodeID
  let length: Int64
  let version: UInt64
  let samples: [WindowSample]

  /// Bytes of a block that are worth comparing.
  private static let sampleLength: Int64 = 64 << 10

  /// Reads the window: worker threads only, before anything is written to it.
  static func take(_ rows: [InheritedWindowRow], from window: Int32?) -> [StandingWindow] {
    rows.map { row in
      StandingWindow(
        row, samples: row.frames.compactMap { block, frame in window.flatMap { sample(row, block, frame, $0) } })
    }
  }

  private static func sample(_ row: InheritedWindowRow, _ block: Int, _ frame: Int, _ window: Int32) -> WindowSample? {
    let unit = row.window.blockSize
    let offset = Int64(block) * unit
    let count = Int(min(sampleLength, row.length - offset))
    guard count > 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: count)
    let read = bytes.withUnsafeMutableBytes { pread(window, $0.baseAddress, $0.count, off_t(Int64(frame) * unit)) }
    return read == count ? WindowSample(offset: offset, bytes: bytes) : nil
  }

  private init(_ standing: InheritedWindowRow, samples: [WindowSample]) {
    self.samples = samples
    row = standing.window
    node = NodeID(standing.node)
    length = standing.length
    version = standing.version
  }
}

/// Places as the shim stamps them; without a region none was ever used.
struct RegionUses: WindowUses {
  let region: Region?
  func lastUse(ofFrame frame: Int) -> UInt64 { region?.lastUse(ofFrame: frame) ?? 0 }
}
