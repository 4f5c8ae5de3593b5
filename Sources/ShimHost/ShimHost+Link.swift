import Core
import EventLoop
import Telemetry
import Volume
import Wire

/// A lease as volumes hold it.
private struct GrantedLease: Lease {
  let row: RegionLease
  var id: LeaseID { LeaseID(row.id) }
  var blockSize: Int64 { row.blockSize }
  func mark(_ blocks: Range<Int>) { row.mark(blocks) }
  func unmark(_ blocks: Range<Int>) { row.unmark(blocks) }
}

extension ShimHost: VolumeHost {
  package func grantLease(node: NodeID, root: Int, name: String, length: Int64) -> (any Lease)? {
    guard options.roots.indices.contains(root), let number = UInt32(exactly: root) else { return nil }
    return leases?.grant(node: node.rawValue, root: number, name: Array(name.utf8), length: length).map { GrantedLease(row: $0) }
  }

  package func revoke(_ lease: any Lease, done: @escaping @DispatchLoop () -> Void) {
    guard let row = (lease as? GrantedLease)?.row, let leases, leases.revoke(row) else {
      // Its first revocation answers for it.
      Log.error("lease.revoked_twice", ["lease": lease.id.rawValue])
      return
    }
    say(.revoked(lease: row.id)) {
      leases.free(row)
      done()
    }
  }

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

  func publishStatistics() {
    let figures = volume.statistics
    region?.setStatistics(bytes: figures.bytes, files: figures.files)
  }

  // MARK: Orders and news

  private func say(_ order: Order, done: (@DispatchLoop () -> Void)? = nil) {
    guard region != nil, phase != .ended else {
      // No mount, so nobody holds anything.
      done?()
      return
    }
    let frame = orders.add(order, done: done)
    link?.write(frame)
  }

  func heard(_ bytes: UnsafeRawBufferPointer) {
    reader.append(bytes)
    do throws(FrameError) {
      while let frame = try reader.next() { take(frame) }
    } catch {
      hostileCount &+= 1
      reader = FrameReader()
      link?.close()
      link = nil
      fail("the shim sent what is no message (\(error)), so it is not trusted any more")
    }
  }

  private func take(_ frame: ShimFrame) {
    switch frame {
    case .acknowledged(let number):
      let answer = orders.acknowledge(number)
      if !answer.isKnown { hostileCount &+= 1 }
      answer.done?()
    case .log(let level, let text):
      let pid = process?.pid ?? 0
      switch Log.Level(shimNumber: level) {
      case .error: Log.error("shim", ["pid": pid, "text": text])
      case .warning: Log.warning("shim", ["pid": pid, "text": text])
      case .info: Log.info("shim", ["pid": pid, "text": text])
      case .debug: Log.debug("shim", ["pid": pid, "text": text])
      }
    }
  }

  /// The news of a death, or of a shim that trusts us no more.
  func linkEnded() {
    link?.close()
    link = nil
    guard phase == .serving || phase == .starting else { return }
    Task { @DispatchLoop [weak self] in
      // Of a death the process's own end says more, and comes within milliseconds.
      guard let self, await !shimEnds(within: .milliseconds(500)) else { return }
      fail("the shim closed its link but goes on running, so it is ended")
    }
  }
}
