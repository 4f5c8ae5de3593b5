import CWire

/// How many bytes an answer has room for, by the index of its slot.
package enum Payload {
  /// Bytes of a link's target or of extended attributes.
  package static let text = Int(FSMVP_PAYLOAD_SIZE)

  /// Bytes of a listing's records.
  package static func listing(ofSlot index: Int) -> Int {
    Int(index < Int(FSMVP_SLOTS_RESERVED) ? FSMVP_LISTING_SIZE : FSMVP_PAYLOAD_SIZE)
  }
}

/// Makes the records of a listing, as many as there is room for in the slot's row and in what the kernel asked for. It
/// is a value in memory of this process, so that a slot which is not waited for any more is never written to; the
/// answer of the slot takes the bytes.
package struct ListingWriter {
  package private(set) var bytes: [UInt8] = []
  private let hasAttributes: Bool
  private let capacity: Int
  /// Left of the bytes that the kernel asked for. It has a form of its own, which is larger.
  private var room: Int

  package init(_ request: ListingRequest, slot: SlotID) {
    hasAttributes = request.hasAttributes
    capacity = Payload.listing(ofSlot: slot.index)
    room = request.room
  }

  /// False where the entry does not fit: the kernel asks again, from the cursor of the last one that did. The first one
  /// always fits, for an empty listing is the end of the directory.
  package mutating func append(name: [UInt8], cursor: UInt64, attributes: WireAttributes) -> Bool {
    guard !name.isEmpty, name.count <= Int(FSMVP_NAME_MAX) else { return true }
    let head = MemoryLayout<fsmvp_dirent>.size + (hasAttributes ? MemoryLayout<fsmvp_attr>.size : 0)
    let size = (head + name.count + 7) & ~7
    let kernelSize = ((name.count + 7) & ~7) + (hasAttributes ? Self.entryWithAttributes : Self.entry)
    guard bytes.isEmpty || (bytes.count + size <= capacity && kernelSize <= room) else { return false }
    if bytes.isEmpty { bytes.reserveCapacity(min(capacity, room)) }
    let record = fsmvp_dirent(
      node: attributes.node, cursor: cursor, mode: attributes.mode, name_length: UInt16(name.count),
      flags: hasAttributes ? UInt16(FSMVP_DIRENT_ATTR) : 0)
    withUnsafeBytes(of: record) { bytes.append(contentsOf: $0) }
    if hasAttributes { withUnsafeBytes(of: attributes.record) { bytes.append(contentsOf: $0) } }
    bytes.append(contentsOf: name)
    for _ in head + name.count..<size { bytes.append(0) }
    room -= kernelSize
    return true
  }

  /// Bytes of struct fuse_dirent and of struct fuse_direntplus, without the name.
  private static let entry = 24
  private static let entryWithAttributes = 152
}
