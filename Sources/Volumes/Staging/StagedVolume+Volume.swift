import Core
import EventLoop
import OpenFiles
import Volume

/// The calls of the kernel, as `Dispatch` passes them on, on the dispatch loop: names are answered by `staged`, bytes
/// by `files`, and nothing waits here.
extension StagedVolume: Volume {
  package var isReadOnly: Bool { true }
  package var statistics: VolumeStatistics { staged.statistics }

  package func attach(to host: any VolumeHost) {
    self.host = host
    files.mount(Self.id, on: host)
  }

  package func directoriesToForget() async -> [NodeID] {
    var nodes = [NodeID.root, StagedNode.staged.node]
    var from: UInt64? = 0
    while let seq = from {
      let page = staged.page(from: seq, limit: Self.directoriesAStep)
      nodes += page.lazy.filter(\.record.isNamed).map { StagedNode.directory($0.seq).node }
      from = page.count == Self.directoriesAStep ? page.last.map { $0.seq + 1 } : nil
      await withCheckedContinuation { (next: CheckedContinuation<Void, Never>) in DispatchLoop.post { next.resume() } }
    }
    return nodes
  }

  private static var directoriesAStep: Int { 256 }

  package func lookup(_ name: FileName, in directory: NodeID, reply: AttributesReply) {
    reply { () throws(Errno) in try staged.lookup(name, in: directory) }
  }
  package func attributes(of node: NodeID, reply: AttributesReply) {
    reply { () throws(Errno) in try staged.attributes(of: node) }
  }
  package func list(_ directory: NodeID, after cursor: UInt64, to listing: any Listing) {
    listing.finish { () throws(Errno) in
      try staged.list(directory, after: cursor) { listing.add($0, cursor: $1, $2) }
    }
  }

  package func open(_ node: NodeID, handle: HandleID, reply: @escaping @Sendable (Result<LeaseID?, Errno>) -> Void) {
    if case .marker(let marker)? = StagedNode(node) { return open(marker, reply: reply) }
    guard case .file(let seq)? = StagedNode(node) else {
      return reply(.failure((try? staged.attributes(of: node)) == nil ? .stale : .isDirectory))
    }
    guard let record = staged[seq] else { return reply(.failure(.stale)) }
    files.open(FileKey(Self.id, node), size: record.size, handle: handle, reply: reply)
    noteBusy()
  }

  package func read(_ node: NodeID, handle: HandleID, range: ByteRange, wasBad: Bool, reply: @escaping ReadReply) {
    let answer: (Result<ByteRange, Errno>) -> Void = { _ = reply(ReadAnswer($0)) }
    guard !isStopping else { return answer(.failure(.io)) }
    if case .marker(let marker)? = StagedNode(node) { return read(marker, range, wasBad: wasBad, reply: reply) }
    guard case .file(let seq)? = StagedNode(node), let record = staged[seq] else { return answer(.failure(.stale)) }
    let wanted = ByteRange(min(range.start, record.size), min(range.end, record.size))
    guard !wanted.isEmpty else { return answer(.success(wanted)) }
    files.read(FileKey(Self.id, node), wanted, wasBad: wasBad, reply: reply)
  }

  // MARK: Markers

  private func open(_ marker: Marker, reply: @escaping @Sendable (Result<LeaseID?, Errno>) -> Void) {
    guard !isStopping else { return reply(.failure(.io)) }
    guard !marker.content.isEmpty else { return reply(.success(nil)) }
    tag.lease { reply($0.map { .some($0) }) }
  }

  private func read(_ marker: Marker, _ range: ByteRange, wasBad: Bool, reply: @escaping ReadReply) {
    let size = Int64(marker.content.count)
    let wanted = ByteRange(min(range.start, size), min(range.end, size))
    guard !wanted.isEmpty else { return _ = reply(.bytes(wanted, from: nil)) }
    // A handle of an earlier run has a lease that has ended.
    tag.lease(wasBad: wasBad) { lease in
      switch lease {
      case .success(let lease): _ = reply(.bytes(wanted, from: lease))
      case .failure(let error): _ = reply(.failed(error))
      }
    }
  }

  package func released(_ node: NodeID, handle: HandleID, use: HandleUse) {
    files.released(handle, use: use)
    noteBusy()
  }
}
