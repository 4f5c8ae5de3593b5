import Volume
import Wire

/// A window lease as volumes hold it: a row of the table.
protocol RowWindow: WindowLease { var row: RegionWindow { get } }

extension RowWindow {
  package var id: LeaseID { LeaseID(row.id) }
  package var blockSize: Int64 { row.blockSize }
  package func put(_ block: Int, place: Int, generation: UInt32, isWhole: Bool) {
    row.put(block: block, place: place, generation: generation, isWhole: isWhole)
  }
  package func clear(_ block: Int) { row.clear(block: block) }
  package func note(version: UInt64) { row.note(version: version) }
  package func presence(cells: Int) -> [UInt8] { row.presence(cells: cells) }
}

struct GrantedWindow: RowWindow { let row: RegionWindow }

/// One that stood when its shims were adopted.
struct StandingWindow: InheritedWindow, RowWindow {
  let row: RegionWindow
  let node: NodeID
  let length: Int64
  let version: UInt64

  init(_ standing: InheritedWindowRow) {
    row = standing.window
    node = NodeID(standing.node)
    length = standing.length
    version = standing.version
  }
}

/// Places as the shim stamps them; without a region none was ever used.
struct RegionUses: WindowUses {
  let region: Region?
  func lastUse(ofPlace place: Int) -> UInt64 { region?.lastUse(ofPlace: place) ?? 0 }
}

/// A slot that was answered: under way until the shim has replied, or asks again.
struct SlotDelivery: Delivery {
  let ring: SlotRing
  let id: SlotID
  var isUnderWay: Bool { ring.isUnderWay(id) }
}
