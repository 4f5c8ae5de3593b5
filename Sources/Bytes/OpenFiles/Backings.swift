import ByteSource
import Core
import EventLoop
import Store
import Volume

/// A file's bytes; `FetchStore` and the stores say what each call promises. `BackingStores` holds it, and calls it on
/// the transfer loop.
@TransferLoop
package protocol Backing: AnyObject, Sendable {
  var onFailure: (@Sendable (String?) -> Void)? { get set }
  nonisolated var bytesPresent: Int64 { get }
  /// The validators of the source under which its bytes came.
  var validators: [Validator] { get }
  func has(_ range: ByteRange) -> Bool
  func read(_ range: ByteRange, reply: @escaping StoreReply)
  func distrust(_ range: ByteRange)
  /// Goes on where fetching gave up; false: no byte could be had.
  func tryAgain(_ done: @escaping @Sendable (Bool) -> Void)
  func setFilling(_ filling: Filling)
  /// Describes the version that readers have bytes of from this store, for another store of the same readers.
  func heritage() async -> SourceHeritage
  /// The origin answers ranges with whole objects, so that only a file can take its bytes.
  var needsFile: Bool { get }
  /// Takes over what readers have from another store, unless this one has bytes of its own.
  func follow(_ heritage: SourceHeritage)
  /// Asks the origin whether it still has the file that readers have bytes of; true: it has another one. It may take as
  /// long as the origin takes.
  func recheck(_ done: @escaping @Sendable (Bool) -> Void)
  /// Called when the origin turned out to have another file than the one that was begun.
  var onChange: (@Sendable (SourceChange) -> Void)? { get set }
  func close(error: Errno, done: @escaping @Sendable () -> Void)
}

/// A store that keeps the bytes that it fetches in a file.
@TransferLoop
package protocol FileBacking: Backing {
  var onBlocks: (@Sendable (Range<Int>, Bool) -> Void)? { get set }
  var onNoSpace: (@Sendable (_ needed: Int64, _ done: @escaping @Sendable @TransferLoop (Bool) -> Void) -> Void)? {
    get set
  }
  func park(done: @escaping @Sendable (SparseStore.Parked?) -> Void)
  func markPresent()
}

extension SparseStore: FileBacking {}
extension WindowStore: Backing {}

/// The folder of bytes and its disk at one moment. In bytes.
package struct CacheUsage: Sendable, Equatable {
  package var folder: String
  package var space: CacheSpace
  /// Promised to stores and not yet written.
  package var reserved: Int64
  /// The bytes in use in the window in memory.
  package var windowBytes: Int64 = 0
  package var windowLimit: Int64 = 0
  package init(folder: String, space: CacheSpace, reserved: Int64, windowBytes: Int64 = 0, windowLimit: Int64 = 0) {
    (self.folder, self.space, self.reserved, self.windowBytes, self.windowLimit) = (
      folder, space, reserved, windowBytes, windowLimit
    )
  }
}

package protocol BackingMaker: Sendable {
  /// - Parameters:
  ///   - identity: the item's, for telling what an earlier run left of it.
  ///   - beside: bytes in the folder that are no store's.
  @TransferLoop func make(
    name: String, origin: any ByteSource, blockSize: Int64, identity: UInt64, start: SparseStore.Start, beside: Int64
  ) async throws(SparseStore.Failure) -> any FileBacking
  /// - Parameters:
  ///   - label: for the log.
  ///   - uses: of the window's frames.
  ///   - generation: none up to this is of a use of a frame to come.
  ///   - heritage: what readers of the file have from another store.
  /// - Returns: nil where there is no memory for it.
  @TransferLoop func makeWindow(
    label: String, origin: any ByteSource, map: any WindowMap, uses: any WindowUses, after generation: UInt32,
    following heritage: SourceHeritage
  ) -> (any Backing)?
  @TransferLoop func figures() async throws(SparseStore.Failure) -> CacheUsage
}

/// The memory for what streams through a window.
package struct WindowMemory: Sendable {
  /// A memfd of `frames` blocks of 256 KiB; the caller's, and outlives the volume.
  package var descriptor: Int32
  package var frames: Int
  /// Bytes of it to use.
  package var budget: Int64
  /// The most that is asked of an origin at once ahead of readers, in bytes.
  package var chunk: Int64
  package init(descriptor: Int32, frames: Int, budget: Int64, chunk: Int64) {
    self.descriptor = descriptor
    self.frames = frames
    self.budget = budget
    self.chunk = chunk
  }
}

/// Makes the stores for `FileCache`, which owns it; the maker owns the window's pool once the first window is made. It
/// runs on the transfer loop; files are made on worker threads.
@TransferLoop
package final class StoreMaker: BackingMaker {
  package nonisolated let folder: CacheFolder
  package nonisolated let budget: FetchBudget
  package nonisolated let memory: WindowMemory?
  /// From the first window on.
  private var pool: WindowPool?

  package nonisolated init(folder: CacheFolder, budget: FetchBudget, memory: WindowMemory?) {
    self.folder = folder
    self.budget = budget
    self.memory = memory
  }

  package func make(
    name: String, origin: any ByteSource, blockSize: Int64, identity: UInt64, start: SparseStore.Start, beside: Int64
  ) async throws(SparseStore.Failure) -> any FileBacking {
    try await SparseStore.create(
      name: name, in: folder, origin: origin, budget: budget, blockSize: blockSize, identity: identity, start: start,
      beside: beside)
  }
  package func makeWindow(
    label: String, origin: any ByteSource, map: any WindowMap, uses: any WindowUses, after generation: UInt32,
    following heritage: SourceHeritage
  ) -> (any Backing)? {
    guard let memory else { return nil }
    if pool == nil {
      pool = WindowPool(
        descriptor: memory.descriptor, frames: memory.frames, budget: memory.budget, generation: generation,
        lastUse: { uses.lastUse(ofFrame: $0) })
    }
    return pool.map {
      WindowStore(
        label: label, origin: origin, budget: budget, pool: $0, map: map, chunk: memory.chunk, following: heritage)
    }
  }
  package func figures() async throws(SparseStore.Failure) -> CacheUsage {
    let (folder, limits) = (folder, budget.limits)
    let found: Result<(String, CacheSpace), SparseStore.Failure> = await withCheckedContinuation { continuation in
      EventLoop.transfer.background { () -> Result<(String, CacheSpace), SparseStore.Failure> in
        do throws(SparseStore.Failure) { return .success((folder.name, try folder.space(limits))) } catch {
          return .failure(error)
        }
      } then: {
        continuation.resume(returning: $0)
      }
    }
    let (name, space) = try found.get()
    return CacheUsage(
      folder: name, space: space, reserved: budget.reserved, windowBytes: pool?.bytesInUse ?? 0,
      windowLimit: memory?.budget ?? 0)
  }
}
