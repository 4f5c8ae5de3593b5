import Core
import Glibc
import Synchronization
import Volume
import Wire

/// Writes the answers of a volume into their slots, on whatever thread the volume answers. `Dispatch` makes one for its
/// mount, and every reply holds it, so a late answer finds the region still mapped. Its only state is the memory of
/// which directory is in which, behind a lock.
final class SlotAnswers: Answering {
  private let ring: SlotRing
  /// Directories above directories, as LOOKUP came by them; for the entry `..`.
  private let parents = Mutex<[NodeID: NodeID]>([:])
  private let uid = geteuid()
  private let gid = getegid()

  init(_ ring: SlotRing) { self.ring = ring }

  func answer(_ request: RequestID, in directory: NodeID?, attributes: Result<Attributes, Errno>) {
    switch attributes {
    case .success(let found):
      if let directory, found.kind == .directory { remember(found.node, in: directory) }
      ring.complete(SlotID(request), .attributes(wire(found)))
    case .failure(let error):
      ring.complete(SlotID(request), .failed(error))
    }
  }

  func answer(_ request: RequestID, bytes: Result<[UInt8], Errno>) {
    switch bytes {
    case .success(let bytes) where bytes.count <= Payload.text: ring.complete(SlotID(request), .payload(bytes))
    case .success: ring.complete(SlotID(request), .failed(Errno(E2BIG)))
    case .failure(let error): ring.complete(SlotID(request), .failed(error))
    }
  }

  func isWanted(_ request: RequestID) -> Bool { ring.isWanted(SlotID(request)) }

  // MARK: Listings

  func listing(_ id: SlotID, _ request: ListingRequest, of directory: NodeID) -> SlotListing {
    SlotListing(self, id, request, of: directory, in: parents.withLock { $0[directory] } ?? .root)
  }

  func complete(_ id: SlotID, _ answer: SlotAnswer) { ring.complete(id, answer) }

  private func remember(_ node: NodeID, in parent: NodeID) {
    parents.withLock { parents in
      // Only a hint for `..`; the bound keeps a volume of many directories from growing it for ever.
      if parents.count >= 4096 { parents = [:] }
      parents[node] = parent
    }
  }

  func wire(_ attributes: Attributes) -> WireAttributes {
    let kind: UInt32 =
      switch attributes.kind {
      case .directory: UInt32(S_IFDIR)
      case .file: UInt32(S_IFREG)
      case .symbolicLink: UInt32(S_IFLNK)
      }
    return WireAttributes(
      node: attributes.node.rawValue, size: UInt64(max(0, attributes.size)), modified: attributes.modified,
      accessed: attributes.accessed, changed: attributes.changed,
      mode: kind | UInt32(attributes.permissions & 0o7777), nlink: attributes.kind == .directory ? 2 : 1,
      uid: attributes.owner?.user ?? uid, gid: attributes.owner?.group ?? gid,
      entryMilliseconds: attributes.entryTimeout.milliseconds,
      attributeMilliseconds: attributes.attributesTimeout.milliseconds)
  }
}

/// The listing of one READDIR. The entries are gathered in memory of this process, and copied into the slot's row when
/// it is answered: a late volume writes to no row that is another request's by then. `SlotAnswers` makes it, and the
/// volume that it is handed to holds it.
final class SlotListing: Listing {
  /// `.` and `..` are not the volume's: they take the cursors 1 and 2, and an entry's own cursor stands 2 higher on the
  /// wire.
  private static let dots: UInt64 = 2

  private let answers: SlotAnswers
  private let id: SlotID
  /// Nil once it is finished.
  private let writer: Mutex<ListingWriter?>
  /// Entries with a greater cursor are asked of the volume.
  let cursor: UInt64

  init(_ answers: SlotAnswers, _ id: SlotID, _ request: ListingRequest, of directory: NodeID, in parent: NodeID) {
    self.answers = answers
    self.id = id
    cursor = request.cursor < Self.dots ? 0 : request.cursor - Self.dots
    var writer = ListingWriter(request, slot: id)
    // The kernel takes no more of these two than number and kind.
    for (cursor, name, node) in [(1, [0x2e], directory), (2, [0x2e, 0x2e], parent)] as [(UInt64, [UInt8], NodeID)]
    where request.cursor < cursor {
      _ = writer.append(
        name: name, cursor: cursor, attributes: answers.wire(Attributes(node: node, kind: .directory, modified: 0)))
    }
    self.writer = Mutex(writer)
  }

  var isWanted: Bool { writer.withLock { $0 != nil } && answers.isWanted(RequestID(id)) }

  func add(_ name: FileName, cursor: UInt64, _ attributes: Attributes) -> Bool {
    // Cursors are the kernel's file positions, which have a sign.
    guard name.isValid, cursor <= UInt64(Int64.max) - Self.dots else { return true }
    let record = answers.wire(attributes)
    return writer.withLock { $0?.append(name: name.bytes, cursor: cursor + Self.dots, attributes: record) ?? false }
  }

  func finish() { if let bytes = take() { answers.complete(id, .payload(bytes)) } }

  func fail(_ error: Errno) { if take() != nil { answers.complete(id, .failed(error)) } }

  private func take() -> [UInt8]? {
    writer.withLock { writer in
      defer { writer = nil }
      return writer?.bytes
    }
  }
}

extension SlotID {
  init(_ request: RequestID) { self.init(index: request.index, generation: request.generation) }
}

extension RequestID {
  init(_ slot: SlotID) { self.init(index: slot.index, generation: slot.generation) }
}
