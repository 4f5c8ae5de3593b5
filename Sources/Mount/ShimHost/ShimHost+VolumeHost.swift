import Core
import Volume
import Wire

/// The calls that the volume makes on its mount. They come on the dispatch loop and keep no state of their own: leases
/// go to `Leases`, orders to `ShimLink`, figures come from the region.
extension ShimHost: VolumeHost {
  package func grantLease(node: NodeID, root: Int, name: String, length: Int64) throws(LeaseRefusal) -> any Lease {
    guard let channel else { throw .notMounted }
    return try channel.leases.grant(node: node, root: root, name: name, length: length)
  }

  package func grantWindow(node: NodeID, length: Int64) throws(LeaseRefusal) -> any WindowLease {
    guard options.window != nil else { throw .noWindow }
    guard let channel else { throw .notMounted }
    return try channel.leases.grantWindow(node: node, length: length)
  }

  package func revoke(_ lease: any Lease, done: @escaping @DispatchLoop () -> Void) {
    guard let channel, hearsOrders else { return done() }
    channel.leases.revoke(lease, done: done)
  }

  package func revoke(_ window: any WindowLease, done: @escaping @DispatchLoop () -> Void) {
    guard let channel, hearsOrders else { return done() }
    channel.leases.revoke(window, done: done)
  }

  package var windowUses: any WindowUses { RegionUses(region: channel?.region) }

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

  package func use(of handle: HandleID) -> HandleUse { channel?.dispatch.use(of: handle) ?? HandleUse() }

  package func opener(of handle: HandleID) -> Int32 { channel?.dispatch.opener(of: handle) ?? 0 }

  func publishStatistics() {
    let figures = volume.statistics
    channel?.region.setStatistics(bytes: figures.bytes, files: figures.files)
  }

  private func say(_ order: Order, done: (@DispatchLoop () -> Void)? = nil) {
    if hearsOrders { link.say(order, done: done) } else { done?() }
  }

  /// Without a mount there is nothing to carry out, and nothing that a shim holds.
  private var hearsOrders: Bool {
    switch phase {
    case .idle, .failed, .ended: false
    case .starting, .serving, .stopping: channel != nil
    }
  }
}
