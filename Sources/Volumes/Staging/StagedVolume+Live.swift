import ControlModel
import Core
import EventLoop
import OpenFiles
import Volume

/// The part of the items' status that changes while it is shown: readers, their positions, rates. It is updated by
/// looks, which a client that shows it causes a few times a second; without one nothing here costs anything. It is a
/// value in `StagedVolume`, on the dispatch loop; /proc is read on a worker thread (`Readers`).
struct LiveStatus {
  /// The status of an item that is told, without its names: a change of them is worth an event.
  struct Glimpse: Equatable {
    var state: StagedItem.State
    var pinned: Bool
    var windowed: Bool
    var tileRef: Int
    var openRef: Int
    var fetched: Int64
    var served: Int64
    var read: Int64
    /// Open handles whose reader is known by name.
    var known: Int
    var failure: String?
  }

  struct Meters {
    var fetched = Meter()
    var served = Meter()
  }

  /// The glimpses of items that move, as they were told last.
  var glimpses: [UInt64: Glimpse] = [:]
  var meters = OrderedTable<Meters>()
  /// Ids of items that went since the last look.
  var gone: ArraySlice<String> = []
  /// The look under way has come to the items below it.
  var cursor: UInt64 = 0
  /// Bytes that are here of files with a store, and bytes that were given to handles that are open, as they were
  /// counted last.
  var standing: Int64 = 0
  var servedOpen: Int64 = 0
  /// Whether there was a look at all.
  var isWatched = false
  /// The processes of open handles, from the last look into /proc.
  var readers: [HandleID: Readers.Reader] = [:]
  var readersTime: Moment?
  var isLooking = false
}

/// The items that changed or went since the last look.
package struct ItemChanges: Sendable, Equatable {
  /// New, or changed; by order of staging.
  package var changed: [StagedItem]
  /// Their ids.
  package var gone: [String]
  /// Whether the look is not over: the next call goes on with it.
  package var isMore: Bool

  package init(changed: [StagedItem], gone: [String], isMore: Bool = false) {
    (self.changed, self.gone, self.isMore) = (changed, gone, isMore)
  }
}

extension StagedVolume {
  /// Cells of an item's map.
  private static var mapCells: Int { 128 }

  /// So many items are told of at the first look, if there are no more; more of them are for `items(after:limit:)`.
  private static var firstLook: Int { 512 }

  /// Looks at the items that move or have changed; for one watcher, which is told each change once. A few times a
  /// second: the rates are made of the looks. An item at rest costs nothing.
  /// - Parameter limit: at most so many items are looked at, and so many told as gone, in this call.
  package func look(atMost limit: Int = .max) -> ItemChanges {
    let now = dependencies.clock.now()
    if !live.isWatched { noteChanges(allUpTo: Self.firstLook) }
    live.isWatched = true
    var look = ItemChanges(changed: [], gone: Array(live.gone.prefix(limit)))
    live.gone.removeFirst(look.gone.count)
    var left = limit
    while left > 0, let seq = nextToLookAt() {
      left -= 1
      live.cursor = seq + 1
      noteLook(seq)
      guard let record = staged[seq] else {
        live.glimpses[seq] = nil
        live.meters[seq] = nil
        continue
      }
      let glimpse = glimpse(seq, record)
      let before = live.glimpses[seq]
      let rates = live.meters[seq].map { ($0.fetched.rate, $0.served.rate) }
      // An item at rest has no meter.
      var meters = live.meters[seq] ?? LiveStatus.Meters()
      meters.fetched.note(glimpse.fetched, at: now)
      meters.served.note(glimpse.served, at: now)
      let isAtRest =
        before == glimpse && glimpse.openRef == 0 && meters.fetched.rate == nil && meters.served.rate == nil
      live.meters[seq] = isAtRest ? nil : meters
      let ratesNow = live.meters[seq].map { ($0.fetched.rate, $0.served.rate) }
      let isChanged = before != glimpse || rates?.0 != ratesNow?.0 || rates?.1 != ratesNow?.1
      live.glimpses[seq] = isAtRest && files.keeper[Self.key(seq)]?.store == nil ? nil : glimpse
      if isChanged, let item = item(seq) { look.changed.append(item) }
    }
    let isOver = nextToLookAt() == nil
    if isOver { live.cursor = 0 }
    look.isMore = !isOver || !live.gone.isEmpty
    if !look.isMore, files.keeper.openHandles > 0 { lookForReaders() }
    return look
  }

  /// The next item of the look under way that moves, or that changed since it was looked at.
  private func nextToLookAt() -> UInt64? {
    let from = live.cursor
    let node = files.keeper.nextMoving(Self.id, from: Self.key(from).node.rawValue)
    let moving: UInt64? = node.flatMap { if case .file(let seq)? = StagedNode(NodeID($0)) { seq } else { nil } }
    return [moving, staged.nextChanged(from: from), live.meters.next(from: from)?.key].compactMap { $0 }.min()
  }

  /// Counts the bytes that are here and those that were given to open handles, some at a time.
  package func countTotals() async {
    live.standing = await files.countStanding(Self.id)
    guard let host else { return }
    var bytes: Int64 = 0
    for (number, handle) in files.keeper.allHandles.keys.enumerated() {
      if number % Self.handlesAStep == Self.handlesAStep - 1 { await files.pause() }
      // A handle that was closed meanwhile was counted by that.
      if files.keeper.file(of: handle) != nil { bytes &+= max(0, host.use(of: handle).bytes) }
    }
    live.servedOpen = bytes
  }

  private static var handlesAStep: Int { 1024 }

  // MARK: Readers

  /// Finds out where the readers are, unless that was done just now.
  package func findReaders() async {
    guard files.keeper.openHandles > 0 else { return }
    if let time = live.readersTime, dependencies.clock.now() - time < .milliseconds(500) { return }
    await withCheckedContinuation { continuation in lookForReaders { continuation.resume() } }
  }

  /// One look at a time: the questions are put together some at a time, and answered on a worker thread.
  private func lookForReaders(done: @escaping @DispatchLoop () -> Void = {}) {
    guard !live.isLooking, host != nil else { return done() }
    live.isLooking = true
    Task { @DispatchLoop in
      let questions = await readersToFind()
      live.readers = await onWorker { Readers.look(for: questions) }
      live.isLooking = false
      live.readersTime = dependencies.clock.now()
      done()
    }
  }

  private static var questionsAStep: Int { 64 }

  private func readersToFind() async -> [Readers.Question] {
    var questions: [Readers.Question] = []
    for (number, (handle, key)) in files.keeper.allHandles.enumerated() {
      if number % Self.questionsAStep == Self.questionsAStep - 1 { await files.pause() }
      guard let host, key.volume == Self.id, case .file(let seq)? = StagedNode(key.node), let entry = staged.entry(seq)
      else { continue }
      questions.append(
        Readers.Question(
          handle: handle, thread: host.opener(of: handle), path: "/Staged/\(entry.id)/\(entry.name)",
          known: live.readers[handle]))
    }
    return questions
  }

  /// The item's readers, by handle: their processes and positions.
  func readers(of seq: UInt64) -> [StagedItem.Reader] {
    guard let host else { return [] }
    return (files.keeper[Self.key(seq)]?.handles ?? []).sorted { $0.rawValue < $1.rawValue }.map { handle in
      let reader = live.readers[handle]
      return StagedItem.Reader(
        pid: Int(reader?.pid ?? host.opener(of: handle)), process: reader?.process ?? "",
        position: Self.position(reader, use: host.use(of: handle)))
    }
  }

  /// How far a reader is: the kernel reads ahead of it, so its own position says it better, where it has one. A seek
  /// over what was never read does not count.
  nonisolated static func position(_ reader: Readers.Reader?, use: HandleUse) -> Int64 {
    guard let reader, reader.position > 0 else { return use.furthest }
    return min(reader.position, use.furthest)
  }

  // MARK: Items

  func glimpse(_ seq: UInt64, _ record: StagedRecord) -> LiveStatus.Glimpse {
    let key = Self.key(seq)
    let file = files.keeper[key]
    let openRef = file?.openRef ?? 0
    let failure = objects[seq]?.failure.sentence
    let state: StagedItem.State =
      if record.order == 0 { .leaving } else if failure != nil { .failed } else { openRef > 0 ? .open : .ready }
    let live = file.map { liveUse($0) } ?? LiveUse()
    let closed = file.map { min($0.use.bytes, $0.use.furthest) } ?? 0
    let read = openRef > 0 ? live.position : closed
    let served = file?.served ?? 0
    return LiveStatus.Glimpse(
      state: state, pinned: file?.isPinned ?? false, windowed: files.isWindowed(key), tileRef: record.tileRef,
      openRef: openRef,
      fetched: files.bytesPresent(of: key), served: min(served, .max - live.bytes) + live.bytes,
      read: min(max(0, read), record.size),
      known: file?.handles.count { self.live.readers[$0] != nil } ?? 0, failure: failure)
  }

  /// The bytes read through the handles of an item that are still open, and the furthest position.
  struct LiveUse {
    var bytes: Int64 = 0
    var position: Int64 = 0
  }

  func liveUse(_ file: OpenFile) -> LiveUse {
    guard let host else { return LiveUse() }
    var all = LiveUse()
    for handle in file.handles {
      let use = host.use(of: handle)
      all.bytes &+= max(0, use.bytes)
      all.position = max(all.position, Self.position(live.readers[handle], use: use))
    }
    return all
  }

  func map(_ seq: UInt64, _ record: StagedRecord) -> String {
    guard record.size > 0 else { return "" }
    let cells = files.presence(of: Self.key(seq), cells: Self.mapCells)
    guard files.keeper[Self.key(seq)]?.store != nil || !cells.isEmpty else { return Self.emptyMap }
    return String(decoding: cells.lazy.map { Self.digits[Int($0)] }, as: UTF8.self)
  }

  private static let emptyMap = String(repeating: "0", count: mapCells)
  private static let digits = Array("0123456789abcdef".utf8)
}
