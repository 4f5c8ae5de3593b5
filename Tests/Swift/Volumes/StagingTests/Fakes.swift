import ByteSource
import ControlModel
import Core
import EventLoop
import MediaHub
import Store
import Synchronization
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

/// Runs a test's body on the dispatch loop, with both loops started.
func onDispatchLoop<T: Sendable>(_ body: @escaping @Sendable @DispatchLoop () async throws -> T) async throws -> T {
  _ = loopsAreStarted
  return try await Task { @DispatchLoop in try await body() }.value
}
private let loopsAreStarted: Void = EventLoop.start()

/// Waits until what is under way on both loops has come to rest (but not for worker threads).
@DispatchLoop
func settle() async {
  for _ in 0..<4 { await Task { @TransferLoop in }.value }
}

final class ManualTime: TimeSource {
  private let state = Mutex<(now: UInt64, wall: Int64)>((1_000_000_000, 1_700_000_000_000_000_000))
  func now() -> Moment { Moment(nanoseconds: state.withLock { $0.now }) }
  func wallNanoseconds() -> Int64 { state.withLock { $0.wall } }
  func pass(_ duration: Duration) {
    state.withLock {
      $0.now += UInt64(duration.nanoseconds)
      $0.wall += duration.nanoseconds
    }
  }
}

/// Alarms that ring when the test's clock says so.
@DispatchLoop
final class ManualAlarms {
  final class One: Alarm {
    let ring: @DispatchLoop () -> Void
    let alarms: ManualAlarms
    var due: Moment?
    init(_ alarms: ManualAlarms, _ ring: @escaping @DispatchLoop () -> Void) {
      self.alarms = alarms
      self.ring = ring
    }
    func start(after delay: Duration) {
      due = alarms.time.now() + delay
      if !alarms.all.contains(where: { $0 === self }) { alarms.all.append(self) }
    }
    func stop() {
      due = nil
      alarms.all.removeAll { $0 === self }
    }
  }

  let time: ManualTime
  var all: [One] = []
  init(_ time: ManualTime) { self.time = time }

  func pass(_ duration: Duration) async {
    time.pass(duration)
    while let next = all.first(where: { alarm in alarm.due.map { $0 <= time.now() } ?? false }) {
      next.stop()
      next.ring()
    }
    await settle()
  }
}

struct FakeOrigin: ByteSource, Equatable {
  var fileID: String
  var size: Int64
  var recipient: String
  var isMinted: Bool
  func accessState(leastPause: Duration, longestPause: Duration) -> any AccessState { AlwaysOpen() }
  func access(replacing stale: Int?, isUrgent: Bool) async throws(SourceFailure) -> any SourceAccess {
    throw .refused("a fake")
  }
}

final class FakeCatalogue: Catalogue {
  struct State {
    var files: [String: MediaHubOutput] = [:]
    var jobs: [String: MediaHubJob] = [:]
    var originError: MediaHubError?
    var questions: [String] = []
    var isHeld = false
    var held: [CheckedContinuation<Void, Never>] = []
  }
  let state = Mutex(State())

  func add(_ id: String, name: String? = nil, size: Int64 = 1 << 20) {
    state.withLock {
      $0.files[id] = MediaHubOutput(fileId: id, name: name ?? "\(id).mp4", size: size, contentType: "video/mp4")
    }
  }
  var questions: [String] { state.withLock { $0.questions } }
  /// Lets `origin` wait until it is let go.
  func hold() { state.withLock { $0.isHeld = true } }
  func letGo() {
    let held = state.withLock { state in
      defer { state.held = [] }
      state.isHeld = false
      return state.held
    }
    for continuation in held { continuation.resume() }
  }

  func file(_ id: String) async throws(MediaHubError) -> MediaHubOutput {
    let found = state.withLock { state in
      state.questions.append("file \(id)")
      return state.files[id]
    }
    guard let found else { throw .notFound("no file \(id)") }
    return found
  }
  func job(_ id: String) async throws(MediaHubError) -> MediaHubJob {
    guard let found = state.withLock({ $0.jobs[id] }) else { throw .notFound("no job \(id)") }
    return found
  }
  func origin(file: MediaHubOutput, recipient: String) async throws(MediaHubError) -> any ByteSource {
    await withCheckedContinuation { continuation in
      let isHeld = state.withLock { state in
        state.questions.append("origin \(file.fileId) \(recipient)")
        if state.isHeld { state.held.append(continuation) }
        return state.isHeld
      }
      if !isHeld { continuation.resume() }
    }
    if let error = state.withLock({ $0.originError }) { throw error }
    return FakeOrigin(fileID: file.fileId, size: file.size, recipient: recipient, isMinted: true)
  }
  func origin(fileID: String, name: String, size: Int64, recipient: String) -> any ByteSource {
    FakeOrigin(fileID: fileID, size: size, recipient: recipient, isMinted: false)
  }
}

@TransferLoop
final class FakeStore: FileBacking {
  let name: String
  let origin: FakeOrigin
  var onBlocks: (@Sendable (Range<Int>, Bool) -> Void)?
  var onFailure: (@Sendable (String?) -> Void)?
  var onNoSpace: (@Sendable (_ needed: Int64, _ done: @escaping @Sendable @TransferLoop (Bool) -> Void) -> Void)?
  /// The answers of `onNoSpace`.
  var room: [Bool] = []
  private(set) var triedAgain = 0
  var isFilling: Bool?
  var distrusted: [ByteRange] = []
  var waiting: [(ByteRange, StoreReply)] = []
  private(set) var isClosed = false
  /// Calls that a store must not get any more.
  private(set) var lateCalls = 0
  nonisolated let present = Mutex<Int64>(0)
  nonisolated var bytesPresent: Int64 { present.withLock { $0 } }

  let start: SparseStore.Start
  let identity: UInt64

  nonisolated init(name: String, origin: FakeOrigin, start: SparseStore.Start, identity: UInt64) {
    self.name = name
    self.origin = origin
    self.start = start
    self.identity = identity
  }
  func read(_ range: ByteRange, reply: @escaping StoreReply) {
    if isClosed { lateCalls += 1 }
    waiting.append((range, reply))
  }
  var here = RangeSet()
  var validators: [Validator] = []
  /// The heritage of the file store that this window is beside.
  var following = SourceHeritage()
  func heritage() async -> SourceHeritage { SourceHeritage(validators: validators) }
  func follow(_ heritage: SourceHeritage) {}
  var onChange: (@Sendable (SourceChange) -> Void)?
  var needsFile = false
  /// Callers of `recheck`, if a test answers them.
  var rechecks: [@Sendable (Bool) -> Void] = []
  var holdsRechecks = false
  private(set) var timesRechecked = 0
  func recheck(_ done: @escaping @Sendable (Bool) -> Void) {
    timesRechecked += 1
    if holdsRechecks { rechecks.append(done) } else { done(false) }
  }
  func has(_ range: ByteRange) -> Bool { here.contains(range) }
  /// The answer to `tryAgain`; it comes with a sentence.
  var refusal: String?
  func tryAgain(_ done: @escaping @Sendable (Bool) -> Void) {
    triedAgain += 1
    done(refusal == nil)
    if let refusal { onFailure?(refusal) }
  }
  func failReads(_ error: Errno) {
    let all = waiting
    waiting = []
    for (_, reply) in all { _ = reply(.failure(error)) }
  }
  /// Gets a full disk.
  func runOut(_ needed: Int64) {
    guard let onNoSpace else { return room.append(false) }
    onNoSpace(needed) { self.room.append($0) }
  }
  /// All of `count` bytes are there.
  func bring(_ count: Int64) {
    present.withLock { $0 = count }
    onBlocks?(0..<1, true)
  }
  func distrust(_ range: ByteRange) { distrusted.append(range) }
  func setFilling(_ filling: Filling) {
    if isClosed { lateCalls += 1 }
    isFilling = filling.isAny
  }
  func close(error: Errno, done: @escaping @Sendable () -> Void) {
    if isClosed { lateCalls += 1 }
    isClosed = true
    for (_, reply) in waiting { _ = reply(.failure(error)) }
    waiting = []
    done()
  }
  private(set) var isParked = false
  /// Its file stays: all that was brought.
  func park(done: @escaping @Sendable (SparseStore.Parked?) -> Void) {
    if isClosed || isParked { lateCalls += 1 }
    isParked = true
    for (_, reply) in waiting { _ = reply(.failure(.io)) }
    waiting = []
    let bytes = bytesPresent
    let extents = bytes >= origin.size ? nil : [ByteRange(0, bytes)]
    done(SparseStore.Parked(bytes: bytes, stamp: 7, extents: extents))
  }
  private(set) var isMarked = false
  func markPresent() { isMarked = true }
  func answerReads() {
    for (range, reply) in waiting { _ = reply(.success(range)) }
    waiting = []
  }
}

final class FakeStores: BackingMaker {
  struct State {
    var made: [FakeStore] = []
    var windows: [FakeStore] = []
    var error: SparseStore.Failure?
    /// Every store made from now on says this instead of bytes.
    var refusal: String?
    /// Not nil: fails for want of room unless all sizes together are no more.
    var room: Int64?
    /// The argument `beside` of each call.
    var beside: [Int64] = []
    var isHeld = false
    var held: [CheckedContinuation<Void, Never>] = []
  }
  let state = Mutex(State())
  var made: [FakeStore] { state.withLock { $0.made } }
  var windows: [FakeStore] { state.withLock { $0.windows } }
  func hold() { state.withLock { $0.isHeld = true } }
  func letGo() {
    let held = state.withLock { state in
      defer { state.held = [] }
      state.isHeld = false
      return state.held
    }
    for continuation in held { continuation.resume() }
  }
  @TransferLoop func make(
    name: String, origin: any ByteSource, blockSize: Int64, identity: UInt64, start: SparseStore.Start, beside: Int64
  ) async throws(SparseStore.Failure) -> any FileBacking {
    state.withLock { $0.beside.append(beside) }
    await withCheckedContinuation { continuation in
      let isHeld = state.withLock { state in
        if state.isHeld { state.held.append(continuation) }
        return state.isHeld
      }
      if !isHeld { continuation.resume() }
    }
    if let error = state.withLock({ $0.error }) { throw error }
    guard let origin = origin as? FakeOrigin else { throw .failed(.io, "a strange origin") }
    if let room = state.withLock({ $0.room }) {
      let taken = made.reduce(beside) { $0 + ($1.isClosed || $1.isParked ? 0 : $1.origin.size) }
      let short = taken + origin.size - room
      if short > 0 { throw .noRoom(short: short, "no room in /cache: \(origin.size) B needed") }
    }
    let store = FakeStore(name: name, origin: origin, start: start, identity: identity)
    store.refusal = state.withLock { $0.refusal }
    if case .parked(_, _, let extents) = start {
      let here = extents?.reduce(Int64(0)) { $0 + $1.count } ?? origin.size
      store.present.withLock { $0 = here }
    }
    state.withLock { $0.made.append(store) }
    return store
  }
  @TransferLoop func makeWindow(
    label: String, origin: any ByteSource, map: any WindowMap, uses: any WindowUses, after generation: UInt32,
    following heritage: SourceHeritage
  ) -> (any Backing)? {
    guard let origin = origin as? FakeOrigin else { return nil }
    let store = FakeStore(name: label, origin: origin, start: .empty, identity: 0)
    store.following = heritage
    state.withLock { $0.windows.append(store) }
    return store
  }
  @TransferLoop func figures() async throws(SparseStore.Failure) -> CacheUsage {
    if let error = state.withLock({ $0.error }) { throw error }
    return CacheUsage(folder: "/cache", space: CacheSpace(total: 1000, free: 500, limits: CacheLimits()), reserved: 7)
  }
}

struct FakeWindow: InheritedWindow {
  let id: LeaseID
  let node: NodeID
  let length: Int64
  var version: UInt64 = 0
  var samples: [WindowSample] = []
  let blockSize: Int64 = 262_144
  func put(_ block: Int, frame: Int, generation: UInt32, isWhole: Bool) {}
  func clear(_ block: Int) {}
  func note(version: UInt64) {}
  func presence(cells: Int) -> [UInt8] { [] }
}

final class FakeLease: Lease {
  let id: LeaseID
  let node: NodeID
  let name: String
  let blockSize: Int64 = 65_536
  let marks = Mutex<[String]>([])
  init(id: LeaseID, node: NodeID, name: String) {
    self.id = id
    self.node = node
    self.name = name
  }
  func mark(_ blocks: Range<Int>) { marks.withLock { $0.append("+\(blocks)") } }
  func unmark(_ blocks: Range<Int>) { marks.withLock { $0.append("-\(blocks)") } }
  func presence(cells: Int) -> [UInt8] { [] }
}

/// A lease as a dead control plane left it.
final class FakeInheritance: InheritedLease {
  let id: LeaseID
  let node: NodeID
  let root: Int
  let name: String
  let length: Int64
  let marked: [Range<Int>]
  let blockSize: Int64 = 65_536
  let marks = Mutex<[String]>([])
  init(_ id: UInt64, node: NodeID, root: Int = 0, name: String, length: Int64, marked: [Range<Int>] = []) {
    self.id = LeaseID(id)
    self.node = node
    self.root = root
    self.name = name
    self.length = length
    self.marked = marked
  }
  func mark(_ blocks: Range<Int>) { marks.withLock { $0.append("+\(blocks)") } }
  func unmark(_ blocks: Range<Int>) { marks.withLock { $0.append("-\(blocks)") } }
  func presence(cells: Int) -> [UInt8] { [] }
}

/// Plays the mount; slow steps wait until the test lets them go on.
@DispatchLoop
final class FakeHost: VolumeHost {
  var leases: [FakeLease] = []
  var revoked: [LeaseID] = []
  var isFull = false
  var invalidated: [[NodeID]] = []
  var uses: [HandleID: HandleUse] = [:]
  /// Acknowledgements that wait while `isStuck`.
  var isStuck = false
  var owed: [@DispatchLoop () -> Void] = []
  /// Called in the moment of an invalidation.
  var onInvalidate: (([NodeID]) -> Void)?

  func grantLease(node: NodeID, root: Int, name: String, length: Int64) throws(LeaseRefusal) -> any Lease {
    guard !isFull else { throw .full }
    let lease = FakeLease(id: LeaseID(UInt64(leases.count + 1)), node: node, name: name)
    leases.append(lease)
    return lease
  }
  func revoke(_ lease: any Lease, done: @escaping @DispatchLoop () -> Void) {
    revoked.append(lease.id)
    acknowledge(done)
  }
  /// Whether the mount has a window.
  var hasWindow = false
  var windows: [FakeWindow] = []
  func grantWindow(node: NodeID, length: Int64) throws(LeaseRefusal) -> any WindowLease {
    guard hasWindow else { throw .noWindow }
    let window = FakeWindow(id: LeaseID(UInt64(1000 + windows.count)), node: node, length: length)
    windows.append(window)
    return window
  }
  func revoke(_ window: any WindowLease, done: @escaping @DispatchLoop () -> Void) {
    revoked.append(window.id)
    acknowledge(done)
  }
  var windowUses: any WindowUses { NeverUsed() }
  func invalidateAttributes(directories: [NodeID], files: [NodeID], done: @escaping @DispatchLoop () -> Void) {
    let nodes = directories + files
    invalidated.append(nodes)
    onInvalidate?(nodes)
    acknowledge(done)
  }
  func invalidatePages(of node: NodeID, done: @escaping @DispatchLoop () -> Void) { acknowledge(done) }
  func use(of handle: HandleID) -> HandleUse { uses[handle] ?? HandleUse() }
  var openers: [HandleID: Int32] = [:]
  func opener(of handle: HandleID) -> Int32 { openers[handle] ?? 0 }

  private func acknowledge(_ done: @escaping @DispatchLoop () -> Void) {
    if isStuck { owed.append(done) } else { done() }
  }
  func getUnstuck() {
    isStuck = false
    let owed = owed
    self.owed = []
    for done in owed { done() }
  }
}

private struct NeverUsed: WindowUses { func lastUse(ofFrame frame: Int) -> UInt64 { 0 } }

/// Answers to `open` or `read`, in the order in which they came.
final class Answers<Value: Sendable>: Sendable {
  private let all = Mutex<[Result<Value, Errno>]>([])
  var list: [Result<Value, Errno>] { all.withLock { $0 } }
  var reply: @Sendable (Result<Value, Errno>) -> Void { { result in self.all.withLock { $0.append(result) } } }
}

extension Answers where Value == ByteRange {
  /// For reads that are answered from the handle's own lease.
  var readReply: ReadReply {
    { answer in
      switch answer {
      case .bytes(let range, from: nil): self.reply(.success(range))
      case .bytes(_, from: .some): self.reply(.failure(.invalid))
      case .failed(let error): self.reply(.failure(error))
      }
      return nil
    }
  }
}
