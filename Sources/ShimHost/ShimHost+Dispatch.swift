import Core
import Glibc
import Telemetry
import Volume
import Wire

extension ShimHost {
  /// The doorbell's callback.
  func rang() {
    bell?.clear()
    look()
    serve()
  }

  /// Takes every slot that is submitted, then what was released.
  func serve() {
    guard let ring else { return }
    ring.walk { answer($0, ring) }
    collectReleased()
    guard phase == .serving, ring.hostileCount &+ hostileHandles != hostileSeen else { return }
    hostileSeen = ring.hostileCount &+ hostileHandles
    distrust("it wrote a value out of range into the region")
  }

  private func answer(_ request: SlotRequest, _ ring: SlotRing) {
    let id = request.id
    guard phase == .serving || phase == .starting else {
      ring.complete(id, .failed(.io))
      return
    }
    let node = NodeID(request.node)
    do throws(Errno) {
      switch request.call {
      case .lookup(let bytes):
        let name = FileName(bytes)
        guard name.isValid else { throw .noEntry }
        let found = try volume.lookup(name, in: node)
        if found.kind == .directory { remember(found.node, in: node) }
        ring.complete(id, .attributes(wire(found)))
      case .getattr:
        ring.complete(id, .attributes(wire(try volume.attributes(of: node))))
      case .readdir(let cursor):
        ring.complete(id, .listing(try list(node, after: cursor, ring.listing(for: id))))
      case .open:
        open(node, request, ring)
      case .read(let range):
        let handle = HandleID(request.handle)
        guard opened[handle] == node else { throw .badHandle }
        volume.read(node, handle: handle, range: range, wasBad: request.wasBad) { answer in
          switch answer {
          case .bytes(let bytes, let lease):
            return ring.complete(id, .bytes(bytes, from: lease?.rawValue ?? 0)) ? SlotDelivery(ring: ring, id: id) : nil
          case .failed(let error):
            ring.complete(id, .failed(error))
            return nil
          }
        }
      }
    } catch {
      ring.complete(id, .failed(error))
    }
  }

  private func open(_ node: NodeID, _ request: SlotRequest, _ ring: SlotRing) {
    let id = request.id
    let handle = HandleID(request.handle)
    // A row that is not OPENING belongs to a caller who has gone already: nobody would ever tell its end.
    guard rows?.isOpening(request.handle) == true else {
      ring.complete(id, .failed(.io))
      return
    }
    // Asked again, where a control plane that died had taken it, it is counted already.
    guard opened[handle] == nil || opened[handle] == node else {
      hostileHandles &+= 1
      ring.complete(id, .failed(.io))
      return
    }
    opened[handle] = node
    volume.open(node, handle: handle) { result in
      switch result {
      case .success(let lease): ring.complete(id, .opened(lease: lease?.rawValue ?? 0))
      case .failure(let error): ring.complete(id, .failed(error))
      }
    }
  }

  // MARK: Listings

  /// `.` and `..` are not the volume's: they take the cursors 1 and 2, and an entry's own cursor stands 2 higher on the wire.
  private static let dots: UInt64 = 2

  private func list(_ node: NodeID, after cursor: UInt64, _ listing: ListingWriter) throws(Errno) -> Int {
    var listing = listing
    if cursor < Self.dots {
      let own = try volume.attributes(of: node)
      guard own.kind == .directory else { throw .notDirectory }
      var above = own
      above.node = parents[node] ?? .root
      if cursor < 1 { _ = listing.append(name: [0x2e], cursor: 1, attributes: wire(own)) }
      _ = listing.append(name: [0x2e, 0x2e], cursor: 2, attributes: wire(above))
    }
    try volume.list(node, after: cursor < Self.dots ? 0 : cursor - Self.dots) { name, cursor, attributes in
      // Cursors are the kernel's file positions, which have a sign; what cannot be said is left out.
      guard name.isValid, cursor <= UInt64(Int64.max) - Self.dots else { return true }
      return listing.append(name: name.bytes, cursor: cursor + Self.dots, attributes: wire(attributes))
    }
    return listing.count
  }

  func remember(_ node: NodeID, in parent: NodeID) {
    // Only a hint for `..`; the bound keeps a volume of many directories from growing it for ever.
    if parents.count >= 4096 { parents = [:] }
    parents[node] = parent
  }

  private func wire(_ attributes: Attributes) -> WireAttributes {
    let isDirectory = attributes.kind == .directory
    return WireAttributes(
      node: attributes.node.rawValue, size: UInt64(max(0, attributes.size)), modified: attributes.modified,
      mode: isDirectory ? UInt32(S_IFDIR) | 0o755 : UInt32(S_IFREG) | 0o644, nlink: isDirectory ? 2 : 1, uid: uid, gid: gid)
  }

  // MARK: Closed files

  private func collectReleased() {
    guard let region, let rows else { return }
    // Counted after the row was changed: a row released after this look is seen at the next.
    let count = region.releasedCount
    guard count != releasedSeen else { return }
    releasedSeen = count
    rows.forEachReleased { row in
      let handle = HandleID(row.handle)
      if let node = opened.removeValue(forKey: handle) { volume.released(node, handle: handle, use: row.use) }
      rows.free(row.handle)
    }
  }

  /// There is no mount any more, so nothing is open.
  func releaseAll() {
    for (handle, node) in opened { volume.released(node, handle: handle, use: use(of: handle)) }
    opened = [:]
  }
}

extension HandleRow {
  var use: HandleUse { HandleUse(bytes: bytes, furthest: furthest) }
}
