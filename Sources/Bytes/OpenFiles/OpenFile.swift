import Core
import Store
import Volume

/// The time of an event: monotonic for deadlines, wall for people (nanoseconds since 1970).
package struct FileTime: Equatable, Sendable {
  package var now: Moment
  package var wall: Int64
  package init(now: Moment, wall: Int64) {
    self.now = now
    self.wall = wall
  }
}

/// A file of bytes on the disk that nothing is open on: no descriptor, no lease, no row. It waits for its file's next
/// open.
package struct ParkedFile: Equatable, Sendable {
  package var file: BytesFile
  /// On the disk, its sums included.
  package var bytes: Int64
  /// All of the file is there.
  package var isComplete: Bool
  /// Tells that the file is the one that this process parked, so that its bytes need no proof; nil: an earlier run left
  /// it.
  package var stamp: UInt64?
  /// The bytes that are there, if this process parked it and not all are.
  package var extents: [ByteRange] = []
  package init(file: BytesFile, bytes: Int64, isComplete: Bool = false, stamp: UInt64? = nil, extents: [ByteRange] = [])
  {
    self.file = file
    self.bytes = bytes
    self.isComplete = isComplete
    self.stamp = stamp
    self.extents = extents
  }

  /// The bytes of the file that are known to be there, for people: of an earlier run's file only if it is whole.
  func present(of size: Int64) -> Int64 { isComplete ? size : min(size, extents.reduce(0) { $0 + $1.count }) }

  /// How a store goes on with it.
  var start: SparseStore.Start {
    guard let stamp else { return .left(file.name) }
    return .parked(file.name, stamp: stamp, extents: isComplete ? nil : extents)
  }
}

/// The bytes of one file of a volume, and the handles that are open on it. Every change of its state is a method here.
/// It is a value in `FileTable`, which owns it; `FileKeeper` calls the methods, on the dispatch loop, and nothing of
/// the disk is touched.
package struct OpenFile: Equatable, Sendable {
  package enum State: Equatable, Sendable {
    /// There are no bytes.
    case none
    /// A store is being made, from a parked file if there is one.
    case making(StoreGeneration, from: ParkedFile?)
    /// A store with its descriptor and its lease.
    case standing(StoreGeneration)
    /// The store gives back its descriptor and its lease; then the file is parked.
    case parking(StoreGeneration)
    case parked(ParkedFile)
    /// No OPEN is answered before the kernel has forgotten the pages of bytes that are gone.
    case forgetting(StoreGeneration, keeping: ParkedFile?)
  }

  /// Fetched before anything opens it.
  package enum Warmth: Equatable, Sendable {
    case fetching
    /// All bytes are here, for the open that is to come.
    case complete(until: Moment)
  }

  package private(set) var size: Int64
  package private(set) var state = State.none
  /// The open handles; their number is openRef.
  package private(set) var handles: [HandleID] = []
  /// Handles whose OPEN waits for a store.
  package private(set) var waiters: [HandleID] = []
  /// Nothing of it changes before then, after the last close.
  package private(set) var graceEnds: Moment?
  package private(set) var warmth: Warmth?
  /// Fetched and kept by order of a person.
  package private(set) var isPinned = false
  /// Its path leads to it; once false it is never true again.
  package private(set) var isNamed = true
  /// The store keeps nothing on the disk.
  package private(set) var isWindow = false
  /// Every byte is here.
  package private(set) var isComplete = false
  /// The last try to make a store failed: only an open or another order tries again.
  package private(set) var isRefused = false
  /// Its origin has another file than the one whose bytes are here: these go once nothing has it open.
  package private(set) var hasChanged = false
  /// The length of that other file, if it is another one.
  private var newSize: Int64?
  /// Its length was taken from an origin that had said otherwise before: the next first open asks once more.
  package private(set) var isDoubted = false
  /// Fetching it without a reader gave up; nothing is tried before then.
  package private(set) var pausedUntil: Moment?
  private var lastPause = Duration.zero
  /// The least and the most between two tries without a reader.
  private static let pauses = Duration.seconds(10)...Duration.seconds(300)
  /// Its bytes are to go as soon as its store has been parked.
  package private(set) var isDoomed = false
  /// In this run the kernel has had no pages of it but those of bytes that are here.
  package private(set) var isClean = false
  /// When its bytes were last in use; nil: not in this run.
  package private(set) var lastUsed: FileTime?
  /// The bytes that went through closed handles: ever (`served`), and since the bytes were last dropped (`use`).
  package private(set) var served: Int64 = 0
  package private(set) var use = HandleUse()
  package private(set) var isUsed = false
  /// The file's slot in each index of the table; 0: it is not in that index. Only the table sets them.
  var slots = Slots()
  struct Slots: Equatable {
    var deadline: UInt64 = 0
    var use: UInt64 = 0
    var standing: UInt64 = 0
    var fill: UInt64 = 0
  }

  package init(size: Int64) { self.size = size }

  // MARK: Questions

  package var openRef: Int { handles.count }

  /// The store that stands.
  package var store: StoreGeneration? { if case .standing(let generation) = state { generation } else { nil } }
  package var parked: ParkedFile? {
    switch state {
    case .parked(let parked), .making(_, from: let parked?), .forgetting(_, keeping: let parked?): parked
    default: nil
    }
  }
  /// The generation of the state, if it has one.
  var generation: StoreGeneration? {
    switch state {
    case .making(let generation, _), .standing(let generation), .parking(let generation),
      .forgetting(let generation, _):
      generation
    case .none, .parked: nil
    }
  }
  /// Whether it has a descriptor and a lease, or is about to.
  var isHeld: Bool {
    switch state {
    case .making, .standing, .parking: true
    case .none, .parked, .forgetting: false
    }
  }
  /// Open nowhere, nor closed just now, nor kept.
  package var isIdle: Bool { handles.isEmpty && graceEnds == nil && !isPinned }
  /// Whether there are bytes that could go.
  package var hasBytes: Bool {
    switch state {
    case .standing, .parked, .forgetting(_, keeping: .some): true
    case .none, .making, .parking, .forgetting: false
    }
  }
  /// Whether the rest of it is fetched although nothing reads it.
  var wantsFill: Bool {
    handles.isEmpty && size > 0 && !isWindow && !isComplete && !isRefused && pausedUntil == nil
      && (isPinned || warmth == .fetching)
  }
  /// Whether fetching goes on: a file is fetched for readers, for a pin, or to be warm.
  var filling: Filling { Filling(isOpen: !handles.isEmpty, isWhole: (isPinned && !isComplete) || warmth == .fetching) }
  var wantsFilling: Bool { !handles.isEmpty || (isPinned && !isComplete) || warmth == .fetching }
  /// A player or an upload has had all of it, not just its head and tail.
  package var wasReadWhole: Bool { isUsed && use.bytes >= size && use.furthest >= size }

  /// When its bytes are no longer kept, if nothing happens before; or when its grace ends.
  /// - Parameter idle: how long unused ones are kept; 0: for ever.
  func deadline(idle: Duration) -> Moment? {
    if let graceEnds { return graceEnds }
    if let pausedUntil, handles.isEmpty { return pausedUntil }
    guard isIdle else { return nil }
    switch warmth {
    case .fetching: return nil
    case .complete(let until): return until
    case nil: return idle > .zero && hasBytes ? lastUsed.map { $0.now + idle } : nil
    }
  }

  /// The rank of the file when room is needed: bytes of earlier runs go first, then those closed longest ago, then warm
  /// ones; nil: it may not go.
  var rank: Int? {
    guard isIdle, hasBytes else { return nil }
    if warmth != nil { return 2 }
    if let parked, parked.stamp == nil { return 0 }
    return 1
  }
  /// The space that its going frees at most, in bytes: a store gives back the space that it was promised, too.
  var weight: Int64 { store != nil ? size : parked?.bytes ?? 0 }

  // MARK: Its state

  mutating func make(_ generation: StoreGeneration) {
    state = .making(generation, from: parked)
    isDoomed = false
    isRefused = false
    isClean = true
  }
  mutating func makeUp(_ generation: StoreGeneration, at time: FileTime) {
    state = .making(generation, from: nil)
    isClean = true
    lastUsed = time
  }
  /// - Returns: what it was made from, which a window has no use for.
  mutating func stand(_ generation: StoreGeneration, isWindow: Bool) -> ParkedFile? {
    defer {
      state = .standing(generation)
      self.isWindow = isWindow
      isComplete = false
    }
    return isWindow ? parked : nil
  }
  mutating func failed() {
    state = parked.map { .parked($0) } ?? .none
    warmth = nil
    isRefused = true
  }
  mutating func beginParking(_ generation: StoreGeneration) { state = .parking(generation) }
  mutating func park(_ parked: ParkedFile) {
    state = .parked(parked)
    isComplete = parked.isComplete
  }
  mutating func keep(_ parked: ParkedFile, at time: FileTime) {
    park(parked)
    lastUsed = time
  }
  mutating func forget(_ generation: StoreGeneration, keeping: ParkedFile?) {
    state = .forgetting(generation, keeping: keeping)
  }
  mutating func forgotten() {
    state = parked.map { .parked($0) } ?? .none
    isClean = true
  }
  /// The bytes go, or are on their way.
  mutating func drop() {
    state = .none
    isComplete = false
    isWindow = false
    isDoomed = false
    warmth = nil
    // A whole upload is still one at the end of its grace.
    if graceEnds == nil { forgetUse() }
  }
  mutating func doom() { isDoomed = true }
  /// - Parameter size: the new file's, if it is another one.
  mutating func change(to size: Int64?) {
    hasChanged = true
    newSize = size ?? newSize
  }
  /// The origin has the file as it was, after all.
  mutating func unchange() { (hasChanged, newSize) = (false, nil) }
  /// From here on it is the file that its origin has now, of which no byte is here.
  mutating func replace() {
    if let newSize { (size, isDoubted) = (newSize, true) }
    unchange()
    resume()
    isRefused = false
    forgetUse()
  }
  mutating func trust() { isDoubted = false }
  /// Fetching without a reader gave up.
  mutating func pause(at time: Moment) {
    lastPause = min(Self.pauses.upperBound, max(Self.pauses.lowerBound, lastPause * 2))
    pausedUntil = time + lastPause
  }
  mutating func resume() { pausedUntil = nil }
  mutating func complete(warmUntil: Moment, at time: FileTime) {
    isComplete = true
    lastPause = .zero
    guard warmth == .fetching else { return }
    warmth = .complete(until: warmUntil)
    lastUsed = time
  }
  /// Bytes of it turned out to be bad.
  mutating func incomplete() { isComplete = false }

  // MARK: Its handles

  mutating func open(_ handle: HandleID) {
    if !handles.contains(handle) { handles.append(handle) }
    graceEnds = nil
    warmth = nil
    isDoomed = false
    isRefused = false
    resume()
  }
  mutating func wait(_ handle: HandleID) { if !waiters.contains(handle) { waiters.append(handle) } }
  mutating func takeWaiters() -> [HandleID] {
    defer { waiters = [] }
    return waiters
  }
  /// - Returns: whether its OPEN still waits.
  mutating func close(_ handle: HandleID, _ more: HandleUse, grace: Duration, at time: FileTime) -> Bool {
    handles.removeAll { $0 == handle }
    let bytes = max(0, more.bytes)
    served = min(served, .max - bytes) + bytes
    use.bytes = min(use.bytes, .max - bytes) + bytes
    use.furthest = max(use.furthest, more.furthest)
    isUsed = true
    if handles.isEmpty {
      lastUsed = time
      if isNamed { graceEnds = time.now + grace }
    }
    guard let index = waiters.firstIndex(of: handle) else { return false }
    waiters.remove(at: index)
    return true
  }
  mutating func grantGrace(_ grace: Duration, at time: FileTime) { if handles.isEmpty { graceEnds = time.now + grace } }
  mutating func endGrace() { graceEnds = nil }
  mutating func forgetUse() {
    use = HandleUse()
    isUsed = false
  }

  // MARK: Reasons to keep it

  mutating func pin() {
    isPinned = true
    isRefused = false
    resume()
    lastPause = .zero
    warmth = nil
    isDoomed = false
  }
  mutating func unpin(at time: FileTime) {
    isPinned = false
    resume()
    lastUsed = time
  }
  mutating func warm() {
    warmth = .fetching
    isRefused = false
    resume()
  }
  mutating func endWarmth() {
    warmth = nil
    resume()
  }
  /// Its name goes; what is open stays so.
  mutating func leave() {
    isNamed = false
    graceEnds = nil
    isPinned = false
    warmth = nil
    resume()
  }
  /// The end of its volume: nothing waits, nothing is kept up any more, and no store is made.
  mutating func stop() {
    waiters = []
    isRefused = true
    graceEnds = nil
    warmth = nil
    resume()
  }
}

/// The next thing to be done after an event of `FileKeeper`, in this order.
package enum FileAction: Equatable, Sendable {
  package enum Answer: Equatable, Sendable {
    case store(StoreGeneration)
    /// The file has no bytes: there is nothing to read from.
    case empty
    case failed(Errno)
  }

  case makeStore(FileKey, StoreGeneration)
  /// Ends lease and store; its file is unlinked. Nothing reads from it any more, or only to be told EIO.
  case closeStore(StoreGeneration)
  /// Gives back lease and descriptor; its file stays. Then `parked`.
  case parkStore(StoreGeneration)
  case setFilling(StoreGeneration, Bool)
  /// Nothing reads it any more and it is still filled: what gave up is tried again, on the disk if there is room by
  /// now.
  case tryDisk(StoreGeneration)
  /// These are fetched before all else.
  case fetchFirst(StoreGeneration, [ByteRange])
  /// Then `pagesForgotten`.
  case forgetPages(FileKey, StoreGeneration)
  case answer(HandleID, Answer)
  /// A parked file goes, with its sums.
  case unlink(ParkedFile)
  /// Every place for open files is taken by files that are open: this one cannot be.
  case full(FileKey)
  /// For the volume: the origin had replaced the file, and its bytes have gone. From here on the file has this length,
  /// and another time.
  case replaced(FileKey, size: Int64)
  /// For the volume: nothing has the file open, and the grace after the last close is over.
  case graceOver(FileKey, wasReadWhole: Bool)
  /// For the volume: the file had no name any more, and its last handle is closed.
  case ended(FileKey)
}
