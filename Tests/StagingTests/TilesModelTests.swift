import Core
import Glibc
import Support
import Testing
import Volume

@testable import Staging

/// The rules of the two references once more, told as plainly as possible and without any state machine: what stands, who has it open, when
/// it was closed last. Compared with `Tiles` after every step of random runs.
private struct Model {
  struct Item {
    let entry: TileEntry
    var isNamed = true
    var handles: Set<UInt64> = []
    /// When the last handle was closed; nil once the grace was dealt with.
    var closed: Double?
    var read: Int64 = 0
    var furthest: Int64 = 0
    var wasUsed = false
    /// Bytes are there, made and not yet to be dropped.
    var hasBytes = false
    var isMaking = false
    /// What an earlier run left waits for its next open.
    var hasLeft = false
    var isPinned = false
    /// Fetched ahead: to be complete, or complete until then.
    var isWarming = false
    var warmUntil: Double?
    var lastUsed: Double?

    var isWarm: Bool { isWarming || warmUntil != nil }
    /// Open nowhere, nor within the grace, nor kept.
    var isIdle: Bool { handles.isEmpty && closed == nil && !isPinned }
    var mayDrop: Bool { hasBytes || (hasLeft && !isMaking) }

    mutating func drop() {
      (hasBytes, hasLeft, isWarming, warmUntil) = (false, false, false, nil)
      if closed == nil { (read, furthest, wasUsed) = (0, 0, false) }
    }
  }

  let rules: Tiles.Rules
  var grace: Double { rules.closeGrace.seconds }
  var items: [Item] = []
  /// Sequence numbers of items with a tile, the oldest first; pinned ones among them, which do not count.
  var shown: [UInt64] = []

  mutating func edit(_ seq: UInt64, _ body: (inout Item) -> Void) {
    for index in items.indices where items[index].entry.seq == seq { body(&items[index]) }
  }

  mutating func show(_ seq: UInt64) {
    shown.removeAll { $0 == seq }
    shown.append(seq)
    trim()
  }

  func isPinned(_ seq: UInt64) -> Bool { items.first { $0.entry.seq == seq }?.isPinned == true }
  var counted: [UInt64] { shown.filter { !isPinned($0) } }

  mutating func trim() {
    while rules.maxTiles > 0, counted.count > rules.maxTiles, let oldest = counted.first { shown.removeAll { $0 == oldest } }
  }

  mutating func pin(_ seq: UInt64) {
    edit(seq) {
      $0.isPinned = true
      ($0.isWarming, $0.warmUntil) = (false, nil)
    }
    if !shown.contains(seq) { shown.append(seq) }
  }

  mutating func unpin(_ seq: UInt64, now: Double) {
    edit(seq) {
      $0.isPinned = false
      $0.lastUsed = now
    }
    trim()
  }

  mutating func unstage(_ seq: UInt64) {
    shown.removeAll { $0 == seq }
    edit(seq) {
      $0.isNamed = false
      $0.isPinned = false
      ($0.isWarming, $0.warmUntil) = (false, nil)
    }
  }

  /// What time and the last event bring about by themselves.
  mutating func settle(now: Double) {
    for item in items where item.handles.isEmpty {
      let isOver = item.closed.map { now >= $0 + grace } ?? true
      let wasWhole = item.wasUsed && item.read >= item.entry.size && item.furthest >= item.entry.size
      if !item.isNamed || (isOver && !shown.contains(item.entry.seq)) {
        items.removeAll { $0.entry.seq == item.entry.seq }
      } else if isOver, item.closed != nil {
        edit(item.entry.seq) {
          $0.closed = nil
          if !item.isPinned, !item.hasBytes, !item.isMaking { ($0.read, $0.furthest, $0.wasUsed) = (0, 0, false) }
        }
        if item.isPinned {
          continue
        } else if wasWhole, rules.afterUpload == .unstage {
          shown.removeAll { $0 == item.entry.seq }
          items.removeAll { $0.entry.seq == item.entry.seq }
        } else if wasWhole, rules.afterUpload == .dropBytes, item.hasBytes {
          edit(item.entry.seq) { $0.drop() }
        }
      }
    }
    for item in items where item.isIdle && !item.isWarming {
      if let until = item.warmUntil {
        guard now >= until else { continue }
        edit(item.entry.seq) { $0.warmUntil = nil }
      }
      guard rules.idleEvict > .zero, item.mayDrop, let lastUsed = item.lastUsed, now >= lastUsed + rules.idleEvict.seconds else { continue }
      edit(item.entry.seq) { $0.drop() }
    }
  }
}

/// Runs both, plays the world (stores that take their time or fail, a kernel that forgets late), and looks after what must never happen.
private struct Walk {
  var random: SplitMix
  var tiles: Tiles
  var model: Model
  var now = 0.0
  var nextHandle: UInt64 = 1
  var making: [(entry: TileEntry, generation: StoreGeneration)] = []
  var forgetting: [StoreGeneration] = []
  /// Stores whose bytes are on the disk, and whose they are.
  var live: [StoreGeneration: UInt64] = [:]
  var owed: Set<UInt64> = []
  var readingFrom: [UInt64: StoreGeneration] = [:]
  var usedNodes: Set<NodeID> = []
  var usedGenerations: Set<StoreGeneration> = []
  var listing: (cursor: UInt64, throughout: Set<UInt64>, seen: [UInt64])?
  var journal: [UInt64: (entry: TileEntry, order: UInt64, isLeaving: Bool, isPinned: Bool)] = [:]
  var filling: [StoreGeneration: Bool] = [:]
  /// What earlier runs left and nobody took or unlinked.
  var left: [UInt64: Leftover] = [:]
  /// Above every generation drawn.
  var firstGeneration: UInt64 = 1

  init(seed: UInt64) {
    random = SplitMix(seed: seed)
    var rules = Tiles.Rules()
    rules.maxTiles = random.below(4)
    rules.closeGrace = [.zero, .seconds(5)][random.below(2)]
    rules.afterUpload = [.keep, .unstage, .dropBytes][random.below(3)]
    rules.idleEvict = [.zero, .seconds(12)][random.below(2)]
    rules.warmth = .seconds(9)
    tiles = Tiles(rules: rules)
    model = Model(rules: rules)
  }

  var time: Tiles.Time { Tiles.Time(now: Moment(nanoseconds: UInt64(now * 1e9)), wall: Int64(now * 1e9) - 7) }

  mutating func step() throws {
    switch random.below(20) {
    case 0, 1: stage()
    case 2: if let item = pick() { unstage(item) }
    case 3, 4, 5: if let item = pick() { open(item, node: item.entry.file) }
    case 6: if let node = usedNodes.map(\.rawValue).sorted().randomElement(using: &random) { openDead(NodeID(node)) }
    case 7, 8, 9: release()
    case 10:
      now += Double(random.below(8))
      run(tiles.advance(to: time))
    case 11: world()
    case 12: if random.below(4) == 0 { die() } else { world() }
    case 13: if let item = pick() { pin(item) }
    case 14: if let item = pick() { warm(item) }
    case 15: complete()
    case 16, 17: if let item = pick() { makeRoom(for: item) }
    case 18: clear()
    default: try listSome()
    }
    model.settle(now: now)
    try compare()
  }

  mutating func pick() -> Model.Item? { model.items.randomElement(using: &random) }

  // MARK: Events

  mutating func stage() {
    let which = random.below(5)
    let fileID = "file\(which)"
    let pair = TilePair(fileID: fileID, recipient: "r")
    if let standing = model.items.first(where: { $0.isNamed && $0.entry.fileID == fileID }) {
      #expect(tiles.standing(pair) == standing.entry.seq)
      run(tiles.show(standing.entry.seq, at: time))
      model.show(standing.entry.seq)
      return
    }
    #expect(tiles.standing(pair) == nil)
    let size = Int64(which == 4 ? 0 : 100)
    let entry = tiles.reserve(fileID: fileID, recipient: "r", name: FileName("v"), size: size, wall: time.wall)
    if random.below(6) == 0 { return tiles.cancel(entry) }
    #expect(usedNodes.insert(entry.file).inserted && usedNodes.insert(entry.directory).inserted, "a node number was used again")
    let order = tiles.drawOrder()
    journal[entry.seq] = (entry, order, false, false)
    run(tiles.stage(entry, order: order, at: time))
    model.items.append(Model.Item(entry: entry))
    model.show(entry.seq)
  }

  mutating func unstage(_ item: Model.Item) {
    leave(item.entry.seq)
    run(tiles.unstage([item.entry.seq], at: time))
    model.unstage(item.entry.seq)
  }

  /// The row of an unstaged item, as the journal keeps it.
  mutating func leave(_ seq: UInt64) {
    journal[seq]?.isLeaving = true
    journal[seq]?.isPinned = false
  }

  mutating func open(_ item: Model.Item, node: NodeID) {
    let handle = nextHandle
    nextHandle += 1
    owed.insert(handle)
    model.edit(item.entry.seq) {
      $0.handles.insert(handle)
      $0.closed = nil
      ($0.isWarming, $0.warmUntil) = (false, nil)
    }
    run(tiles.open(node, handle: HandleID(handle)))
    if !item.isNamed || item.entry.size == 0 { #expect(!owed.contains(handle), "nothing to wait for") }
    if random.below(8) == 0, let other = readingFrom.keys.sorted().randomElement(using: &random) {
      // A successor of the shim asks again.
      if let owner = model.items.first(where: { $0.handles.contains(other) }) {
        let before = readingFrom[other]
        owed.insert(other)
        run(tiles.open(owner.entry.file, handle: HandleID(other)))
        #expect(readingFrom[other] == before && !owed.contains(other))
      }
    }
  }

  /// A node of whatever ever was.
  mutating func openDead(_ node: NodeID) {
    guard !model.items.contains(where: { $0.entry.file == node }) else { return }
    let handle = nextHandle
    nextHandle += 1
    owed.insert(handle)
    run(tiles.open(node, handle: HandleID(handle)))
    #expect(!owed.contains(handle) && readingFrom[handle] == nil)
    run(tiles.released(HandleID(handle), use: HandleUse(), at: time))
  }

  mutating func release() {
    guard let item = pick(), let handle = item.handles.sorted().randomElement(using: &random) else { return }
    let use = [HandleUse(), HandleUse(bytes: 50, furthest: 100), HandleUse(bytes: 100, furthest: 100)][random.below(3)]
    readingFrom[handle] = nil
    model.edit(item.entry.seq) {
      $0.handles.remove(handle)
      $0.read += use.bytes
      $0.furthest = max($0.furthest, use.furthest)
      $0.wasUsed = true
      if $0.handles.isEmpty { ($0.closed, $0.lastUsed) = (now, now) }
    }
    // Model first: a grace of nothing ends within the event.
    run(tiles.released(HandleID(handle), use: use, at: time))
    #expect(!owed.contains(handle), "closed without an answer to its OPEN")
    run(tiles.released(HandleID(handle), use: use, at: time))
  }

  mutating func pin(_ item: Model.Item) {
    guard item.isNamed else {
      let actions = tiles.pin(item.entry.seq)
      return #expect(actions.isEmpty)
    }
    let seq = item.entry.seq
    journal[seq]?.isPinned = !item.isPinned
    if item.isPinned {
      model.unpin(seq, now: now)
      run(tiles.unpin(seq, at: time))
      // It may be the one too many.
      run(tiles.advance(to: time))
    } else {
      model.pin(seq)
      run(tiles.pin(seq))
    }
  }

  mutating func warm(_ item: Model.Item) {
    let isOf = item.isNamed && item.handles.isEmpty && !item.isPinned && item.entry.size > 0
    if isOf { model.edit(item.entry.seq) { ($0.isWarming, $0.warmUntil) = (true, nil) } }
    run(tiles.warm(item.entry.seq))
  }

  mutating func complete() {
    guard let (generation, seq) = live.sorted(by: { $0.value < $1.value }).randomElement(using: &random) else { return }
    tiles.storeComplete(generation, at: time)
    model.edit(seq) { [now] in
      if $0.isWarming { ($0.isWarming, $0.warmUntil, $0.lastUsed) = (false, now + 9, now) }
    }
  }

  /// The disk is full for one item: another one's bytes go, and never any that somebody reads, closed just now or keeps.
  mutating func makeRoom(for item: Model.Item) {
    let candidates = tiles.inTheWay(of: item.entry.seq)
    let expected = model.items.filter {
      $0.entry.seq != item.entry.seq && $0.isIdle && $0.mayDrop && (!$0.isWarm || !item.handles.isEmpty)
    }
    #expect(candidates.sorted() == expected.map(\.entry.seq).sorted())
    guard let first = candidates.first, let gone = expected.first(where: { $0.entry.seq == first }) else { return }
    // What an earlier run left before what stands, that before what is warm; in each the one that was used longest ago.
    func rank(_ item: Model.Item) -> Double { (item.isWarm ? 2e9 : item.hasLeft ? 0 : 1e9) + (item.lastUsed ?? 0) }
    #expect(expected.allSatisfy { rank($0) >= rank(gone) })
    model.edit(first) { $0.drop() }
    run(tiles.dropBytes(first))
  }

  mutating func clear() {
    for item in model.items where item.handles.isEmpty && !item.isPinned && item.mayDrop { model.edit(item.entry.seq) { $0.drop() } }
    run(tiles.dropIdle())
  }

  /// Something that was asked of the world is done.
  mutating func world() {
    if random.below(2) == 0, !making.isEmpty {
      let (entry, generation) = making.remove(at: random.below(making.count))
      model.edit(entry.seq) { $0.isMaking = false }
      if random.below(5) == 0 {
        model.edit(entry.seq) { ($0.isWarming, $0.warmUntil) = (false, nil) }
        run(tiles.storeFailed(generation, .noSpace))
      } else {
        live[generation] = entry.seq
        // Its file is the store's now.
        left[entry.seq] = nil
        model.edit(entry.seq) { ($0.hasBytes, $0.hasLeft) = (true, false) }
        run(tiles.storeMade(generation))
      }
      // Made for somebody who closed long ago.
      run(tiles.advance(to: time))
    } else if !forgetting.isEmpty {
      run(tiles.pagesForgotten(forgetting.remove(at: random.below(forgetting.count))))
    }
  }

  /// The control plane dies and another one takes over what there is: the journal, open handles, leases, files.
  mutating func die() {
    firstGeneration += 1 << 32
    let seq = journal.keys.max().map { $0 + 1 } ?? 0
    var next = Tiles(
      rules: tiles.rules, origins: Tiles.Origins(nextSeq: max(seq, usedSeqs), nextGeneration: firstGeneration))
    for (_, row) in journal.sorted(by: { $0.key < $1.key }) {
      let isBack = next.restore(row.entry, order: row.order, isLeaving: row.isLeaving, isPinned: row.isPinned)
      #expect(isBack)
    }
    tiles = next
    making = []
    forgetting = []
    var open: [HandleID: NodeID] = [HandleID(.max): NodeID(12_345)]
    for item in model.items { for handle in item.handles { open[HandleID(handle)] = item.entry.file } }
    let lost = live.filter { _ in random.below(6) == 0 }
    for item in model.items {
      let isShown = model.shown.contains(item.entry.seq)
      model.edit(item.entry.seq) { [now] in
        $0.closed = $0.handles.isEmpty && !isShown ? now : nil
        ($0.read, $0.furthest, $0.wasUsed) = (0, 0, false)
        ($0.isMaking, $0.hasLeft, $0.isWarming, $0.warmUntil, $0.lastUsed) = (false, false, false, nil, nil)
      }
    }
    left = [:]
    run(tiles.begin(open, at: time))
    for (generation, seq) in live {
      guard let item = model.items.first(where: { $0.entry.seq == seq }) else { continue }
      let name = BytesFile(item.entry, generation).name
      #expect(tiles.accepts(name, node: item.entry.directory, length: 100) == nil)
      #expect(tiles.accepts(name, node: item.entry.file, length: 99) == nil)
      guard tiles.accepts(name, node: item.entry.file, length: 100)?.generation == generation else {
        Issue.record("\(name) is not accepted")
        continue
      }
      tiles.takeUp(seq, generation, at: time)
      let isLost = lost[generation] != nil
      model.edit(seq) { [now] in
        $0.lastUsed = now
        if $0.handles.isEmpty { $0.closed = now }
      }
      if isLost {
        live[generation] = nil
        model.edit(seq) { $0.hasBytes = false }
        readingFrom = readingFrom.filter { $0.value != generation }
        run(tiles.storeFailed(generation, .noEntry))
        let leftover = Leftover(file: BytesFile(item.entry, generation), bytes: 5)
        if random.below(2) == 0, tiles.keep(leftover, of: seq, at: time) {
          left[seq] = leftover
          model.edit(seq) { $0.hasLeft = true }
        }
      } else {
        run(tiles.storeMade(generation))
      }
    }
    run(tiles.forgetDropped())
    run(tiles.fillPinned())
    run(tiles.advance(to: time))
    // Their OPENs are in slots still.
    for handle in owed.sorted() {
      guard let item = model.items.first(where: { $0.handles.contains(handle) }) else { continue }
      run(tiles.open(item.entry.file, handle: HandleID(handle)))
    }
  }

  /// One more than the highest sequence number that was ever drawn.
  var usedSeqs: UInt64 { usedNodes.compactMap { node in if case .file(let seq)? = Place(node) { seq + 1 } else { nil } }.max() ?? 0 }

  mutating func run(_ actions: [TileAction]) {
    for action in actions {
      switch action {
      case .makeStore(let entry, let generation):
        #expect(usedGenerations.insert(generation).inserted)
        #expect(live.values.allSatisfy { $0 != entry.seq }, "two stores of one item")
        making.append((entry, generation))
        model.edit(entry.seq) { $0.isMaking = true }
      case .closeStore(let generation):
        #expect(live.removeValue(forKey: generation) != nil, "closed twice, or never made")
        #expect(!readingFrom.values.contains(generation), "bytes went while they were read")
      case .forgetPages(_, let generation): forgetting.append(generation)
      case .answer(let handle, let answer):
        #expect(owed.remove(handle.rawValue) != nil, "answered twice")
        if case .store(let generation) = answer {
          readingFrom[handle.rawValue] = generation
          #expect(live[generation] == tiles.handles[handle], "a store of another item")
        }
      case .setFilling(let generation, let isFilling):
        #expect(live[generation] != nil)
        filling[generation] = isFilling
      case .tryDisk(let generation):
        #expect(filling[generation] == true && tiles.owner(of: generation)?.openRef == 0)
      case .fetchFirst(let generation, _): #expect(live[generation] != nil)
      case .unlink(let leftover):
        let found = left.first { $0.value == leftover }?.key
        #expect(found != nil, "unlinked twice, or under a store")
        found.map { left[$0] = nil }
      case .journal(.show(let seq, let order)): journal[seq]?.order = order
      case .journal(.leave(let seq)): leave(seq)
      case .journal(.remove(let seq)):
        #expect(journal.removeValue(forKey: seq)?.isLeaving == true, "gone without having been on its way")
      case .invalidate, .journal, .gone: break
      }
    }
  }

  // MARK: Looking

  mutating func listSome() throws {
    let standing = Set(model.items.filter(\.isNamed).map(\.entry.seq))
    var (cursor, throughout, seen) = listing ?? (0, standing, [])
    var room = 1 + random.below(2)
    var isAtEnd = true
    try tiles.list(NodeID(2), after: cursor) { name, next, attributes in
      guard room > 0 else {
        isAtEnd = false
        return false
      }
      room -= 1
      cursor = next
      seen.append((attributes.node.rawValue - 16) / 2)
      return true
    }
    listing = (cursor, throughout, seen)
    if isAtEnd {
      #expect(Set(seen).count == seen.count, "listed twice")
      #expect(throughout.isSubset(of: seen), "left out though it stood throughout")
      listing = nil
    }
  }

  mutating func compare() throws {
    let expected = model.items.sorted { $0.entry.seq < $1.entry.seq }
    let found = tiles.all
    try #require(found.map(\.entry) == expected.map(\.entry))
    for (tile, item) in zip(found, expected) {
      let seq = item.entry.seq
      #expect(tile.isNamed == item.isNamed)
      #expect(tile.tileRef == (model.shown.contains(seq) ? 1 : 0))
      #expect(tile.openRef == item.handles.count)
      #expect(live.values.contains(seq) == item.hasBytes, "bytes of \(seq)")
      #expect(tile.isPinned == item.isPinned && (tile.warmth == .fetching) == item.isWarming)
      #expect((tile.warmth != nil) == item.isWarm && (tile.leftover != nil) == item.hasLeft && (left[seq] != nil) == item.hasLeft)
      if case .standing(let generation) = tile.bytes {
        let isWanted = !item.handles.isEmpty || item.closed != nil || item.isPinned || item.isWarming
        #expect(filling[generation] == isWanted || item.warmUntil != nil, "filling of \(seq)")
      }
      let path = try? tiles.lookup(FileName(item.entry.id), in: NodeID(2)).node
      if item.isNamed { #expect(path == item.entry.directory) } else { #expect(path != item.entry.directory) }
      #expect(try tiles.attributes(of: item.entry.file) == item.entry.fileAttributes)
    }
    // Nothing is left of what is gone.
    #expect(Set(live.values).isSubset(of: expected.map(\.entry.seq)))
    #expect(journal.values.map(\.entry.seq).sorted() == expected.map(\.entry.seq))
    #expect(journal.values.filter { !$0.isLeaving }.map(\.entry.seq).sorted() == expected.filter(\.isNamed).map(\.entry.seq))
    #expect(tiles.names.seqs == expected.filter(\.isNamed).map(\.entry.seq))
    #expect(tiles.handles.count == expected.reduce(0) { $0 + $1.handles.count })
    #expect(tiles.tilesShown == model.counted.count)
    #expect(tiles.holding == Set(found.filter { live.values.contains($0.entry.seq) || $0.leftover != nil }.map(\.entry.seq)))
    #expect(tiles.warming == Set(found.filter { $0.warmth != nil }.map(\.entry.seq)))
    if let deadline = tiles.nextDeadline { #expect(deadline > time.now) }
    let kept = listing?.throughout.intersection(expected.filter(\.isNamed).map(\.entry.seq))
    if let kept { listing?.throughout = kept }
  }

  /// Everything is closed and unstaged, and the world does what it owes.
  mutating func finish() throws {
    while let item = model.items.first {
      for handle in item.handles {
        readingFrom[handle] = nil
        run(tiles.released(HandleID(handle), use: HandleUse(), at: time))
      }
      model.edit(item.entry.seq) { $0.handles = [] }
      unstage(item)
      model.settle(now: now)
    }
    while let (entry, generation) = making.popLast() {
      live[generation] = entry.seq
      run(tiles.storeMade(generation))
    }
    while let generation = forgetting.popLast() { run(tiles.pagesForgotten(generation)) }
    #expect(live.isEmpty && making.isEmpty && owed.isEmpty)
    #expect(tiles.tiles.isEmpty && tiles.pairs.isEmpty && tiles.handles.isEmpty && tiles.pending.isEmpty && tiles.graces.isEmpty)
    #expect(tiles.names.seqs.isEmpty && tiles.tilesShown == 0)
    #expect(tiles.holding.isEmpty && tiles.warming.isEmpty && left.isEmpty)
  }
}

/// One seed to look at again, from the environment; else new ones each time.
private let seeds: [UInt64] =
  getenv("FSMVP_TEST_SEED").flatMap { UInt64(String(cString: $0)) }.map { [$0] } ?? (0..<40).map { _ in .random(in: 1 ... .max) }

@Test("whatever people, browsers and disks do in whatever order, bytes go if and only if both references are 0", arguments: seeds)
func randomWalk(seed: UInt64) throws {
  var walk = Walk(seed: seed)
  for _ in 0..<500 { try walk.step() }
  try walk.finish()
}
