import CWire

/// Writes a listing's entries into a slot's payload row, until it is full. It is a value of one call of `Dispatch`,
/// whose slot is control's until it is completed.
package struct ListingWriter {
  private let row: SharedBytes
  /// Bytes written.
  package private(set) var count = 0

  init(row: SharedBytes) { self.row = row }

  /// False where the entry does not fit: the kernel asks again, from the cursor of the last one that did.
  package mutating func append(name: [UInt8], cursor: UInt64, attributes: WireAttributes) -> Bool {
    guard !name.isEmpty, name.count <= Int(FSMVP_NAME_MAX) else { return true }
    let size = (DirentField.name + name.count + 7) & ~7
    guard count + size <= Int(FSMVP_PAYLOAD_SIZE) else { return false }
    attributes.write(to: row, at: count)
    row.store(count + DirentField.cursor, cursor)
    // name_length and the padding behind it.
    row.store(count + DirentField.nameLength, UInt64(name.count))
    row.store(count + size - 8, 0)
    row.copyIn(count + DirentField.name, name)
    count += size
    return true
  }
}
