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

  package func invalidateAttributes(
    directories: [NodeID], files: [NodeID], done: @escaping @DispatchLoop () -> Void
  ) {
    publishStatistics()
    guard let channel, files.count > Self.filesToldSingly, !channel.region.lacksEpochs else {
      return say(nodes: directories + files, done: done)
    }
    say(nodes: directories) {}
    say(.invalidateNames) { [weak self] in
      // Only the first time: the kernel was asked by that order.
      if channel.region.lacksEpochs, let self { say(nodes: files, done: done) } else { done() }
    }
  }

  /// The kernel forgets all names instead of more files than these: to look a name up again costs about as much as to
  /// be told of it, and most are not looked up again.
  private static let filesToldSingly = 10_000

  /// Orders are carried out one after the other, so the last one's end is the end of all.
  private func say(nodes: [NodeID], done: @escaping @DispatchLoop () -> Void) {
    guard !nodes.isEmpty else { return done() }
    for first in stride(from: 0, to: nodes.count, by: Order.nodesMax) {
      let end = min(first + Order.nodesMax, nodes.count)
      say(.invalidateAttributes(nodes: nodes[first..<end].map(\.rawValue)), done: end == nodes.count ? done : nil)
    }
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
