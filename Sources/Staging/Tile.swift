import Core
import Volume

/// A file for a recipient. Compared by bytes: the service may mark "é" of one code point and of two as different recipients.
struct TilePair: Hashable, Sendable {
  private let fileID: [UInt8]
  private let recipient: [UInt8]
  init(fileID: String, recipient: String) {
    self.fileID = Array(fileID.utf8)
    self.recipient = Array(recipient.utf8)
  }
}

/// What never changes of a staged item while it stands, across restarts too; the journal keeps it.
struct TileEntry: Equatable, Sendable {
  /// Counts up with each staging, never used again: the source of node numbers and READDIR cursors.
  var seq: UInt64
  /// The name of its directory.
  var id: String
  var fileID: String
  var recipient: String
  var name: FileName
  var size: Int64
  /// Stage time, nanoseconds since 1970; no two items have the same.
  var modified: Int64

  var pair: TilePair { TilePair(fileID: fileID, recipient: recipient) }
  var directory: NodeID { Place.directory(seq).node }
  var file: NodeID { Place.file(seq).node }
  var directoryAttributes: Attributes { Attributes(node: directory, kind: .directory, modified: modified) }
  var fileAttributes: Attributes { Attributes(node: file, kind: .file, size: size, modified: modified) }
}

/// What a node number stands for.
enum Place: Equatable {
  case root
  case staged
  case directory(UInt64)
  case file(UInt64)

  /// Bounds every number made from a sequence number; at a million stagings a second it is reached after 100,000 years.
  static let maxSeq: UInt64 = 1 << 61

  init?(_ node: NodeID) {
    switch node.rawValue {
    case 1: self = .root
    case 2: self = .staged
    case 16...: self = node.rawValue % 2 == 0 ? .directory((node.rawValue - 16) / 2) : .file((node.rawValue - 16) / 2)
    default: return nil
    }
  }

  var node: NodeID {
    switch self {
    case .root: .root
    case .staged: NodeID(2)
    case .directory(let seq): NodeID(16 &+ 2 &* seq)
    case .file(let seq): NodeID(17 &+ 2 &* seq)
    }
  }
}

/// Numbers the stores of bytes; no two in the life of a state folder are the same, so that nothing of an old store reaches a new item.
struct StoreGeneration: Hashable, Sendable {
  var rawValue: UInt64
}

/// A file that an earlier run left of an item's bytes; it waits for the item's next open.
struct Leftover: Equatable, Sendable {
  var file: BytesFile
  /// On the disk, its sums included.
  var bytes: Int64
}

/// A staged item: both references, its bytes, and who waits for them.
struct Tile: Equatable {
  /// Fetched before anybody opens it.
  enum Warmth: Equatable {
    case fetching
    /// All is here, for the open that is to come.
    case complete(until: Moment)
  }

  enum Bytes: Equatable {
    case none
    case making(StoreGeneration)
    case standing(StoreGeneration)
    /// Dropped while the item stands: no OPEN is answered before the kernel has forgotten the pages of the old store.
    case forgetting(StoreGeneration)
  }

  let entry: TileEntry
  /// 0: no tile is shown. Else the order in which tiles were put up, the oldest lowest.
  var order: UInt64
  /// Whether its path leads to it. Once false it is never true again.
  var isNamed = true
  var openRef = 0
  var bytes = Bytes.none
  /// Handles whose OPEN waits for the bytes' store; all of them counted in `openRef`.
  var waiters: [HandleID] = []
  /// Until when all stays as it was, after the last close.
  var graceEnds: Moment?
  /// Fetched and kept by order of a person.
  var isPinned = false
  var warmth: Warmth?
  /// When its bytes last mattered to anybody; nil before.
  var lastUsed: Tiles.Time?
  var leftover: Leftover?
  /// What went through closed handles: ever, and since the bytes were last dropped.
  var served: Int64 = 0
  var use = HandleUse()
  var isUsed = false

  init(entry: TileEntry, order: UInt64) {
    self.entry = entry
    self.order = order
  }

  var tileRef: Int { order > 0 ? 1 : 0 }
  /// Whether `max_tiles` is about it.
  var isCounted: Bool { order > 0 && !isPinned }

  /// Why the rest of it is fetched: somebody has it open, closed it just now, keeps it, or is about to open it.
  var wantsFilling: Bool { openRef > 0 || graceEnds != nil || isPinned || warmth == .fetching }
  /// Why it has a store to be made.
  var wantsStore: Bool { !waiters.isEmpty || isPinned || warmth == .fetching }

  /// Whether its bytes may go: open nowhere, nor closed just now, nor kept.
  var isIdle: Bool { openRef == 0 && graceEnds == nil && !isPinned }
  /// Whether there are bytes that could go.
  var hasBytes: Bool {
    switch bytes {
    case .standing: true
    case .none, .forgetting: leftover != nil
    case .making: false
    }
  }

  /// When its bytes are no longer kept, if nothing happens before.
  /// - Parameter idle: how long unused ones are kept; 0: for ever.
  func deadline(idle: Duration) -> Moment? {
    guard isIdle else { return nil }
    switch warmth {
    case .fetching: return nil
    case .complete(let until): return until
    case nil: return idle > .zero && hasBytes ? lastUsed.map { $0.now + idle } : nil
    }
  }
  /// A player or an upload has had all of it, not just its head and tail.
  var wasReadWhole: Bool { isUsed && use.bytes >= entry.size && use.furthest >= entry.size }

  /// With the bytes goes what was read of them.
  mutating func forgetUse() {
    use = HandleUse()
    isUsed = false
  }

  mutating func add(_ more: HandleUse) {
    let bytes = max(0, more.bytes)
    served = min(served, .max - bytes) + bytes
    use.bytes = min(use.bytes, .max - bytes) + bytes
    use.furthest = max(use.furthest, more.furthest)
    isUsed = true
  }
}

/// What is to be done after an event of `Tiles`, in this order.
enum TileAction: Equatable {
  enum Answer: Equatable {
    case store(StoreGeneration)
    /// The file has no bytes: there is nothing to read from.
    case empty
    case failed(Errno)
  }

  case makeStore(TileEntry, StoreGeneration)
  /// Ends lease and store; its file is unlinked. Nobody reads from it any more, or only to be told EIO.
  case closeStore(StoreGeneration)
  case setFilling(StoreGeneration, Bool)
  /// Nobody reads it any more and it is still filled: what went on through memory on its disk's account goes to the disk, if there is room by now.
  case tryDisk(StoreGeneration)
  /// These are fetched before all else.
  case fetchFirst(StoreGeneration, [ByteRange])
  /// Then `pagesForgotten`.
  case forgetPages(NodeID, StoreGeneration)
  case answer(HandleID, Answer)
  /// The kernel is to ask again about these nodes.
  case invalidate([NodeID])
  /// A removal is written only once the kernel has forgotten what the same event invalidated: until then a restart has to tell it again.
  case journal(JournalChange)
  /// What an earlier run left goes, with its sums.
  case unlink(Leftover)
  /// The item is gone, name and bytes.
  case gone(TileEntry)
}

/// A change of the journal's contents.
enum JournalChange: Equatable, Sendable {
  case add(TileEntry, order: UInt64)
  case show(seq: UInt64, order: UInt64)
  /// Its name goes; the row stays for those who have it open.
  case leave(seq: UInt64)
  case pin(seq: UInt64, Bool)
  case remove(seq: UInt64)
  /// And forgets whom files were staged for.
  case removeAll
  /// A file was staged for it.
  case recipient(String)
  /// When the entries of `Staged` last changed.
  case directory(modified: Int64)
}
