import Core
import Volume

/// `/` -> `Staged` -> `<id>` -> `<safe file name>`. What is gone is ESTALE: the kernel then walks the path again and gets the truth.
extension Tiles {
  static let stagedName = FileName("Staged")

  private var rootAttributes: Attributes { Attributes(node: .root, kind: .directory, modified: made) }
  private var stagedAttributes: Attributes { Attributes(node: Place.staged.node, kind: .directory, modified: directoryModified) }

  func lookup(_ name: FileName, in directory: NodeID) throws(Errno) -> Attributes {
    switch Place(directory) {
    case .root:
      guard name == Self.stagedName else { throw .noEntry }
      return stagedAttributes
    case .staged:
      guard let seq = names[name], let tile = tiles[seq] else { throw .noEntry }
      return tile.entry.directoryAttributes
    case .directory(let seq):
      guard let tile = tiles[seq], tile.isNamed else { throw .stale }
      guard name == tile.entry.name else { throw .noEntry }
      return tile.entry.fileAttributes
    case .file(let seq): throw tiles[seq] == nil ? .stale : .notDirectory
    case nil: throw .stale
    }
  }

  /// Also of a file that was unstaged while open: its readers may ask for its size until they close it.
  func attributes(of node: NodeID) throws(Errno) -> Attributes {
    switch Place(node) {
    case .root: return rootAttributes
    case .staged: return stagedAttributes
    case .directory(let seq):
      guard let tile = tiles[seq], tile.isNamed else { throw .stale }
      return tile.entry.directoryAttributes
    case .file(let seq):
      guard let tile = tiles[seq] else { throw .stale }
      return tile.entry.fileAttributes
    case nil: throw .stale
    }
  }

  /// An item's cursor is its sequence number plus 1; single entries have 1.
  func list(_ directory: NodeID, after cursor: UInt64, take: (FileName, UInt64, Attributes) -> Bool) throws(Errno) {
    switch Place(directory) {
    case .root:
      if cursor < 1 { _ = take(Self.stagedName, 1, stagedAttributes) }
    case .staged:
      for seq in names.after(cursor: cursor) {
        guard let tile = tiles[seq] else { continue }
        guard take(FileName(tile.entry.id), seq + 1, tile.entry.directoryAttributes) else { return }
      }
    case .directory(let seq):
      guard let tile = tiles[seq], tile.isNamed else { throw .stale }
      if cursor < 1 { _ = take(tile.entry.name, 1, tile.entry.fileAttributes) }
    case .file(let seq): throw tiles[seq] == nil ? .stale : .notDirectory
    case nil: throw .stale
    }
  }
}
