import ControlModel
import Core
import EventLoop
import MediaHub
import Store
import Transfer
import Volume

/// What the service says of files; MediaHub's client, or a test's fake.
protocol Catalogue: Sendable {
  @TransferLoop func file(_ id: String) async throws(MediaHubError) -> MediaHubOutput
  @TransferLoop func job(_ id: String) async throws(MediaHubError) -> MediaHubJob
  @TransferLoop func origin(file: MediaHubOutput, recipient: String) async throws(MediaHubError) -> any Origin
  func origin(fileID: String, size: Int64, recipient: String) -> any Origin
}

extension MediaHubClient: Catalogue {}

/// A file's bytes; `FetchStore`'s heirs say what each call promises.
@TransferLoop
protocol TileStore: AnyObject, Sendable {
  var onFailure: (@Sendable (String?) -> Void)? { get set }
  nonisolated var bytesPresent: Int64 { get }
  /// Of the source, under which its bytes came.
  var validators: [Validator] { get }
  func has(_ range: ByteRange) -> Bool
  func read(_ range: ByteRange, reply: @escaping StoreReply)
  func distrust(_ range: ByteRange)
  func tryAgain()
  func setFilling(_ isFilling: Bool)
  func close(error: Errno, done: @escaping @Sendable () -> Void)
}

/// One that keeps what it fetches, in a file.
@TransferLoop
protocol TileFileStore: TileStore {
  var onBlocks: (@Sendable (Range<Int>, Bool) -> Void)? { get set }
  var onNoSpace: (@Sendable (_ needed: Int64, _ done: @escaping @Sendable @TransferLoop (Bool) -> Void) -> Void)? { get set }
}

extension SparseStore: TileFileStore {}
extension WindowStore: TileStore {}

/// The folder of bytes and its disk at one moment. In bytes.
struct CacheFigures: Sendable, Equatable {
  var folder: String
  var space: CacheSpace
  /// Promised to stores and not yet written.
  var reserved: Int64
  /// Of the window in memory.
  var windowBytes: Int64 = 0
  var windowLimit: Int64 = 0
}

protocol TileStoreMaker: Sendable {
  /// - Parameters:
  ///   - identity: the item's, for telling what an earlier run left of it.
  ///   - beside: bytes in the folder that are no store's.
  @TransferLoop func make(
    name: String, origin: any Origin, blockSize: Int64, identity: UInt64, start: SparseStore.Start, beside: Int64
  ) async throws(SparseStore.Failure) -> any TileFileStore
  /// - Parameters:
  ///   - label: for the log.
  ///   - uses: of the window's places.
  ///   - generation: none up to this is of a use of a place to come.
  ///   - versions: what came of the file from elsewhere was of these.
  /// - Returns: nil where there is no memory for it.
  @TransferLoop func makeWindow(
    label: String, origin: any Origin, map: any WindowMap, uses: any WindowUses, after generation: UInt32, following versions: [UInt64]
  ) -> (any TileStore)?
  @TransferLoop func figures() async throws(SparseStore.Failure) -> CacheFigures
}

/// The memory for what streams through a window.
package struct WindowMemory: Sendable {
  /// A memfd of `places` blocks of 256 KiB; the caller's, and outlives the volume.
  package var descriptor: Int32
  package var places: Int
  /// Bytes of it to use.
  package var budget: Int64
  /// The most that is asked of an origin at once ahead of readers, in bytes.
  package var chunk: Int64
  package init(descriptor: Int32, places: Int, budget: Int64, chunk: Int64) {
    self.descriptor = descriptor
    self.places = places
    self.budget = budget
    self.chunk = chunk
  }
}

@TransferLoop
final class StoreMaker: TileStoreMaker {
  nonisolated let folder: CacheFolder
  nonisolated let budget: FetchBudget
  nonisolated let memory: WindowMemory?
  /// From the first window on.
  private var pool: WindowPool?

  nonisolated init(folder: CacheFolder, budget: FetchBudget, memory: WindowMemory?) {
    self.folder = folder
    self.budget = budget
    self.memory = memory
  }

  func make(
    name: String, origin: any Origin, blockSize: Int64, identity: UInt64, start: SparseStore.Start, beside: Int64
  ) async throws(SparseStore.Failure) -> any TileFileStore {
    try await SparseStore.create(
      name: name, in: folder, origin: origin, budget: budget, blockSize: blockSize, identity: identity, start: start, beside: beside)
  }
  func makeWindow(
    label: String, origin: any Origin, map: any WindowMap, uses: any WindowUses, after generation: UInt32, following versions: [UInt64]
  ) -> (any TileStore)? {
    guard let memory else { return nil }
    if pool == nil {
      pool = WindowPool(
        descriptor: memory.descriptor, places: memory.places, budget: memory.budget, generation: generation,
        lastUse: { uses.lastUse(ofPlace: $0) })
    }
    return pool.map {
      WindowStore(label: label, origin: origin, budget: budget, pool: $0, map: map, chunk: memory.chunk, following: versions)
    }
  }
  func figures() async throws(SparseStore.Failure) -> CacheFigures {
    let (folder, limits) = (folder, budget.limits)
    let found: Result<(String, CacheSpace), SparseStore.Failure> = await withCheckedContinuation { continuation in
      EventLoop.transfer.background { () -> Result<(String, CacheSpace), SparseStore.Failure> in
        do throws(SparseStore.Failure) { return .success((folder.name, try folder.space(limits))) } catch { return .failure(error) }
      } then: {
        continuation.resume(returning: $0)
      }
    }
    let (name, space) = try found.get()
    return CacheFigures(
      folder: name, space: space, reserved: budget.reserved, windowBytes: pool?.bytesInUse ?? 0, windowLimit: memory?.budget ?? 0)
  }
}

/// Calls once after a time, unless it is stopped or started again.
@DispatchLoop
protocol Alarm: AnyObject {
  func start(after delay: Duration)
  func stop()
}

@DispatchLoop
final class LoopAlarm: Alarm {
  private let timer: LoopTimer?
  /// libuv's timers cannot fail to be made.
  init(_ ring: @escaping @DispatchLoop () -> Void) { timer = try? LoopTimer(on: .dispatch) { ring() } }
  func start(after delay: Duration) { timer?.start(after: delay) }
  func stop() { timer?.stop() }
}

/// Everything of the world that staging touches, the journal's file excepted.
struct Surroundings: Sendable {
  var catalogue: any Catalogue
  var stores: any TileStoreMaker
  var clock: any TimeSource
  /// What is in the folder of bytes; nothing, where there is no such folder.
  var leftovers = Leftovers(folder: CacheFolder(descriptor: -1))
  var alarm: @Sendable @DispatchLoop (@escaping @DispatchLoop () -> Void) -> any Alarm = { LoopAlarm($0) }
}

/// Waits for `start`'s callback, or for `limit` to pass.
/// - Returns: false where the time was over first.
@DispatchLoop
func wait(atMost limit: Duration, _ surroundings: Surroundings, for start: (@escaping @DispatchLoop () -> Void) -> Void) async -> Bool {
  await withCheckedContinuation { continuation in
    let once = Once(continuation)
    once.alarm = surroundings.alarm { once.resume(false) }
    once.alarm?.start(after: limit)
    start { once.resume(true) }
  }
}

/// Resumes a continuation the first time only, and lets go of its alarm then.
@DispatchLoop
private final class Once {
  private var continuation: CheckedContinuation<Bool, Never>?
  var alarm: (any Alarm)?
  init(_ continuation: CheckedContinuation<Bool, Never>) { self.continuation = continuation }
  func resume(_ value: Bool) {
    alarm?.stop()
    alarm = nil
    continuation?.resume(returning: value)
    continuation = nil
  }
}
