import Core
import Volume

extension StagedVolume: Volume {
  package var isReadOnly: Bool { true }
  package var statistics: VolumeStatistics { tiles.statistics }

  package func attach(to host: any VolumeHost) {
    self.host = host
    stores.host = host
  }

  package func lookup(_ name: FileName, in directory: NodeID) throws(Errno) -> Attributes { try tiles.lookup(name, in: directory) }
  package func attributes(of node: NodeID) throws(Errno) -> Attributes { try tiles.attributes(of: node) }
  package func list(_ directory: NodeID, after cursor: UInt64, take: (FileName, UInt64, Attributes) -> Bool) throws(Errno) {
    try tiles.list(directory, after: cursor, take: take)
  }

  package func open(_ node: NodeID, handle: HandleID, reply: @escaping @Sendable (Result<LeaseID?, Errno>) -> Void) {
    expectAnswer(handle, reply)
    act(tiles.open(node, handle: handle))
  }

  package func read(_ node: NodeID, handle: HandleID, range: ByteRange, wasBad: Bool, reply: @escaping ReadReply) {
    let answer: (Result<ByteRange, Errno>) -> Void = { _ = reply(ReadAnswer($0)) }
    guard !isStopping else { return answer(.failure(.io)) }
    guard case .file(let seq)? = Place(node), let tile = tiles.tiles[seq] else { return answer(.failure(.stale)) }
    let size = tile.entry.size
    let wanted = ByteRange(min(range.start, size), min(range.end, size))
    guard !wanted.isEmpty else { return answer(.success(wanted)) }
    guard case .standing(let generation) = tile.bytes else { return answer(.failure(.io)) }
    stores.read(generation, wanted, wasBad: wasBad, reply: reply)
  }

  package func released(_ node: NodeID, handle: HandleID, use: HandleUse) { act(tiles.released(handle, use: use, at: time)) }
}
