import CWire
import Core

/// A slot in one of its lives: a row used again is another `SlotID`.
package struct SlotID: Hashable, Sendable, CustomStringConvertible {
  package let index: Int
  package let generation: UInt32
  package init(index: Int, generation: UInt32) {
    self.index = index
    self.generation = generation
  }
  package var description: String { "\(index).\(generation)" }
}

/// The request of a slot, copied out of the region and checked. It is a value that `SlotRing` makes for `Dispatch`; the
/// slot itself stays in the region.
package struct SlotRequest: Equatable, Sendable {
  package enum Call: Equatable, Sendable {
    /// The name's bytes as the kernel sent them: 1 to 255, no NUL. `node` is the directory.
    case lookup(name: [UInt8])
    case getattr
    case readdir(ListingRequest)
    case open
    /// At most 1 MiB; the end is within Int64.
    case read(ByteRange)
    case readlink
    /// The name's bytes: 1 to 255, no NUL.
    case getxattr(name: [UInt8])
    case listxattr
  }

  package var id: SlotID
  package var node: UInt64
  /// Index and generation of a row of the handle table; of OPEN and READ.
  package var handle: UInt64
  /// The bytes vouched for before could not be read.
  package var wasBad: Bool
  package var call: Call
}

/// The question of a READDIR.
package struct ListingRequest: Equatable, Sendable {
  /// Entries with a cursor greater than this one are asked for.
  package var cursor: UInt64
  /// Bytes that the kernel has room for.
  package var room: Int
  /// Attributes are asked for with each entry.
  package var hasAttributes: Bool

  package init(after cursor: UInt64, room: Int, hasAttributes: Bool) {
    self.cursor = cursor
    self.room = room
    self.hasAttributes = hasAttributes
  }
}

extension SlotRequest {
  /// Nil where a field is out of its range, which no honest shim writes.
  init?(_ id: SlotID, from row: SharedBytes) {
    let call: Call
    let first = row.load(SlotField.arg0)
    switch fsmvp_op(rawValue: row.load32(SlotField.op)) {
    case FSMVP_OP_LOOKUP:
      guard let name = Self.name(in: row) else { return nil }
      call = .lookup(name: name)
    case FSMVP_OP_GETATTR:
      call = .getattr
    case FSMVP_OP_READLINK:
      call = .readlink
    case FSMVP_OP_GETXATTR:
      guard let name = Self.name(in: row) else { return nil }
      call = .getxattr(name: name)
    case FSMVP_OP_LISTXATTR:
      call = .listxattr
    case FSMVP_OP_READDIR:
      let room = min(row.load(SlotField.arg1), UInt64(FSMVP_READ_MAX))
      call = .readdir(
        ListingRequest(after: first, room: Int(room), hasAttributes: row.load(SlotField.arg2) != 0))
    case FSMVP_OP_OPEN:
      call = .open
    case FSMVP_OP_READ:
      let size = row.load(SlotField.arg1)
      guard size <= UInt64(FSMVP_READ_MAX), first <= UInt64(Int64.max) - size else { return nil }
      call = .read(ByteRange(offset: Int64(first), length: Int64(size)))
    default:
      return nil
    }
    self.init(
      id: id, node: row.load(SlotField.node), handle: row.load(SlotField.handle),
      wasBad: row.load32(SlotField.flags) & UInt32(FSMVP_SLOT_BAD) != 0, call: call)
  }

  private static func name(in row: SharedBytes) -> [UInt8]? {
    let packed = row.load(SlotField.nameAndRaw)
    let start = Int(packed & 0xffff)
    let count = Int(packed >> 16 & 0xffff)
    let rawLength = Int(packed >> 32)
    guard rawLength <= Int(FSMVP_RAW_SIZE), count >= 1, count <= Int(FSMVP_NAME_MAX), start + count <= rawLength
    else { return nil }
    let name = row.copyOut(SlotField.raw + start, count: count)
    return name.contains(0) ? nil : name
  }
}

/// A node's attributes as the kernel gets them.
package struct WireAttributes: Equatable, Sendable {
  package var node: UInt64
  package var size: UInt64
  /// Nanoseconds since 1970, as the next two.
  package var modified: Int64
  package var accessed: Int64
  package var changed: Int64
  /// Kind and permissions.
  package var mode: UInt32
  package var nlink: UInt32
  package var uid: UInt32
  package var gid: UInt32
  /// How long the kernel keeps the name, and the attributes; the largest value: without end.
  package var entryMilliseconds: UInt32
  package var attributeMilliseconds: UInt32

  package init(
    node: UInt64, size: UInt64, modified: Int64, accessed: Int64, changed: Int64, mode: UInt32, nlink: UInt32,
    uid: UInt32, gid: UInt32, entryMilliseconds: UInt32 = .max, attributeMilliseconds: UInt32 = .max
  ) {
    self.node = node
    self.size = size
    self.modified = modified
    self.accessed = accessed
    self.changed = changed
    self.mode = mode
    self.nlink = nlink
    self.uid = uid
    self.gid = gid
    self.entryMilliseconds = entryMilliseconds
    self.attributeMilliseconds = attributeMilliseconds
  }

  /// The bytes of the contract.
  var record: fsmvp_attr {
    fsmvp_attr(
      node: node, size: size, mtime_ns: modified, atime_ns: accessed, ctime_ns: changed, mode: mode, nlink: nlink,
      uid: uid, gid: gid, entry_ms: entryMilliseconds, attr_ms: attributeMilliseconds)
  }

  func write(to bytes: SharedBytes, at offset: Int) {
    withUnsafeBytes(of: record) { bytes.copyIn(offset, $0) }
  }
}

/// The answer to a slot.
package enum SlotAnswer: Equatable, Sendable {
  case failed(Errno)
  /// LOOKUP and GETATTR.
  case attributes(WireAttributes)
  /// OPEN: the lease the handle may read from, 0 for none, and whether the kernel keeps the pages that it has.
  case opened(lease: UInt64, keepsPages: Bool = true)
  /// READ: these bytes are behind that lease (0: the handle's own). A range that does not begin where the request does
  /// is a failure.
  case bytes(ByteRange, from: UInt64 = 0)
  /// READDIR: the records of a `ListingWriter` for that slot. READLINK, GETXATTR, LISTXATTR: at most `Payload.text`
  /// bytes.
  case payload([UInt8])
}
