import ControlModel
import Core
import EventLoop
import MediaHub
import Store
import Synchronization
import Testing
import Transfer
import Volume

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

struct FakeOrigin: Origin, Equatable {
  var fileID: String
  var size: Int64
  var recipient: String
  var isMinted: Bool
  func link(replacing stale: Link?) async throws(TransferError) -> Link { throw .refused("a fake") }
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
    state.withLock { $0.files[id] = MediaHubOutput(fileId: id, name: name ?? "\(id).mp4", size: size, contentType: "video/mp4") }
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
  func origin(file: MediaHubOutput, recipient: String) async throws(MediaHubError) -> any Origin {
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
  func origin(fileID: String, size: Int64, recipient: String) -> any Origin {
    FakeOrigin(fileID: fileID, size: size, recipient: recipient, isMinted: false)
  }
}

@TransferLoop
final class FakeStore: TileFileStore {
  let name: String
  let origin: FakeOrigin
  var onBlocks: (@Sendable (Range<Int>, Bool) -> Void)?
  var onFailure: (@Sendable (String?) -> Void)?
  var onNoSpace: (@Sendable (_ needed: Int64, _ done: @escaping @Sendable @TransferLoop (Bool) -> Void) -> Void)?
  /// What `onNoSpace` answered.
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
  /// Of a window: of the file store it is beside.
  var following: [UInt64] = []
  func has(_ range: ByteRange) -> Bool { here.contains(range) }
  func tryAgain() { triedAgain += 1 }
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
  func setFilling(_ isFilling: Bool) {
    if isClosed { lateCalls += 1 }
    self.isFilling = isFilling
  }
  func close(error: Errno, done: @escaping @Sendable () -> Void) {
    if isClosed { lateCalls += 1 }
    isClosed = true
    for (_, reply) in waiting { _ = reply(.failure(error)) }
    waiting = []
    done()
  }
  func answerReads() {
    for (range, reply) in waiting { _ = reply(.success(range)) }
    waiting = []
  }
}

final class FakeStores: TileStoreMaker {
  struct State {
    var made: [FakeStore] = []
    var windows: [FakeStore] = []
    var error: SparseStore.Failure?
    /// Not nil: fails for want of room unless all sizes together are no more.
    var room: Int64?
    /// Of each call.
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
    name: String, origin: any Origin, blockSize: Int64, identity: UInt64, start: SparseStore.Start, beside: Int64
  ) async throws(SparseStore.Failure) -> any TileFileStore {
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
      let taken = made.reduce(beside) { $0 + ($1.isClosed ? 0 : $1.origin.size) }
      let short = taken + origin.size - room
      if short > 0 { throw .noRoom(short: short, "no room in /cache: \(origin.size) B needed") }
    }
    let store = FakeStore(name: name, origin: origin, start: start, identity: identity)
    state.withLock { $0.made.append(store) }
    return store
  }
  @TransferLoop func makeWindow(
    label: String, origin: any Origin, map: any WindowMap, uses: any WindowUses, after generation: UInt32, following versions: [UInt64]
  ) -> (any TileStore)? {
    guard let origin = origin as? FakeOrigin else { return nil }
    let store = FakeStore(name: label, origin: origin, start: .empty, identity: 0)
    store.following = versions
    state.withLock { $0.windows.append(store) }
    return store
  }
  @TransferLoop func figures() async throws(SparseStore.Failure) -> CacheFigures {
    if let error = state.withLock({ $0.error }) { throw error }
    return CacheFigures(folder: "/cache", space: CacheSpace(total: 1000, free: 500, limits: CacheLimits()), reserved: 7)
  }
}

struct FakeWindow: InheritedWindow {
  let id: LeaseID
  let node: NodeID
  let length: Int64
  var version: UInt64 = 0
  let blockSize: Int64 = 262_144
  func put(_ block: Int, place: Int, generation: UInt32, isWhole: Bool) {}
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

/// What a mount would do, on order of the test where it takes time.
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

  func grantLease(node: NodeID, root: Int, name: String, length: Int64) -> (any Lease)? {
    guard !isFull else { return nil }
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
  func grantWindow(node: NodeID, length: Int64) -> (any WindowLease)? {
    guard hasWindow else { return nil }
    windows.append(FakeWindow(id: LeaseID(UInt64(1000 + windows.count)), node: node, length: length))
    return windows.last
  }
  func revoke(_ window: any WindowLease, done: @escaping @DispatchLoop () -> Void) {
    revoked.append(window.id)
    acknowledge(done)
  }
  var windowUses: any WindowUses { NeverUsed() }
  func invalidateAttributes(of nodes: [NodeID], done: @escaping @DispatchLoop () -> Void) {
    invalidated.append(nodes)
    onInvalidate?(nodes)
    acknowledge(done)
  }
  func invalidatePages(of node: NodeID, done: @escaping @DispatchLoop () -> Void) { acknowledge(done) }
  func use(of handle: HandleID) -> HandleUse { uses[handle] ?? HandleUse() }
  var openers: [HandleID: Int32] = [:]
  func opener(of handle: HandleID) -> Int32 { openers[handle] ?? 0 }

  private func acknowledge(_ done: @escaping @DispatchLoop () -> Void) { if isStuck { owed.append(done) } else { done() } }
  func getUnstuck() {
    isStuck = false
    let owed = owed
    self.owed = []
    for done in owed { done() }
  }
}

private struct NeverUsed: WindowUses { func lastUse(ofPlace place: Int) -> UInt64 { 0 } }

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
