import Volume
import Wire

/// Handles that were told to the volume as open, and not yet as released: by the row of the handle table they are in.
/// An array, since each step of a dictionary of 65,536 handles that grows would stop the loop for milliseconds. It is a
/// value in `Dispatch`, which owns it; it touches nothing else.
struct OpenTable {
  private struct Row {
    var handle: UInt64
    /// 0: the row is not in use.
    var node: UInt64
  }

  private var rows: [Row] = []
  private(set) var count = 0

  private static func index(_ handle: HandleID) -> Int { Int(handle.rawValue & 0xffff_ffff) }

  /// The node it was opened for; nil if it is not open.
  subscript(_ handle: HandleID) -> NodeID? {
    let index = Self.index(handle)
    guard index < rows.count, rows[index].handle == handle.rawValue, rows[index].node != 0 else { return nil }
    return NodeID(rows[index].node)
  }

  /// - Returns: false, and nothing changes, if another handle is open in that row, if this one is open for another
  ///   node, or if no table has such a row or node. An honest shim asks for none of that.
  mutating func open(_ handle: HandleID, _ node: NodeID) -> Bool {
    let index = Self.index(handle)
    guard index < WireProtocol.handles, node.rawValue != 0 else { return false }
    while rows.count <= index { rows.append(Row(handle: 0, node: 0)) }
    guard rows[index].node == 0 else {
      return rows[index].handle == handle.rawValue && rows[index].node == node.rawValue
    }
    rows[index] = Row(handle: handle.rawValue, node: node.rawValue)
    count += 1
    return true
  }

  /// The node it was open for; nil if it was not.
  mutating func close(_ handle: HandleID) -> NodeID? {
    guard let node = self[handle] else { return nil }
    rows[Self.index(handle)].node = 0
    count -= 1
    return node
  }

  /// All that are open; none is afterwards.
  mutating func closeAll() -> [(handle: HandleID, node: NodeID)] {
    defer { (rows, count) = ([], 0) }
    return rows.filter { $0.node != 0 }.map { (HandleID($0.handle), NodeID($0.node)) }
  }
}
