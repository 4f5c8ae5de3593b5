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

/// The attributes of a node for `stat`, and how long the kernel may keep them.
package struct Attributes: Equatable, Sendable {
  package enum Kind: Sendable {
    case directory, file, symbolicLink

    /// Permissions of a node whose volume has no others for it.
    package var permissions: UInt16 {
      switch self {
      case .directory: 0o755
      case .file: 0o644
      case .symbolicLink: 0o777
      }
    }
  }

  package var node: NodeID
  package var kind: Kind
  /// The permission bits, set-user-id, set-group-id and sticky among them: 0 to 0o7777.
  package var permissions: UInt16
  /// Nil: of the process that mounts.
  package var owner: Owner?
  /// Bytes of a file, or of a link's target; 0 for a directory.
  package var size: Int64
  /// Nanoseconds since 1970, as the next two.
  package var modified: Int64
  package var accessed: Int64
  package var changed: Int64
  /// How long the kernel keeps the name; for a LOOKUP and for an entry of a listing.
  package var entryTimeout = KeepTime.unlimited
  /// And the attributes.
  package var attributesTimeout = KeepTime.unlimited

  /// All three times are `modified`, the permissions those of the kind, and the kernel keeps name and attributes until
  /// it is told to forget them.
  package init(node: NodeID, kind: Kind, size: Int64 = 0, modified: Int64) {
    self.node = node
    self.kind = kind
    self.size = size
    self.modified = modified
    accessed = modified
    changed = modified
    permissions = kind.permissions
  }

  package struct Owner: Equatable, Sendable {
    package var user: UInt32
    package var group: UInt32
    package init(user: UInt32, group: UInt32) {
      self.user = user
      self.group = group
    }
  }
}

/// A time for which the kernel may keep what it was told.
package struct KeepTime: Equatable, Sendable {
  /// `UInt32.max`: without end.
  package let milliseconds: UInt32

  /// Until it is told to forget (`VolumeHost`).
  package static let unlimited = KeepTime(rawMilliseconds: .max)
  /// It asks each time.
  package static let none = KeepTime(rawMilliseconds: 0)
  /// At most 49 days.
  package static func milliseconds(_ count: Int) -> KeepTime {
    KeepTime(rawMilliseconds: UInt32(clamping: min(max(0, count), Int(UInt32.max) - 1)))
  }

  private init(rawMilliseconds: UInt32) { milliseconds = rawMilliseconds }
}

/// A name in a directory, as bytes: two names are the same if their bytes are, whatever Unicode thinks of them.
package struct FileName: Hashable, Sendable, CustomStringConvertible {
  package let bytes: [UInt8]
  package init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }
  package init(_ bytes: [UInt8]) { self.bytes = bytes }
  package init(_ text: String) { self.init(text.utf8) }
  package var description: String { String(decoding: bytes, as: UTF8.self) }

  /// Whether a directory may hold it: 1 to 255 bytes, neither `.` nor `..`, no `/` and no NUL.
  package var isValid: Bool {
    guard 1...255 ~= bytes.count else { return false }
    for byte in bytes where byte == 0x2f || byte == 0 { return false }
    return bytes[0] != 0x2e || bytes.count > 2 || bytes[bytes.count - 1] != 0x2e
  }
}
