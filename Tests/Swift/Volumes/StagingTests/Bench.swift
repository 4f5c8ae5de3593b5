import Core
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

/// `StagedItems` and `FileKeeper` together, as the volume drives them, and a record of what they asked for.
struct Tiles {
  struct Rules {
    var maxTiles = 0
    var closeGrace: Duration = .seconds(5)
    var afterUpload: StagedVolume.AfterUpload = .keep
    var idleEvict: Duration = .zero
    var warmth: Duration = .seconds(600)
    var capacity = 4096
    var resting = 256
    var filling = 4
  }
  let rules: Rules
  var items: StagedItems
  var files: FileKeeper

  init(rules: Rules, origins: StagedItems.Origins = StagedItems.Origins(), isStarting: Bool = false) {
    self.rules = rules
    items = StagedItems(
      rules: StagedItems.Rules(maxTiles: rules.maxTiles, afterUpload: rules.afterUpload), origins: origins)
    var fileRules = FileKeeper.Rules()
    (fileRules.closeGrace, fileRules.idleEvict, fileRules.warmth) = (rules.closeGrace, rules.idleEvict, rules.warmth)
    (fileRules.capacity, fileRules.resting, fileRules.filling) = (rules.capacity, rules.resting, rules.filling)
    files = FileKeeper(rules: fileRules)
    files.add(.staged, generation: origins.nextGeneration)
    if !isStarting { _ = files.begin(.staged) }
  }

  subscript(entry: StagedEntry) -> OpenFile? { files[entry.key] }
  private func key(_ seq: UInt64) -> FileKey { FileKey(.staged, StagedNode.file(seq).node) }
  private mutating func resolve(_ actions: [FileAction], _ time: FileTime) -> [StagedAction] {
    items.resolve(actions, at: time, &files)
  }

  mutating func stage(_ entry: StagedEntry, order: UInt64, at time: FileTime) -> [StagedAction] {
    items.stage(entry, order: order, at: time, &files)
  }
  mutating func show(_ seq: UInt64, at time: FileTime) -> [StagedAction] { items.show(seq, at: time, &files) }
  mutating func unstage(_ seqs: [UInt64], at time: FileTime) -> [StagedAction] { items.unstage(seqs, at: time, &files) }
  mutating func open(_ node: NodeID, handle: HandleID, at time: FileTime) -> [StagedAction] {
    guard case .file(let seq)? = StagedNode(node) else {
      return [.file(.answer(handle, .failed((try? items.attributes(of: node)) == nil ? .stale : .isDirectory)))]
    }
    guard let record = items[seq] else { return [.file(.answer(handle, .failed(.stale)))] }
    return resolve(files.open(FileKey(.staged, node), size: record.size, handle: handle), time)
  }
  mutating func released(_ handle: HandleID, use: HandleUse, at time: FileTime) -> [StagedAction] {
    resolve(files.released(handle, use: use, at: time), time)
  }
  mutating func advance(to time: FileTime) -> [StagedAction] { resolve(files.advance(to: time), time) }
  mutating func storeMade(_ generation: StoreGeneration, at time: FileTime) -> [StagedAction] {
    resolve(files.storeMade(generation), time)
  }
  mutating func storeFailed(_ generation: StoreGeneration, _ error: Errno, at time: FileTime) -> [StagedAction] {
    resolve(files.storeFailed(generation, error), time)
  }
  mutating func parked(_ generation: StoreGeneration, _ parked: ParkedFile?, at time: FileTime) -> [StagedAction] {
    resolve(files.parked(generation, parked), time)
  }
  mutating func pagesForgotten(_ generation: StoreGeneration, at time: FileTime) -> [StagedAction] {
    resolve(files.pagesForgotten(generation), time)
  }
  mutating func storeComplete(_ generation: StoreGeneration, at time: FileTime) -> [StagedAction] {
    resolve(files.storeComplete(generation, at: time), time)
  }
  mutating func sourceChanged(
    _ generation: StoreGeneration, to size: Int64? = nil, unanswered: [HandleID] = [], at time: FileTime
  ) -> [StagedAction] {
    resolve(files.sourceChanged(generation, to: size, unanswered: unanswered), time)
  }
  mutating func storeStuck(_ generation: StoreGeneration, at time: FileTime) -> [StagedAction] {
    resolve(files.storeStuck(generation, at: time), time)
  }
  mutating func stop(at time: FileTime) -> [StagedAction] { resolve(files.stop(.staged).actions, time) }
  mutating func begin(_ open: [HandleID: NodeID], at time: FileTime) -> [StagedAction] {
    items.count(open, &files)
    return items.begin(at: time, limit: .max, &files).actions
  }
  mutating func fillPinned(at time: FileTime) -> [StagedAction] { resolve(files.begin(.staged), time) }
  mutating func pin(_ seq: UInt64, at time: FileTime) -> [StagedAction] { items.pin(seq, &files) }
  mutating func unpin(_ seq: UInt64, at time: FileTime) -> [StagedAction] { items.unpin(seq, at: time, &files) }
  mutating func warm(_ seq: UInt64, at time: FileTime) -> [StagedAction] {
    guard let record = items[seq], record.isNamed else { return [] }
    return resolve(files.warm(key(seq), size: record.size, at: time), time)
  }
  mutating func dropBytes(_ seq: UInt64, at time: FileTime) -> [StagedAction] {
    resolve(files.dropBytes(key(seq)), time)
  }
  mutating func dropIdle(at time: FileTime) -> [StagedAction] { resolve(files.dropIdle(.staged).actions, time) }
  mutating func keep(_ parked: ParkedFile, of seq: UInt64, at time: FileTime) -> Bool {
    guard let record = items[seq], record.isNamed else { return false }
    return files.keep(parked, size: record.size, at: time)
  }
  func accepts(_ name: String, node: NodeID, length: Int64) -> (entry: StagedEntry, generation: StoreGeneration)? {
    guard let file = BytesFile(name), file.key.node == node, case .file(let seq)? = StagedNode(node),
      let entry = items.entry(seq),
      entry.size == length, items.isStanding(seq) || files.isOpen(entry.key), files.accepts(file, size: length)
    else { return nil }
    return (entry, file.generation)
  }
  mutating func takeUp(_ seq: UInt64, _ generation: StoreGeneration, at time: FileTime) {
    guard let record = items[seq] else { return }
    files.takeUp(key(seq), size: record.size, generation, at: time)
  }

  /// The items whose bytes go so that `seq` has room, in this order.
  func inTheWay(of seq: UInt64) -> [UInt64] {
    var copy = files
    var found: [UInt64] = []
    while let next = copy.inTheWay(of: key(seq)), case .file(let seq)? = StagedNode(next.node) {
      found.append(seq)
      _ = copy.dropBytes(next)
    }
    return found
  }
}

extension StagedAction {
  static func closeStore(_ generation: StoreGeneration) -> Self { .file(.closeStore(generation)) }
  static func parkStore(_ generation: StoreGeneration) -> Self { .file(.parkStore(generation)) }
  static func setFilling(_ generation: StoreGeneration, _ isFilling: Bool) -> Self {
    .file(.setFilling(generation, isFilling))
  }
  static func tryDisk(_ generation: StoreGeneration) -> Self { .file(.tryDisk(generation)) }
  static func fetchFirst(_ generation: StoreGeneration, _ ranges: [ByteRange]) -> Self {
    .file(.fetchFirst(generation, ranges))
  }
  static func forgetPages(_ node: NodeID, _ generation: StoreGeneration) -> Self {
    .file(.forgetPages(FileKey(.staged, node), generation))
  }
  static func answer(_ handle: HandleID, _ answer: FileAction.Answer) -> Self { .file(.answer(handle, answer)) }
  static func unlink(_ parked: ParkedFile) -> Self { .file(.unlink(parked)) }
  static func makeStore(_ entry: StagedEntry, _ generation: StoreGeneration) -> Self {
    .file(.makeStore(entry.key, generation))
  }
}

/// `Tiles` with a clock and a list of what it asked for.
struct Bench {
  var tiles: Tiles
  var seconds = 0.0
  var asked: [StagedAction] = []

  init(
    maxTiles: Int = 0, afterUpload: StagedVolume.AfterUpload = .keep, idleEvict: Duration = .zero,
    firstGeneration: UInt64 = 1,
    isStarting: Bool = false,
    change: (inout Tiles.Rules) -> Void = { _ in }
  ) {
    var rules = Tiles.Rules(maxTiles: maxTiles, closeGrace: .seconds(5), afterUpload: afterUpload, idleEvict: idleEvict)
    change(&rules)
    tiles = Tiles(rules: rules, origins: StagedItems.Origins(nextGeneration: firstGeneration), isStarting: isStarting)
  }

  var time: FileTime { FileTime(now: Moment(nanoseconds: UInt64(seconds * 1e9)), wall: 1000) }

  mutating func stage(_ fileID: String, size: Int64 = 100) -> StagedEntry {
    let entry = tiles.items.reserve(
      fileID: fileID, recipient: "r", name: FileName("\(fileID).mp4"), size: size, modified: 1000)
    asked = tiles.stage(entry, order: tiles.items.drawOrder(), at: time)
    return entry
  }
  mutating func show(_ entry: StagedEntry) { asked = tiles.show(entry.seq, at: time) }
  mutating func unstage(_ entry: StagedEntry) { asked = tiles.unstage([entry.seq], at: time) }
  mutating func open(_ entry: StagedEntry, _ handle: UInt64) {
    asked = tiles.open(entry.file, handle: HandleID(handle), at: time)
  }
  mutating func close(_ handle: UInt64, read: Int64 = 0) {
    asked = tiles.released(HandleID(handle), use: HandleUse(bytes: read, furthest: read), at: time)
  }
  mutating func pass(_ seconds: Double) {
    self.seconds += seconds
    asked = tiles.advance(to: time)
  }
  /// The store that was asked for last.
  var asking: StoreGeneration? {
    for case .file(.makeStore(_, let generation)) in asked { return generation }
    return nil
  }
  /// Makes it.
  mutating func made() throws -> StoreGeneration {
    let generation = try #require(asking)
    asked = tiles.storeMade(generation, at: time)
    return generation
  }
  /// The pages that are to be forgotten, of that node.
  func forgetting(_ node: NodeID) -> StoreGeneration? {
    for case .file(.forgetPages(FileKey(.staged, node), let generation)) in asked { return generation }
    return nil
  }
  /// Does the last parking that was asked for: all of the file is on the disk.
  mutating func parked(isComplete: Bool = true) throws -> ParkedFile {
    var parking: StoreGeneration?
    for case .file(.parkStore(let generation)) in asked { parking = generation }
    let generation = try #require(parking)
    let key = try #require(tiles.files.owner(of: generation))
    let parked = ParkedFile(
      file: BytesFile(key, generation), bytes: 100, isComplete: isComplete, stamp: generation.rawValue)
    asked = tiles.parked(generation, parked, at: time)
    return parked
  }
  mutating func restore(_ entry: StagedEntry, order: UInt64, isLeaving: Bool = false, isPinned: Bool = false) -> Bool {
    tiles.items.restore(entry, order: order, isLeaving: isLeaving, isPinned: isPinned)
  }
  mutating func begin(_ open: [HandleID: NodeID] = [:]) { asked = tiles.begin(open, at: time) }

  mutating func pin(_ entry: StagedEntry) { asked = tiles.pin(entry.seq, at: time) }
  mutating func unpin(_ entry: StagedEntry) { asked = tiles.unpin(entry.seq, at: time) }
  mutating func warm(_ entry: StagedEntry) { asked = tiles.warm(entry.seq, at: time) }
  /// A file that was read to a place and closed, its grace over, and parked.
  mutating func idle(_ fileID: String, _ handle: UInt64, size: Int64 = 100) throws -> (StagedEntry, ParkedFile) {
    let entry = stage(fileID, size: size)
    open(entry, handle)
    _ = try made()
    close(handle)
    pass(5)
    return (entry, try parked())
  }
  func bytes(_ entry: StagedEntry) -> OpenFile.State? { tiles[entry]?.state }

  /// [tileRef, openRef], nil for an item that is gone.
  func refs(_ entry: StagedEntry) -> [Int]? { tiles.items[entry.seq].map { [$0.tileRef, tiles[entry]?.openRef ?? 0] } }
  func isThere(_ entry: StagedEntry) -> Bool {
    (try? tiles.items.lookup(FileName(entry.id), in: NodeID(2)).node) == entry.directory
  }
}
