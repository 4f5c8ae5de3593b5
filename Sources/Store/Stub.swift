import Core
import Transfer
// Interface for those who build against it meanwhile; the real files replace this one.

/// Limits shared by all stores of the process; one instance.
@TransferLoop
package final class FetchBudget {
  package struct Options: Sendable {
    /// Ranges in flight of one file, and of all.
    package var rangesPerFile = 16
    package var rangesInAll = 32
    /// Without progress for so long, waiting readers get EIO.
    package var stallTimeout: Duration = .seconds(60)
    /// Bytes received and not yet written, of all files.
    package var unwritten: Int64 = 16 << 20
    package init() {}
  }
  package init(client: HTTPClient, options: Options = Options()) {}
}

/// A folder of sparse files (a cache root); file operations on worker threads.
package struct CacheFolder: Sendable {
  /// An O_DIRECTORY descriptor, the caller's; outlives every store in it.
  package let descriptor: Int32
  package init(descriptor: Int32) { self.descriptor = descriptor }
}

/// A file's bytes: what is there, what is being fetched, who waits for what. Backed by one sparse file that nobody else writes.
/// Bytes are served only after they were validated, written and (by `onBlocks`) marked: write, mark, complete.
@TransferLoop
package final class SparseStore {
  package enum Failure: Error, Sendable, Equatable {
    /// The errno for readers, and the sentence for people.
    case failed(Errno, String)
  }

  /// Makes `name` in `folder` (0600, O_EXCL, of full length, no blocks) on a worker thread.
  package static func create(
    name: String, in folder: CacheFolder, origin: any Origin, budget: FetchBudget, blockSize: Int64
  ) async throws(Failure) -> SparseStore { preconditionFailure() }

  /// Called with whole blocks whose bytes are in the file (`true`), or are no longer to be believed (`false`). Set before the first read.
  package var onBlocks: (@Sendable (Range<Int>, Bool) -> Void)?
  /// Called when fetching gave up (a sentence for people) and when it goes on again (nil).
  package var onFailure: (@Sendable (String?) -> Void)?

  /// Bytes fetched and written so far; from any thread.
  package nonisolated var bytesPresent: Int64 { 0 }

  /// Answers once all of `range` (cut to the file) is in the file and marked, or with EIO (EIO, ENOSPC, ESTALE) once it cannot be; on the transfer loop.
  /// Goes before anything speculative.
  package func read(_ range: ByteRange, reply: @escaping @Sendable (Result<ByteRange, Errno>) -> Void) { preconditionFailure() }
  /// The bytes of `range` could not be read back: forget and fetch them again.
  package func distrust(_ range: ByteRange) { preconditionFailure() }
  /// While true, all the file is fetched, from where readers are; while false only what is waited for.
  package func setFilling(_ isFilling: Bool) { preconditionFailure() }
  /// The end: fetches are cancelled, waiters get `error`, the file is unlinked (on a worker thread), then `done`.
  package func close(error: Errno, done: @escaping @Sendable () -> Void) { preconditionFailure() }
}
