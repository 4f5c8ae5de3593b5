import ByteSource
import ControlModel
import Core
import EventLoop
import MediaHub
import OpenFiles
import Store
import Telemetry
import Transfer
import Volume
import VolumeKinds

/// The volume of staged files: `/Staged/<id>/<name>`, each the bytes of one file for one recipient.
///
/// `StagedItems` decides about names and recipients, `FileCache` about bytes; this class owns the journal, brings the
/// two together, and asks the service. It lives on the dispatch loop; the control plane makes it, and its `Mount` holds
/// it.
@DispatchLoop
package final class StagedVolume {
  package struct Options: Sendable {
    /// Absolute; items' paths begin with it.
    package var mountpoint: String
    package var stateFolder: String
    /// 0: no limit.
    package var maxTiles = 0
    /// How long after the last close the bytes of an item are kept whose tileRef is 0.
    package var closeGrace: Duration = .seconds(5)
    package var afterUpload: AfterUpload = .keep
    /// Bytes of an item that nothing has used for so long are dropped; 0: never.
    package var idleEvict: Duration = .zero
    /// Nothing is kept on the disk: all files stream through the window.
    package var isWindowed = false
    package init(mountpoint: String, stateFolder: String) {
      self.mountpoint = mountpoint
      self.stateFolder = stateFolder
    }
  }
  /// In the order in which the documents name them.
  package enum AfterUpload: String, Sendable, CaseIterable { case keep, dropBytes = "drop-bytes", unstage }

  /// No file is longer: far above any, and far enough below `Int64.max` for arithmetic with blocks.
  nonisolated static let maxSize: Int64 = 1 << 60
  nonisolated static let id = VolumeID.staged

  let dependencies: Dependencies
  let journal: JournalQueue
  let isWindowed: Bool
  let files: FileCache
  /// The marker that has content.
  let tag: FixedFile
  /// Without a slash at its end.
  let mountpoint: String
  private(set) var staged: StagedItems
  weak var host: (any VolumeHost)?
  /// Stagings under way, so that two of the same pair give one item.
  var stagings: [StagedPair: Task<Result<UInt64, StagingError>, Never>] = [:]
  /// Recipients that files were staged for, the last one first.
  var recentRecipients: [String]
  var isStopping = false
  /// `begin` or `inherit` was called: files of earlier runs are being, or have been, taken up or unlinked.
  var hasBegun = false

  /// The objects that an item has beside its state, from its first open on.
  struct ItemObjects {
    var origin: (any ByteSource)?
    let failure = FailureNote()
  }
  var objects: [UInt64: ItemObjects] = [:]
  /// Items staged last, which keep the link that was minted for them; a person opens the item that was staged just now.
  private var fresh: [UInt64] = []
  var live = LiveStatus()
  /// Told when the first handle is opened and when the last is closed, from inside the event that did it: note it, and
  /// act later.
  package var onBusyChange: (() -> Void)?
  private var wasBusy = false

  /// Opens the journal (on a worker thread) and brings back the staged items. Open handles and leases of a run that
  /// died wait for `inherit`.
  package static func open(
    options: Options, mediaHub: MediaHubClient, budget: FetchBudget, folder: CacheFolder, memory: WindowMemory,
    clock: any TimeSource = SystemClock()
  ) async throws(StagingError) -> StagedVolume {
    let files = FileCache(
      rules: rules(options, FileKeeper.Rules.limits()), folder: folder, budget: budget, memory: memory, clock: clock)
    return try await open(options: options, dependencies: Dependencies(catalogue: mediaHub, clock: clock), files: files)
  }

  /// The cache's rules as the settings say them.
  nonisolated static func rules(_ options: Options, _ limits: FileKeeper.Rules) -> FileKeeper.Rules {
    var rules = limits
    (rules.closeGrace, rules.idleEvict, rules.isWindowed) = (options.closeGrace, options.idleEvict, options.isWindowed)
    return rules
  }

  static func open(options: Options, dependencies: Dependencies, files: FileCache) async throws(StagingError)
    -> StagedVolume
  {
    let path = options.stateFolder + "/staged.sqlite"
    let wall = dependencies.clock.wallNanoseconds()
    let rules = StagedItems.Rules(maxTiles: max(0, options.maxTiles), afterUpload: options.afterUpload)
    let found = await onWorker { () -> Result<(Journal, Restored), StagingError> in
      let found = Journal.open(path: path, wall: wall).map { ($0.journal, Restored($0.contents, rules)) }
      // The rows of the journal are many times as long as what is kept of them.
      returnMemory()
      return found
    }
    let (journal, restored) = try found.get()
    return StagedVolume(
      options: options, dependencies: dependencies, files: files, journal: journal, restored: restored)
  }

  /// The journal's items as they stand in memory: made on a worker thread, because a hundred thousand of them take
  /// their time.
  struct Restored: Sendable {
    var items: StagedItems
    var recipients: [String]
    /// Rows whose place another item has: their removal could not be written once.
    var superfluous: [UInt64] = []
    var nextGeneration: UInt64

    init(_ contents: Journal.Contents, _ rules: StagedItems.Rules) {
      items = StagedItems(rules: rules, origins: contents.origins)
      recipients = contents.recipients
      nextGeneration = contents.origins.nextGeneration
      for item in contents.items
      where !items.restore(item.entry, order: item.order, isLeaving: item.isLeaving, isPinned: item.isPinned) {
        superfluous.append(item.entry.seq)
      }
    }
  }

  private init(options: Options, dependencies: Dependencies, files: FileCache, journal: Journal, restored: Restored) {
    self.dependencies = dependencies
    self.files = files
    tag = FixedFile(
      files, FileKey(Self.id, Marker.cacheTag.node), name: "cachedir.tag", content: Marker.cacheTag.content)
    self.journal = JournalQueue(journal)
    isWindowed = options.isWindowed
    mountpoint = options.mountpoint.hasSuffix("/") ? String(options.mountpoint.dropLast()) : options.mountpoint
    staged = restored.items
    recentRecipients = restored.recipients
    files.add(Self.id, generation: restored.nextGeneration, owner: self)
    if !restored.superfluous.isEmpty {
      Log.warning(.journalTwice, ["rows": restored.superfluous.count])
      self.journal.note(restored.superfluous.map { .remove(seq: $0) })
    }
  }

  var time: FileTime { files.time }

  // MARK: Items

  /// Changes the items, and the files of their bytes with them.
  func change<Result>(_ body: (inout StagedItems, FileTime, inout FileKeeper) -> Result) -> Result {
    let time = time
    return files.change { body(&staged, time, &$0) }
  }

  /// Puts the files of the list of staged items back if something removed them.
  /// - Returns: why that failed, for people.
  package func restoreList() async -> String? {
    guard !isStopping, let error = await journal.restore() else { return nil }
    return "\(journal.path), the list of staged items, cannot be written: \(error.message)"
  }

  /// Notes from now on which items and files change.
  /// - Parameter limit: if there are no more items than that, each counts as changed.
  func noteChanges(allUpTo limit: Int) {
    staged.noteChanges(allUpTo: limit)
    files.change { $0.noteChanges(of: Self.id) }
  }
  func noteLook(_ seq: UInt64) {
    staged.noteLook(seq)
    files.change { $0.noteLook(Self.key(seq)) }
  }

  /// Draws a number, a name and a place in the order for a new item. Ends with `StagedItems.stage` or `cancel`.
  func reserve(_ file: MediaHubOutput, recipient: String, name: FileName, modified: Int64) -> (
    StagedEntry, order: UInt64
  ) {
    let entry = staged.reserve(
      fileID: file.fileId, recipient: recipient, name: name, size: file.size, modified: modified)
    return (entry, staged.drawOrder())
  }

  func cancel(_ entry: StagedEntry) { staged.cancel(entry) }

  // MARK: Acting

  /// Does what an event of `items` asks for.
  /// - Parameter forgotten: called once the kernel has forgotten the attributes that the event changed.
  func act(_ actions: [StagedAction], forgotten: @escaping @DispatchLoop () -> Void = {}) {
    var nodes: [NodeID] = []
    var removals: [JournalChange] = []
    for action in actions {
      switch action {
      case .file(let action): files.act([action])
      case .invalidate(let more): nodes += more
      case .journal(.remove(let seq)): removals.append(.remove(seq: seq))
      case .journal(let change): journal.note([change])
      case .gone(let entry):
        objects[entry.seq] = nil
        files.ended(entry.key)
        if live.isWatched { live.gone.append(entry.id) }
        Log.info(.itemGone, ["id": entry.id])
      }
    }
    files.act([])
    noteBusy()
    // In one order, and last: what is invalidated has changed for every look-up by now.
    guard let host, !nodes.isEmpty else {
      journal.note(removals)
      return forgotten()
    }
    host.invalidateAttributes(
      directories: nodes.filter { StagedNode($0)?.isDirectory == true },
      files: nodes.filter { StagedNode($0)?.isDirectory != true }
    ) { [journal] in
      journal.note(removals)
      forgotten()
    }
  }

  func noteBusy() {
    guard isBusy != wasBusy else { return }
    wasBusy = isBusy
    onBusyChange?()
  }
}

extension StagedVolume: MountedVolume {}

extension StagedVolume: FileOwner {
  package func size(of key: FileKey) -> Int64? {
    guard case .file(let seq)? = StagedNode(key.node), let record = staged[seq],
      record.isNamed || files.keeper.isOpen(key)
    else { return nil }
    return record.size
  }

  package func identity(of key: FileKey) -> UInt64? {
    guard case .file(let seq)? = StagedNode(key.node) else { return nil }
    return staged.entry(seq).map { staged.identity($0) }
  }

  package func order(of key: FileKey, file: BytesFile) -> BackingStores.Order? {
    guard case .file(let seq)? = StagedNode(key.node), let entry = staged.entry(seq) else { return nil }
    var own = objects[seq] ?? ItemObjects()
    // An origin that says that the file is empty is asked again for a byte, since nothing else can be asked for.
    let size = max(1, entry.size)
    let origin =
      own.origin
      ?? dependencies.catalogue.origin(
        fileID: entry.fileID, name: "\(entry.name)", size: size, recipient: entry.recipient)
    own.origin = origin
    objects[seq] = own
    return BackingStores.Order(
      file: file, size: size, label: entry.id, identity: staged.identity(entry), origin: origin, note: own.failure)
  }

  package func fileEvent(_ action: FileAction) {
    if case .replaced(let key, let size) = action, case .file(let seq)? = StagedNode(key.node) {
      // The next store has an origin of the new file, and nothing to say against it.
      objects[seq] = nil
      Log.info(.itemReplaced, ["id": staged.entry(seq)?.id ?? "", "size": size])
    }
    act(change { $0.resolve([action], at: $1, &$2) })
  }

  /// The item's first open uses the origin, unless so many others are staged before that it has been dropped.
  func keep(_ origin: any ByteSource, of seq: UInt64) {
    objects[seq] = ItemObjects(origin: origin)
    fresh.append(seq)
    guard fresh.count > 64 else { return }
    let oldest = fresh.removeFirst()
    if files.keeper[Self.key(oldest)] == nil, objects[oldest]?.failure.sentence == nil { objects[oldest] = nil }
  }

  package func rested(_ key: FileKey) {
    // The next open makes an origin of its own.
    guard case .file(let seq)? = StagedNode(key.node), objects[seq]?.failure.sentence == nil else { return }
    objects[seq] = nil
  }
}
