import Core
import OpenFiles
import Volume

/// `/` -> `Staged` -> `<id>` -> `<safe file name>`, and the markers beside `Staged`. A node that is gone is ESTALE: the
/// kernel then walks the path again and gets the truth. It is a part of the pure value: these functions change nothing.
extension StagedItems {
  static let stagedName = FileName("Staged")

  private var rootAttributes: Attributes { Attributes(node: .root, kind: .directory, modified: made) }
  private var stagedAttributes: Attributes {
    Attributes(node: StagedNode.staged.node, kind: .directory, modified: directoryModified)
  }

  func lookup(_ name: FileName, in directory: NodeID) throws(Errno) -> Attributes {
    switch StagedNode(directory) {
    case .root:
      if name == Self.stagedName { return stagedAttributes }
      guard let marker = Marker(name) else { throw .noEntry }
      return marker.attributes(modified: made)
    case .staged:
      guard let seq = self[name], let entry = entry(seq) else { throw .noEntry }
      return entry.directoryAttributes
    case .directory(let seq):
      guard isStanding(seq), let entry = entry(seq) else { throw .stale }
      guard name == entry.name else { throw .noEntry }
      return entry.fileAttributes
    case .marker: throw .notDirectory
    case .file(let seq): throw self[seq] == nil ? .stale : .notDirectory
    case nil: throw .stale
    }
  }

  /// Also of a file that was unstaged while open: its readers may ask for its size until they close it.
  func attributes(of node: NodeID) throws(Errno) -> Attributes {
    switch StagedNode(node) {
    case .root: return rootAttributes
    case .staged: return stagedAttributes
    case .marker(let marker): return marker.attributes(modified: made)
    case .directory(let seq):
      guard let record = self[seq], record.isNamed else { throw .stale }
      return Attributes(node: node, kind: .directory, modified: record.modified)
    case .file(let seq):
      guard let record = self[seq] else { throw .stale }
      return Attributes(node: node, kind: .file, size: record.size, modified: record.modified)
    case nil: throw .stale
    }
  }

  /// An item's cursor is its sequence number plus 1; single entries have 1.
  func list(_ directory: NodeID, after cursor: UInt64, take: (FileName, UInt64, Attributes) -> Bool) throws(Errno) {
    switch StagedNode(directory) {
    case .root:
      if cursor < 1, !take(Self.stagedName, 1, stagedAttributes) { return }
      for marker in Marker.allCases where cursor < marker.cursor {
        guard take(marker.name, marker.cursor, marker.attributes(modified: made)) else { return }
      }
    case .staged:
      var from = cursor
      while true {
        let page = page(from: from, limit: 64)
        for (seq, record) in page where record.isNamed {
          let attributes = Attributes(
            node: StagedNode.directory(seq).node, kind: .directory, modified: record.modified)
          guard take(record.directoryName, seq + 1, attributes) else { return }
        }
        guard page.count == 64, let last = page.last else { return }
        from = last.seq + 1
      }
    case .directory(let seq):
      guard isStanding(seq), let entry = entry(seq) else { throw .stale }
      if cursor < 1 { _ = take(entry.name, 1, entry.fileAttributes) }
    case .marker: throw .notDirectory
    case .file(let seq): throw self[seq] == nil ? .stale : .notDirectory
    case nil: throw .stale
    }
  }
}
