import Core
import EventLoop
import MediaHub
import Store
import Transfer

/// What the service says of files; MediaHub's client, or a test's fake.
protocol Catalogue: Sendable {
  @TransferLoop func file(_ id: String) async throws(MediaHubError) -> MediaHubOutput
  @TransferLoop func job(_ id: String) async throws(MediaHubError) -> MediaHubJob
  @TransferLoop func origin(file: MediaHubOutput, recipient: String) async throws(MediaHubError) -> any Origin
  func origin(fileID: String, size: Int64, recipient: String) -> any Origin
}

extension MediaHubClient: Catalogue {}

/// A file's bytes; `SparseStore` says what each call promises.
@TransferLoop
protocol TileStore: AnyObject, Sendable {
  var onBlocks: (@Sendable (Range<Int>, Bool) -> Void)? { get set }
  var onFailure: (@Sendable (String?) -> Void)? { get set }
  var onNoSpace: (@Sendable (_ needed: Int64, _ done: @escaping @Sendable @TransferLoop (Bool) -> Void) -> Void)? { get set }
  nonisolated var bytesPresent: Int64 { get }
  func read(_ range: ByteRange, reply: @escaping StoreReply)
  func distrust(_ range: ByteRange)
  func tryAgain()
  func setFilling(_ isFilling: Bool)
  func close(error: Errno, done: @escaping @Sendable () -> Void)
}

extension SparseStore: TileStore {}

/// The folder of bytes and its disk at one moment. In bytes.
struct CacheFigures: Sendable, Equatable {
  var folder: String
  var space: CacheSpace
  /// Promised to stores and not yet written.
  var reserved: Int64
}

protocol TileStoreMaker: Sendable {
  /// - Parameters:
  ///   - identity: the item's, for telling what an earlier run left of it.
  ///   - beside: bytes in the folder that are no store's.
  @TransferLoop func make(
    name: String, origin: any Origin, blockSize: Int64, identity: UInt64, start: SparseStore.Start, beside: Int64
  ) async throws(SparseStore.Failure) -> any TileStore
  @TransferLoop func figures() async throws(SparseStore.Failure) -> CacheFigures
}

struct SparseStoreMaker: TileStoreMaker {
  let folder: CacheFolder
  let budget: FetchBudget
  @TransferLoop func make(
    name: String, origin: any Origin, blockSize: Int64, identity: UInt64, start: SparseStore.Start, beside: Int64
  ) async throws(SparseStore.Failure) -> any TileStore {
    try await SparseStore.create(
      name: name, in: folder, origin: origin, budget: budget, blockSize: blockSize, identity: identity, start: start, beside: beside)
  }
  @TransferLoop func figures() async throws(SparseStore.Failure) -> CacheFigures {
    let (folder, limits) = (folder, budget.limits)
    let found: Result<(String, CacheSpace), SparseStore.Failure> = await withCheckedContinuation { continuation in
      EventLoop.transfer.background { () -> Result<(String, CacheSpace), SparseStore.Failure> in
        do throws(SparseStore.Failure) { return .success((folder.name, try folder.space(limits))) } catch { return .failure(error) }
      } then: {
        continuation.resume(returning: $0)
      }
    }
    let (name, space) = try found.get()
    return CacheFigures(folder: name, space: space, reserved: budget.reserved)
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
