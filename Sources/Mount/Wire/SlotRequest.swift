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
    /// Entries with a cursor greater than this one.
    case readdir(after: UInt64)
    case open
    /// At most 1 MiB; the end is within Int64.
    case read(ByteRange)
  }

  package var id: SlotID
  package var node: UInt64
  /// Index and generation of a row of the handle table; of OPEN and READ.
  package var handle: UInt64
  /// The bytes vouched for before could not be read.
  package var wasBad: Bool
  package var call: Call
}

extension SlotRequest {
  /// Nil where a field is out of its range, which no honest shim writes.
  init?(_ id: SlotID, from row: SharedBytes) {
    let call: Call
    let first = row.load(SlotField.arg0)
    switch fsmvp_op(rawValue: row.load32(SlotField.op)) {
    case FSMVP_OP_LOOKUP:
      let packed = row.load(SlotField.nameAndRaw)
      let start = Int(packed & 0xffff)
      let count = Int(packed >> 16 & 0xffff)
      let rawLength = Int(packed >> 32)
      guard rawLength <= Int(FSMVP_RAW_SIZE), count >= 1, count <= Int(FSMVP_NAME_MAX), start + count <= rawLength
      else { return nil }
      let name = row.copyOut(SlotField.raw + start, count: count)
      guard !name.contains(0) else { return nil }
      call = .lookup(name: name)
    case FSMVP_OP_GETATTR:
      call = .getattr
    case FSMVP_OP_READDIR:
      call = .readdir(after: first)
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
}

/// A node's attributes as the kernel gets them.
package struct WireAttributes: Equatable, Sendable {
  package var node: UInt64
  package var size: UInt64
  /// Nanoseconds since 1970.
  package var modified: Int64
  /// Kind and permissions.
  package var mode: UInt32
  package var nlink: UInt32
  package var uid: UInt32
  package var gid: UInt32

  package init(node: UInt64, size: UInt64, modified: Int64, mode: UInt32, nlink: UInt32, uid: UInt32, gid: UInt32) {
    self.node = node
    self.size = size
    self.modified = modified
    self.mode = mode
    self.nlink = nlink
    self.uid = uid
    self.gid = gid
  }

  func write(to bytes: SharedBytes, at offset: Int) {
    bytes.store(offset + AttributeField.node, node)
    bytes.store(offset + AttributeField.size, size)
    bytes.store(offset + AttributeField.modified, UInt64(bitPattern: modified))
    bytes.store32(offset + AttributeField.mode, mode)
    bytes.store32(offset + AttributeField.nlink, nlink)
    bytes.store32(offset + AttributeField.uid, uid)
    bytes.store32(offset + AttributeField.gid, gid)
    for pad in stride(from: offset + 40, to: offset + AttributeField.count, by: 8) { bytes.store(pad, 0) }
  }
}

/// The answer to a slot.
package enum SlotAnswer: Equatable, Sendable {
  case failed(Errno)
  /// LOOKUP and GETATTR.
  case attributes(WireAttributes)
  /// OPEN: the lease the handle may read from, 0 for none.
  case opened(lease: UInt64)
  /// READ: these bytes are behind that lease (0: the handle's own). A range that does not begin where the request does
  /// is a failure.
  case bytes(ByteRange, from: UInt64 = 0)
  /// READDIR: so many bytes of the payload row are a listing.
  case listing(Int)
}
