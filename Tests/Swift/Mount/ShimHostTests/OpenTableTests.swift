import Testing
import Volume

@testable import ShimHost

/// The table as an object, so that expectations can change it.
private final class Table {
  private var table = OpenTable()
  var count: Int { table.count }
  subscript(_ handle: HandleID) -> NodeID? { table[handle] }
  func open(_ handle: HandleID, _ node: NodeID) -> Bool { table.open(handle, node) }
  func close(_ handle: HandleID) -> NodeID? { table.close(handle) }
  func closeAll() -> [(handle: HandleID, node: NodeID)] { table.closeAll() }
}

/// Which handles are open, by row.
@Suite struct OpenTableTests {
  private func handle(_ index: UInt64, _ generation: UInt64) -> HandleID { HandleID(index | generation << 32) }

  @Test("a handle is open from its first open to its close, and asked for again it counts once")
  func counts() {
    let table = Table()
    let file = handle(5, 1)
    #expect(table[file] == nil && table.close(file) == nil)
    #expect(table.open(file, NodeID(7)) && table.open(file, NodeID(7)))
    #expect(table[file] == NodeID(7) && table.count == 1)
    #expect(table.close(file) == NodeID(7) && table.close(file) == nil && table.count == 0)
    #expect(table.open(handle(5, 2), NodeID(8)) && table[file] == nil && table.count == 1)
  }

  @Test("a wrong word in a handle's row costs that handle: another node, another handle in the row, no row, no node")
  func refusals() {
    let table = Table()
    #expect(table.open(handle(3, 4), NodeID(9)))
    #expect(!table.open(handle(3, 4), NodeID(10)))
    #expect(!table.open(handle(3, 5), NodeID(9)))
    #expect(!table.open(handle(65_536, 1), NodeID(9)) && !table.open(handle(0xffff_ffff, 1), NodeID(9)))
    #expect(!table.open(handle(4, 1), NodeID(0)))
    #expect(
      table.count == 1 && table[handle(3, 4)] == NodeID(9) && table[handle(3, 5)] == nil
        && table.close(handle(3, 5)) == nil)
  }

  @Test("every row of the table can be open at once, and all are closed together")
  func full() {
    let table = Table()
    for index in (0..<65_536 as Range<UInt64>).reversed() {
      #expect(table.open(handle(index, index + 1), NodeID(index + 2)))
    }
    #expect(table.count == 65_536)
    let all = table.closeAll()
    #expect(all.count == 65_536 && all.allSatisfy { $0.node.rawValue == ($0.handle.rawValue & 0xffff_ffff) + 2 })
    #expect(table.count == 0 && table[handle(1, 2)] == nil)
  }
}
