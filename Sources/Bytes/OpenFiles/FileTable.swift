import Core
import Volume

/// The files of all volumes that have or had bytes, with what is asked of them often as indexes. Each change of a file
/// goes through `edit`, which brings the indexes along.
///
/// It is a value in `FileKeeper`, which owns it and alone changes it, on the dispatch loop. It waits for nothing and
/// touches no file.
struct FileTable: Sendable {
  private let idleEvict: Duration
  private var volumes: [VolumeID: OrderedTable<OpenFile>] = [:]
  private var owners: [StoreGeneration: FileKey] = [:]
  private var deadlines = TimeIndex()
  /// By rank, and what is in each could free, in bytes.
  private var droppable = [TimeIndex(), TimeIndex(), TimeIndex()]
  private var weights: [Int64] = [0, 0, 0]
  /// Stores that nothing has open and that fetch nothing.
  private var resting = TimeIndex()
  /// Files that are to be fetched without a reader and have no store yet.
  private var fills = TimeIndex()
  private var nextFill: UInt64 = 1
  /// Stores that stand, are being made or are being parked.
  private(set) var held = 0
  private(set) var parking = 0
  /// The bytes that went through closed handles, and the bytes that are present of parked files.
  private(set) var totals: (served: Int64, parked: Int64) = (0, 0)
  /// The nodes with a store, or whose state is on its way to another.
  private var active: [VolumeID: OrderedTable<Void>] = [:]
  /// The nodes that changed since they were last looked at, of the volumes that are looked at.
  private var changed: [VolumeID: OrderedTable<Void>] = [:]
  /// The bytes that parked files take on the disk; `left` says how many of those files earlier runs left, with how many
  /// bytes.
  private(set) var parkedBytes: Int64 = 0
  private(set) var left: (files: Int, bytes: Int64) = (0, 0)
  /// Stores that are filled without a reader.
  private(set) var filling = 0

  init(idleEvict: Duration) { self.idleEvict = idleEvict }

  subscript(key: FileKey) -> OpenFile? { volumes[key.volume]?[key.node.rawValue] }
  func owner(of generation: StoreGeneration) -> FileKey? { owners[generation] }

  /// Changes a file; one that is not there is made for the purpose.
  mutating func edit<Result>(_ key: FileKey, size: Int64, _ body: (inout OpenFile) -> Result) -> Result {
    if volumes[key.volume]?.contains(key.node.rawValue) != true {
      volumes[key.volume, default: OrderedTable()][key.node.rawValue] = OpenFile(size: size)
    }
    var file = self[key] ?? OpenFile(size: size)
    let before = file
    let result = body(&file)
    put(file, key, before)
    return result
  }

  /// Changes a file that is there.
  @discardableResult
  mutating func edit<Result>(_ key: FileKey, _ body: (inout OpenFile) -> Result) -> Result? {
    guard let before = self[key] else { return nil }
    var file = before
    let result = body(&file)
    put(file, key, before)
    return result
  }

  mutating func remove(_ key: FileKey) -> OpenFile? {
    guard let file = self[key] else { return nil }
    var none = OpenFile(size: file.size)
    none.slots = file.slots
    put(none, key, file)
    volumes[key.volume]?[key.node.rawValue] = nil
    return file
  }

  // MARK: Questions

  var nextDeadline: Moment? { deadlines.first.flatMap { self[$0.key]?.deadline(idle: idleEvict) } }
  func due(_ time: Moment) -> FileKey? {
    // The time in an index may be some nanoseconds later than the file's.
    guard let key = deadlines.first?.key, let deadline = self[key]?.deadline(idle: idleEvict), deadline <= time else {
      return nil
    }
    return key
  }

  /// The file whose bytes go first so that `key` has room.
  /// - Parameter warm: warm files are among them.
  func firstDroppable(except key: FileKey?, warm: Bool) -> FileKey? {
    for rank in 0...(warm ? 2 : 1) {
      if let found = key.map({ droppable[rank].first(except: $0) }) ?? droppable[rank].first?.key { return found }
    }
    return nil
  }
  /// The space that all files that may go, except that of `key`, would free, in bytes.
  /// - Parameter warm: warm files are among them.
  func droppableWeight(except key: FileKey, warm: Bool) -> Int64 {
    let own = self[key].flatMap { file in file.rank.map { ($0, file.weight) } }
    return (0...(warm ? 2 : 1)).reduce(Int64(0)) { sum, rank in
      min(1 << 62, sum + weights[rank] - (own?.0 == rank ? own?.1 ?? 0 : 0))
    }
  }
  var droppableCount: Int { droppable.reduce(0) { $0 + $1.count } }

  /// Notes from now on which files of the volume change.
  mutating func noteChanges(of volume: VolumeID) { changed[volume] = changed[volume] ?? OrderedTable() }
  mutating func noteLook(_ key: FileKey) { changed[key.volume]?[key.node.rawValue] = nil }
  /// The next file, from `node` on, with a store, or whose state is on its way to another, or that changed since
  /// `noteLook`.
  func nextMoving(_ volume: VolumeID, from node: UInt64) -> UInt64? {
    [active[volume], changed[volume]].compactMap { $0?.next(from: node)?.key }.min()
  }

  var resters: Int { resting.count }
  var oldestRester: FileKey? { resting.first?.key }
  var nextToFill: FileKey? { fills.first?.key }
  /// Files that wait for their turn to be filled.
  var waitingToFill: Int { fills.count }

  func page(_ volume: VolumeID, from node: UInt64, limit: Int) -> [(key: UInt64, value: OpenFile)] {
    volumes[volume]?.page(from: node, limit: limit) ?? []
  }
  func all(_ volume: VolumeID) -> [(FileKey, OpenFile)] {
    (volumes[volume] ?? OrderedTable()).map { (FileKey(volume, NodeID($0.key)), $0.value) }
  }
  func count(_ volume: VolumeID) -> Int { volumes[volume]?.count ?? 0 }
  var generations: Int { owners.count }

  // MARK: Indexes

  private mutating func put(_ new: OpenFile, _ key: FileKey, _ old: OpenFile) {
    var file = new
    if old.generation != file.generation {
      if let generation = old.generation { owners[generation] = nil }
      if let generation = file.generation { owners[generation] = key }
      active[key.volume, default: OrderedTable()][key.node.rawValue] = file.generation.map { _ in () }
    }
    held += (file.isHeld ? 1 : 0) - (old.isHeld ? 1 : 0)
    parking += (Self.isParking(file) ? 1 : 0) - (Self.isParking(old) ? 1 : 0)
    filling += (Self.fills(file) ? 1 : 0) - (Self.fills(old) ? 1 : 0)

    parkedBytes += (file.parked?.bytes ?? 0) - (old.parked?.bytes ?? 0)
    for (parked, sign) in [(file.parked, 1), (old.parked, -1)] {
      guard let parked, parked.stamp == nil else { continue }
      left = (left.files + sign, left.bytes + Int64(sign) * parked.bytes)
    }

    totals.served &+= file.served &- old.served
    totals.parked += (file.parked?.present(of: file.size) ?? 0) - (old.parked?.present(of: old.size) ?? 0)
    changed[key.volume]?[key.node.rawValue] = ()

    let deadline = file.deadline(idle: idleEvict)
    if deadline != old.deadline(idle: idleEvict) || (deadline != nil) != (file.slots.deadline > 0) {
      if file.slots.deadline > 0 { deadlines.remove(file.slots.deadline) }
      file.slots.deadline = deadline.map { deadlines.insert(key, at: $0.nanoseconds) } ?? 0
    }

    let used = file.lastUsed?.now.nanoseconds ?? 0
    if file.rank != old.rank || file.lastUsed != old.lastUsed || file.weight != old.weight {
      if let rank = old.rank, file.slots.use > 0 {
        droppable[rank].remove(file.slots.use)
        weights[rank] -= old.weight
      }
      file.slots.use = 0
      if let rank = file.rank {
        file.slots.use = droppable[rank].insert(key, at: used)
        weights[rank] += file.weight
      }
    }

    let rests = Self.rests(file)
    if rests != (file.slots.standing > 0) || (rests && file.lastUsed != old.lastUsed) {
      if file.slots.standing > 0 { resting.remove(file.slots.standing) }
      file.slots.standing = rests ? resting.insert(key, at: used) : 0
    }

    let waits = file.wantsFill && !file.isHeld && file.generation == nil
    if waits != (file.slots.fill > 0) {
      if file.slots.fill > 0 { fills.remove(file.slots.fill) }
      file.slots.fill = 0
      if waits {
        file.slots.fill = fills.insert(key, at: nextFill)
        nextFill = file.slots.fill + 1
      }
    }
    volumes[key.volume]?[key.node.rawValue] = file
  }

  private static func isParking(_ file: OpenFile) -> Bool { if case .parking = file.state { true } else { false } }
  private static func fills(_ file: OpenFile) -> Bool { file.wantsFill && file.isHeld && !isParking(file) }
  private static func rests(_ file: OpenFile) -> Bool {
    file.store != nil && file.handles.isEmpty && !file.wantsFill && file.waiters.isEmpty
  }
}
