import Core
import EventLoop
import Telemetry
import Volume
import Wire

/// A lease as volumes hold it: a row of the table.
private protocol RowLease: Lease { var row: RegionLease { get } }

extension RowLease {
  var id: LeaseID { LeaseID(row.id) }
  var blockSize: Int64 { row.blockSize }
  func mark(_ blocks: Range<Int>) { row.mark(blocks) }
  func unmark(_ blocks: Range<Int>) { row.unmark(blocks) }
  func presence(cells: Int) -> [UInt8] { row.presence(cells: cells) }
}

private struct GrantedLease: RowLease { let row: RegionLease }

/// One that stood when its shims were adopted.
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

extension ShimHost: VolumeHost {
  package func grantLease(node: NodeID, root: Int, name: String, length: Int64) -> (any Lease)? {
    guard options.roots.indices.contains(root), let number = UInt32(exactly: root) else { return nil }
    return leases?.grant(node: node.rawValue, root: number, name: Array(name.utf8), length: length).map { GrantedLease(row: $0) }
  }

  package func grantWindow(node: NodeID, length: Int64) -> (any WindowLease)? {
    guard let root = options.windowRoot else { return nil }
    return leases?.grantWindow(node: node.rawValue, root: root, length: length).map { GrantedWindow(row: $0) }
  }

  package func revoke(_ lease: any Lease, done: @escaping @DispatchLoop () -> Void) {
    revoke((lease as? any RowLease)?.row, lease.id, done: done)
  }

  package func revoke(_ window: any WindowLease, done: @escaping @DispatchLoop () -> Void) {
    revoke((window as? any RowWindow)?.row, window.id, done: done)
  }

  private func revoke(_ row: (any TableLease)?, _ id: LeaseID, done: @escaping @DispatchLoop () -> Void) {
    guard let row, end(row, done: done) else {
      // Its first revocation answers for it.
      Log.error("lease.revoked_twice", ["lease": id.rawValue])
      return
    }
  }

  /// False where it was revoked before.
  @discardableResult
  func end(_ row: some TableLease, done: @escaping @DispatchLoop () -> Void = {}) -> Bool {
    guard let leases, leases.revoke(row) else { return false }
    say(.revoked(lease: row.id)) {
      leases.free(row)
      done()
    }
    return true
  }

  package var windowUses: any WindowUses { RegionUses(region: region) }

  package func invalidateAttributes(of nodes: [NodeID], done: @escaping @DispatchLoop () -> Void) {
    publishStatistics()
    guard let last = nodes.last else { return done() }
    for node in nodes.dropLast() { say(.invalidateAttributes(node: node.rawValue)) }
    // Orders are carried out one after the other, so the last one's end is the end of all.
    say(.invalidateAttributes(node: last.rawValue), done: done)
  }

  package func invalidatePages(of node: NodeID, done: @escaping @DispatchLoop () -> Void) {
    say(.invalidatePages(node: node.rawValue), done: done)
  }

  package func use(of handle: HandleID) -> HandleUse { rows?.row(of: handle.rawValue)?.use ?? HandleUse() }

  package func opener(of handle: HandleID) -> Int32 { rows?.row(of: handle.rawValue).map { Int32(clamping: $0.pid) } ?? 0 }

  func publishStatistics() {
    let figures = volume.statistics
    region?.setStatistics(bytes: figures.bytes, files: figures.files)
  }

  // MARK: Orders

  func say(_ order: Order, done: (@DispatchLoop () -> Void)? = nil) {
    guard region != nil, phase != .ended, phase != .failed else {
      // No mount, so nobody holds anything.
      done?()
      return
    }
    let frame = orders.add(order, done: done)
    link?.write(frame)
  }
}
