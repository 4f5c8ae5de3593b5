import Core
import OpenFiles
import Volume

/// A file for a recipient. Compared by bytes: the service may mark "é" of one code point and of two as different
/// recipients.
struct StagedPair: Hashable, Sendable {
  private let fileID: [UInt8]
  private let recipient: [UInt8]
  init(fileID: String, recipient: String) {
    self.fileID = Array(fileID.utf8)
    self.recipient = Array(recipient.utf8)
  }

  /// The number in the item's directory name.
  var hash: UInt64 {
    var hash = StableHash()
    hash.combine(fileID)
    hash.combine(recipient)
    return hash.value
  }
}

/// The properties of a staged item, across restarts too; the journal keeps them. None changes while it stands, but for
/// size and time of a file that its origin replaced. The types of this file are values: `StagedItems` owns the records,
/// and makes the actions that `StagedVolume` does.
struct StagedEntry: Equatable, Sendable {
  /// Counts up with each staging and is never used again: the source of node numbers and READDIR cursors.
  var seq: UInt64
  /// The name of its directory.
  var id: String
  var fileID: String
  var recipient: String
  var name: FileName
  var size: Int64
  /// Nanoseconds since 1970. The same file staged again for the same recipient has the same time, because uploads that
  /// are resumed know a file by it.
  var modified: Int64

  var pair: StagedPair { StagedPair(fileID: fileID, recipient: recipient) }
  var dateKey: UInt64 { Self.dateKey(fileID, recipient, size) }
  /// Tells a file of a size for a recipient from others.
  static func dateKey(_ fileID: String, _ recipient: String, _ size: Int64) -> UInt64 {
    var hash = StableHash()
    for text in [fileID, recipient, String(size)] { hash.combine(text.utf8) }
    return hash.value
  }
  var directory: NodeID { StagedNode.directory(seq).node }
  var file: NodeID { StagedNode.file(seq).node }
  var key: FileKey { FileKey(.staged, file) }
  var directoryAttributes: Attributes { Attributes(node: directory, kind: .directory, modified: modified) }
  var fileAttributes: Attributes { Attributes(node: file, kind: .file, size: size, modified: modified) }
}

/// The meaning of a node number.
enum StagedNode: Equatable {
  case root
  case staged
  case marker(Marker)
  case directory(UInt64)
  case file(UInt64)

  /// Bounds every number made from a sequence number; at a million stagings a second it is reached after 100,000 years.
  static let maxSeq: UInt64 = 1 << 61

  init?(_ node: NodeID) {
    switch node.rawValue {
    case 1: self = .root
    case 2: self = .staged
    case 3...5:
      guard let marker = Marker(rawValue: node.rawValue) else { return nil }
      self = .marker(marker)
    case 16...: self = node.rawValue % 2 == 0 ? .directory((node.rawValue - 16) / 2) : .file((node.rawValue - 16) / 2)
    default: return nil
    }
  }

  var node: NodeID {
    switch self {
    case .root: .root
    case .staged: NodeID(2)
    case .marker(let marker): marker.node
    case .directory(let seq): NodeID(16 &+ 2 &* seq)
    case .file(let seq): NodeID(17 &+ 2 &* seq)
    }
  }

  var isDirectory: Bool {
    switch self {
    case .root, .staged, .directory: true
    case .marker, .file: false
    }
  }
}

/// An item as it is kept in memory, in one allocation: with a hundred thousand of them each string of its own would
/// cost more than its text.
struct StagedRecord: Sendable {
  private(set) var size: Int64
  private(set) var modified: Int64
  /// 0: the tileRef is 0. Else the order in which the tileRefs became 1, the oldest lowest.
  var order: UInt64
  /// Its path leads to it. Once false it is never true again.
  var isNamed = true
  /// The pair's hash, of which the usual id is made: a listing of all items makes no text of their other parts.
  private let hash: UInt64
  /// Three lengths of two bytes each, then file id, recipient, name, and an id that is not the usual one.
  private let text: [UInt8]

  init(_ entry: StagedEntry, order: UInt64) {
    size = entry.size
    modified = entry.modified
    self.order = order
    hash = entry.pair.hash
    let parts = [Array(entry.fileID.utf8), Array(entry.recipient.utf8), entry.name.bytes]
    let id = entry.id == StagedNames.usual(entry.pair) ? [] : Array(entry.id.utf8)
    var text: [UInt8] = []
    text.reserveCapacity(6 + parts.reduce(0) { $0 + $1.count } + id.count)
    for part in parts { withUnsafeBytes(of: UInt16(clamping: part.count)) { text.append(contentsOf: $0) } }
    for part in parts { text.append(contentsOf: part.prefix(Int(UInt16.max))) }
    text.append(contentsOf: id)
    self.text = text
  }

  var tileRef: Int { order > 0 ? 1 : 0 }

  /// Its origin has another file.
  mutating func replace(size: Int64, modified: Int64) { (self.size, self.modified) = (size, modified) }

  /// The name of its directory.
  var directoryName: FileName {
    let end = 6 + length(0) + length(1) + length(2)
    return end == text.count ? StagedNames.usual(hash) : FileName(text[end...])
  }

  private func length(_ part: Int) -> Int { Int(text[2 * part]) | Int(text[2 * part + 1]) << 8 }

  func entry(_ seq: UInt64) -> StagedEntry {
    let lengths = (0..<3).map { length($0) }
    var from = 6
    func part(_ length: Int) -> ArraySlice<UInt8> {
      defer { from += length }
      return text[from..<from + length]
    }
    let fileID = String(decoding: part(lengths[0]), as: UTF8.self)
    let recipient = String(decoding: part(lengths[1]), as: UTF8.self)
    let name = FileName(part(lengths[2]))
    let pair = StagedPair(fileID: fileID, recipient: recipient)
    let id = from == text.count ? StagedNames.usual(pair) : String(decoding: text[from...], as: UTF8.self)
    return StagedEntry(
      seq: seq, id: id, fileID: fileID, recipient: recipient, name: name, size: size, modified: modified)
  }
}

/// The next thing to be done after an event of `StagedItems`, in this order.
enum StagedAction: Equatable {
  case file(FileAction)
  /// The kernel is to ask again about these nodes.
  case invalidate([NodeID])
  /// A removal is written only once the kernel has forgotten what the same event invalidated: until then a restart has
  /// to tell it again.
  case journal(JournalChange)
  /// The item is gone, name and bytes.
  case gone(StagedEntry)
}

/// A change of the journal's contents.
enum JournalChange: Equatable, Sendable {
  case add(StagedEntry, order: UInt64)
  case show(seq: UInt64, order: UInt64)
  /// Its name goes; the row stays for the readers that have it open.
  case leave(seq: UInt64)
  case pin(seq: UInt64, Bool)
  /// The origin has another file.
  case replace(StagedEntry)
  case remove(seq: UInt64)
  /// The names of recipients are forgotten too.
  case removeAll
  /// A file was staged for it.
  case recipient(String)
  /// When the entries of `Staged` last changed.
  case directory(modified: Int64)
}
