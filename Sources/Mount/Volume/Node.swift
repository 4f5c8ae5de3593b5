/// A node of a volume: what the kernel calls nodeid, and the inode number people see. Stable, and never used again for
/// something else. The types of this file are plain values.
package struct NodeID: Hashable, Sendable, CustomStringConvertible {
  package let rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  package static let root = NodeID(1)
  package var description: String { String(rawValue) }
}

/// An open file: index and generation of its row in the handle table.
package struct HandleID: Hashable, Sendable, CustomStringConvertible {
  package let rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  package var description: String { "\(rawValue & 0xffff_ffff).\(rawValue >> 32)" }
}

/// The attributes of a node for `stat`.
package struct Attributes: Equatable, Sendable {
  package enum Kind: Sendable { case directory, file }

  package var node: NodeID
  package var kind: Kind
  /// Bytes of a file; 0 for a directory.
  package var size: Int64
  /// Nanoseconds since 1970.
  package var modified: Int64

  package init(node: NodeID, kind: Kind, size: Int64 = 0, modified: Int64) {
    self.node = node
    self.kind = kind
    self.size = size
    self.modified = modified
  }
}

/// A name in a directory, as bytes: two names are the same if their bytes are, whatever Unicode thinks of them.
package struct FileName: Hashable, Sendable, CustomStringConvertible {
  package let bytes: [UInt8]
  package init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }
  package init(_ text: String) { self.init(text.utf8) }
  package var description: String { String(decoding: bytes, as: UTF8.self) }

  /// Whether a directory may hold it: 1 to 255 bytes, neither `.` nor `..`, no `/` and no NUL.
  package var isValid: Bool {
    !bytes.isEmpty && bytes.count <= 255 && bytes != [0x2e] && bytes != [0x2e, 0x2e] && !bytes.contains(0x2f)
      && !bytes.contains(0)
  }
}
