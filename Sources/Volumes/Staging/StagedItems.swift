import Core
import OpenFiles
import Volume

/// All staged items, as a value: their names, their recipients, and the tileRef of each. Whether a file is open is
/// `FileKeeper`'s, which each event is given: check and change of both references are one call, so nothing can fall
/// between them.
///
/// An item goes, name and bytes, when its tileRef and its openRef are 0 and the grace after the last close is over, or
/// when a person says so.
///
/// `StagedVolume` owns the one value, on the dispatch loop, and does the actions that come out; nothing here reads a
/// disk or a clock.
struct StagedItems: Sendable {
  struct Rules: Sendable {
    /// 0: no limit.
    var maxTiles = 0
    var afterUpload: StagedVolume.AfterUpload = .keep
  }

  /// The values that the journal kept besides the items.
  struct Origins: Equatable, Sendable {
    var nextSeq: UInt64 = 0
    /// When the journal was made: the mtime of the root, whose entries never change.
    var made: Int64 = 0
    var directoryModified: Int64 = 0
    /// Above every generation ever used.
    var nextGeneration: UInt64 = 1
  }

  let rules: Rules
  let made: Int64
  private var records = OrderedTable<StagedRecord>()
  private var names = StagedNames()
  /// Items that count towards `max_tiles`, by order: those with a tileRef of 1 that are not pinned.
  private var shown = OrderedTable<UInt64>()
  /// Items that were unstaged while they were open.
  private(set) var leaving: Set<UInt64> = []
  /// Until `begin`: pinned items, those that were unstaged while open, and those with a tileRef of 0.
  private var restored: (pinned: [UInt64], leaving: [UInt64], lowered: [UInt64]) = ([], [], [])
  private(set) var directoryModified: Int64
  /// The total size of the items whose names stand, in bytes.
  private var sizes: Int64 = 0
  private var nextSeq: UInt64
  private var nextOrder: UInt64 = 1
  /// The latest time given to the directory.
  private var latest: Int64
  /// Items that changed since they were last looked at; nil while nothing looks.
  private var changed: OrderedTable<Void>?

  init(rules: Rules, origins: Origins = Origins()) {
    self.rules = rules
    made = origins.made
    nextSeq = origins.nextSeq
    directoryModified = origins.directoryModified
    latest = max(origins.made, origins.directoryModified)
  }

  // MARK: Questions

  subscript(seq: UInt64) -> StagedRecord? { records[seq] }
  func entry(_ seq: UInt64) -> StagedEntry? { records[seq]?.entry(seq) }
  subscript(name: FileName) -> UInt64? { names[name] }
  var count: Int { records.count }
  /// Without pinned ones.
  var tilesShown: Int { shown.count }
  func isStanding(_ seq: UInt64) -> Bool { records[seq]?.isNamed == true }

  /// The standing item of a pair, whose name leads to it.
  func standing(_ pair: StagedPair) -> UInt64? {
    names.candidates(pair).first { records[$0]?.entry($0).pair == pair }
  }

  /// At most `limit` items from the sequence number `seq` on, by order of staging; those that were unstaged while open
  /// among them.
  func page(from seq: UInt64, limit: Int) -> [(seq: UInt64, record: StagedRecord)] {
    records.page(from: seq, limit: limit).map { ($0.key, $0.value) }
  }

  /// The item of that id, if it stands; else the first one of it that is still open.
  func seq(id: String) -> UInt64? {
    names[FileName(id)] ?? leaving.sorted().first { records[$0]?.entry($0).id == id }
  }

  var statistics: VolumeStatistics {
    VolumeStatistics(bytes: sizes, files: Int64(records.count - leaving.count))
  }

  /// Tells an item's bytes from those of every other item, of another service's list too, whose numbers may be the
  /// same.
  func identity(_ entry: StagedEntry) -> UInt64 {
    var hash = StableHash()
    for text in [String(made), String(entry.seq), entry.fileID, entry.recipient] { hash.combine(text.utf8) }
    return hash.value
  }

  /// Notes from now on which items change.
  /// - Parameter limit: if there are no more items than that, each counts as changed.
  mutating func noteChanges(allUpTo limit: Int) {
    var noted = OrderedTable<Void>()
    if count <= limit { for (seq, _) in page(from: 0, limit: limit) { noted[seq] = () } }
    changed = noted
  }
  mutating func noteLook(_ seq: UInt64) { changed?[seq] = nil }
  /// The next item, from `seq` on, that changed since `noteLook`.
  func nextChanged(from seq: UInt64) -> UInt64? { changed?.next(from: seq)?.key }
  private mutating func note(_ seq: UInt64) { changed?[seq] = () }

  // MARK: Numbers

  private mutating func touchDirectory(_ wall: Int64) -> StagedAction {
    latest = max(wall, latest &+ 1)
    directoryModified = latest
    return .journal(.directory(modified: directoryModified))
  }

  mutating func drawOrder() -> UInt64 {
    defer { nextOrder += 1 }
    return nextOrder
  }

  // MARK: Coming to stand

  /// Draws a number and a name for a new item; nothing is visible yet. Ends with `stage` or `cancel`.
  mutating func reserve(
    fileID: String, recipient: String, name: FileName, size: Int64, modified: Int64, base: String? = nil
  ) -> StagedEntry {
    let seq = nextSeq
    nextSeq += 1
    let id = names.reserve(base: base ?? StagedNames.usual(StagedPair(fileID: fileID, recipient: recipient)))
    return StagedEntry(
      seq: seq, id: id, fileID: fileID, recipient: recipient, name: name, size: size, modified: modified)
  }

  mutating func cancel(_ entry: StagedEntry) { names.cancel(id: entry.id) }

  /// An item of the journal; nothing goes before `begin`, because its readers may have come through the restart. From
  /// any thread.
  /// - Returns: false if it cannot be (its name or pair is taken): the journal is not to be believed.
  mutating func restore(_ entry: StagedEntry, order: UInt64, isLeaving: Bool = false, isPinned: Bool = false) -> Bool {
    guard records[entry.seq] == nil else { return false }
    var record = StagedRecord(entry, order: isLeaving ? 0 : order)
    record.isNamed = !isLeaving
    if isLeaving {
      leaving.insert(entry.seq)
      restored.leaving.append(entry.seq)
    } else {
      guard standing(entry.pair) == nil, names.insert(id: entry.id, seq: entry.seq) else { return false }
      sizes = Self.sum(sizes, entry.size)
      if isPinned {
        restored.pinned.append(entry.seq)
      } else if order == 0 {
        restored.lowered.append(entry.seq)
      } else {
        shown[order] = entry.seq
      }
    }
    records[entry.seq] = record
    nextSeq = max(nextSeq, entry.seq + 1)
    nextOrder = max(nextOrder, order + 1)
    return true
  }

  /// The start is over, first part: open handles are counted. A handle of an unknown node is counted nowhere.
  func count(_ open: some Sequence<(key: HandleID, value: NodeID)>, _ files: inout FileKeeper) {
    for (handle, node) in open {
      guard case .file(let seq)? = StagedNode(node), let record = records[seq] else { continue }
      files.count(handle, on: FileKey(.staged, node), size: record.size)
    }
  }

  /// The second part, once all handles are counted, in steps of at most `limit` items: items that came back for nothing
  /// go. An item whose tileRef had become 0 gets another grace, because a browser may open it again.
  /// - Returns: whether there is more to do.
  mutating func begin(at time: FileTime, limit: Int, _ files: inout FileKeeper) -> (
    actions: [StagedAction], isMore: Bool
  ) {
    var left = limit
    while left > 0, let seq = restored.pinned.popLast() {
      left -= 1
      if let entry = entry(seq) { _ = files.pin(entry.key, size: entry.size) }
    }
    // The dead one may not have come to say what it changed last.
    var nodes = [StagedNode.staged.node]
    var actions: [StagedAction] = []
    while left > 0, let seq = restored.leaving.popLast() {
      left -= 1
      guard let entry = entry(seq) else { continue }
      nodes += [entry.directory, entry.file]
      actions += resolve(files.leave(entry.key), at: time, &files)
    }
    if nodes.count > 1 { actions.insert(touchDirectory(time.wall), at: 0) }
    while left > 0, let seq = restored.lowered.popLast() {
      left -= 1
      let key = FileKey(.staged, StagedNode.file(seq).node)
      if !files.isOpen(key), let record = records[seq] { files.grantGrace(key, size: record.size, at: time) }
    }
    actions += lowerOldest(time, &files, limit: left)
    let isMore = left == 0 || (rules.maxTiles > 0 && shown.count > rules.maxTiles)
    return ([.invalidate(nodes)] + actions, isMore)
  }

  /// A reserved item stands from here on. Only now, and only beyond the limit, do the tileRefs of others become 0.
  mutating func stage(_ entry: StagedEntry, order: UInt64, at time: FileTime, _ files: inout FileKeeper)
    -> [StagedAction]
  {
    names.cancel(id: entry.id)
    guard names.insert(id: entry.id, seq: entry.seq) else {
      preconditionFailure("staged \(entry.id) without a reservation")
    }
    records[entry.seq] = StagedRecord(entry, order: order)
    sizes = Self.sum(sizes, entry.size)
    shown[order] = entry.seq
    note(entry.seq)
    return [touchDirectory(time.wall), .invalidate([StagedNode.staged.node])] + lowerOldest(time, &files)
  }

  // MARK: The tileRefs

  /// A standing item is staged again: its tileRef is 1, and it is the newest. The item itself is not touched.
  mutating func show(_ seq: UInt64, at time: FileTime, _ files: inout FileKeeper) -> [StagedAction] {
    guard let record = records[seq], record.isNamed else { return [] }
    let order = drawOrder()
    setOrder(seq, order, isPinned: isPinned(seq, files))
    return [.journal(.show(seq: seq, order: order))] + lowerOldest(time, &files)
  }

  private mutating func setOrder(_ seq: UInt64, _ order: UInt64, isPinned: Bool) {
    guard let old = records[seq]?.order else { return }
    if old > 0 { shown[old] = nil }
    records.edit(seq) { $0.order = order }
    if order > 0, !isPinned { shown[order] = seq }
    note(seq)
  }

  private func isPinned(_ seq: UInt64, _ files: FileKeeper) -> Bool {
    files[FileKey(.staged, StagedNode.file(seq).node)]?.isPinned == true
  }

  /// Sets the tileRefs beyond the limit to 0, the oldest first; also at a start with a lower limit than the last one.
  mutating func lowerOldest(_ time: FileTime, _ files: inout FileKeeper, limit: Int = .max) -> [StagedAction] {
    var actions: [StagedAction] = []
    var left = limit
    while left > 0, rules.maxTiles > 0, shown.count > rules.maxTiles, let seq = shown.first?.value {
      left -= 1
      setOrder(seq, 0, isPinned: false)
      let key = FileKey(.staged, StagedNode.file(seq).node)
      actions += files.isUnused(key) ? evict(seq, time, &files) : [.journal(.show(seq: seq, order: 0))]
    }
    return actions
  }

  /// Its tileRef is 1, and it counts no longer towards the limit.
  mutating func pin(_ seq: UInt64, _ files: inout FileKeeper) -> [StagedAction] {
    guard let record = records[seq], record.isNamed else { return [] }
    var actions: [StagedAction] = []
    let order = record.order > 0 ? record.order : drawOrder()
    if record.order == 0 { actions.append(.journal(.show(seq: seq, order: order))) }
    setOrder(seq, order, isPinned: true)
    return actions + files.pin(FileKey(.staged, StagedNode.file(seq).node), size: record.size).map { .file($0) }
  }

  mutating func unpin(_ seq: UInt64, at time: FileTime, _ files: inout FileKeeper) -> [StagedAction] {
    guard let record = records[seq], isPinned(seq, files) else { return [] }
    let key = FileKey(.staged, StagedNode.file(seq).node)
    let actions = files.unpin(key, at: time).map { StagedAction.file($0) }
    setOrder(seq, record.order, isPinned: false)
    return actions + lowerOldest(time, &files) + resolve(files.settle(key), at: time, &files)
  }

  // MARK: Going

  /// By order of a person: the names go at once, the bytes with the last close, without a grace, because nothing can
  /// open them again.
  mutating func unstage(_ seqs: [UInt64], at time: FileTime, _ files: inout FileKeeper) -> [StagedAction] {
    var nodes: [NodeID] = []
    var actions: [StagedAction] = []
    for seq in seqs {
      guard let entry = entry(seq), isStanding(seq) else { continue }
      nodes += [entry.directory, entry.file]
      removeName(entry)
      actions += resolve(files.leave(entry.key), at: time, &files)
    }
    guard !nodes.isEmpty else { return [] }
    return [touchDirectory(time.wall), .invalidate([StagedNode.staged.node] + nodes)] + actions
  }

  /// Both references are 0: name and bytes go together.
  private mutating func evict(_ seq: UInt64, _ time: FileTime, _ files: inout FileKeeper) -> [StagedAction] {
    [.journal(.leave(seq: seq))] + unstage([seq], at: time, &files)
  }

  private mutating func removeName(_ entry: StagedEntry) {
    setOrder(entry.seq, 0, isPinned: false)
    records.edit(entry.seq) { $0.isNamed = false }
    names.remove(id: entry.id, seq: entry.seq)
    leaving.insert(entry.seq)
    sizes -= min(sizes, entry.size)
  }

  // MARK: Events of files

  /// Does what the keeper leaves to the volume, in place.
  mutating func resolve(_ actions: [FileAction], at time: FileTime, _ files: inout FileKeeper) -> [StagedAction] {
    var resolved: [StagedAction] = []
    for action in actions {
      switch action {
      case .ended(let key): resolved += ended(key)
      case .replaced(let key, let size): resolved += replaced(key, size: size, at: time)
      case .graceOver(let key, let wasReadWhole):
        resolved += graceOver(key, wasReadWhole: wasReadWhole, at: time, &files)
      default: resolved.append(.file(action))
      }
    }
    return resolved
  }

  /// Nothing has the file open, and the grace is over.
  private mutating func graceOver(
    _ key: FileKey, wasReadWhole: Bool, at time: FileTime, _ files: inout FileKeeper
  ) -> [StagedAction] {
    guard case .file(let seq)? = StagedNode(key.node), let record = records[seq], record.isNamed else { return [] }
    note(seq)
    if !isPinned(seq, files) {
      if record.order == 0 || (wasReadWhole && rules.afterUpload == .unstage) { return evict(seq, time, &files) }
      if wasReadWhole, rules.afterUpload == .dropBytes { return resolve(files.dropBytes(key), at: time, &files) }
    }
    return resolve(files.settle(key), at: time, &files)
  }

  /// The same item, by the same name and node: size and time are those of the new file, so that nothing goes on with a
  /// part of the old one.
  private mutating func replaced(_ key: FileKey, size: Int64, at time: FileTime) -> [StagedAction] {
    guard case .file(let seq)? = StagedNode(key.node), let old = records[seq] else { return [] }
    if old.isNamed { sizes = Self.sum(sizes - min(sizes, old.size), size) }
    records.edit(seq) { $0.replace(size: size, modified: max(time.wall, old.modified &+ 1)) }
    note(seq)
    guard let entry = entry(seq) else { return [] }
    return [.journal(.replace(entry)), .invalidate([entry.directory, entry.file])]
  }

  private mutating func ended(_ key: FileKey) -> [StagedAction] {
    guard case .file(let seq)? = StagedNode(key.node), let entry = entry(seq), !isStanding(seq) else { return [] }
    records[seq] = nil
    leaving.remove(seq)
    note(seq)
    return [.journal(.remove(seq: seq)), .gone(entry)]
  }

  private static func sum(_ a: Int64, _ b: Int64) -> Int64 { min(a, .max - b) + b }
}
