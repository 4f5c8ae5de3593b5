import Core
import Telemetry
import Volume
import Wire

/// The lease table of a mount, and the shim's word that it has let go of what ended. The mount's `Channel` owns it;
/// `Leases` owns the `LeaseTable`, which writes the rows in the region; all calls are on the dispatch loop and touch no
/// file.
@DispatchLoop
final class Leases {
  private let table: LeaseTable
  private let link: ShimLink
  /// How many cache roots there are, and the number of the one that is the window.
  private let roots: Int
  private let window: UInt32?

  init(_ table: LeaseTable, roots: Int, window: UInt32?, link: ShimLink) {
    self.table = table
    self.link = link
    self.roots = roots
    self.window = window
  }

  /// Granted and not freed.
  var count: Int { table.count }

  func grant(node: NodeID, root: Int, name: String, length: Int64) throws(LeaseRefusal) -> any Lease {
    let bytes = Array(name.utf8)
    guard root >= 0, root < roots, LeaseTable.canBeNamed(bytes), length >= 0 else { throw .invalid }
    guard let row = table.grant(node: node.rawValue, root: UInt32(root), name: bytes, length: length) else {
      throw .full
    }
    return GrantedLease(row: row)
  }

  func grantWindow(node: NodeID, length: Int64) throws(LeaseRefusal) -> any WindowLease {
    guard let window else { throw .noWindow }
    guard length >= 0 else { throw .invalid }
    guard let row = table.grantWindow(node: node.rawValue, root: window, length: length) else { throw .full }
    return GrantedWindow(row: row)
  }

  func revoke(_ lease: any Lease, done: @escaping @DispatchLoop () -> Void) {
    revoke((lease as? any RowLease)?.row, lease.id, done: done)
  }

  func revoke(_ window: any WindowLease, done: @escaping @DispatchLoop () -> Void) {
    revoke((window as? any RowWindow)?.row, window.id, done: done)
  }

  private func revoke(_ row: (any TableLease)?, _ id: LeaseID, done: @escaping @DispatchLoop () -> Void) {
    guard let row, end(row, done: done) else {
      // Its first revocation answers for it.
      Log.error(.leaseRevokedTwice, ["lease": id.rawValue])
      return
    }
  }

  /// False where it was revoked before.
  @discardableResult
  func end(_ row: some TableLease, done: @escaping @DispatchLoop () -> Void = {}) -> Bool {
    guard table.revoke(row) else { return false }
    let table = table
    link.say(.revoked(lease: row.id)) {
      table.free(row)
      done()
    }
    return true
  }

  /// Tells the shim to release these leases of a table taken over; their rows are free once it has released all of
  /// them. It goes in portions, since there may be 16,384.
  func endDoubtful(_ revoked: [UInt64]) async {
    let table = table
    var unacknowledged = revoked.count
    for (index, lease) in revoked.enumerated() {
      if index % 256 == 255 { await yieldLoop() }
      link.say(.revoked(lease: lease)) {
        unacknowledged -= 1
        if unacknowledged == 0 { table.freeUnacknowledged() }
      }
    }
  }
}
