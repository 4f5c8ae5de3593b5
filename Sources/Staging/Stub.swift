import Core
import MediaHub
import Store
import Volume
// Interface for those who build against it meanwhile; the real files replace this one.

/// One sentence each, fit for a person.
package enum StagingError: Error, Sendable, Equatable {
  /// Not a thing we have or the service has.
  case noSuch(String)
  /// The request is wrong: an empty recipient, a job with several outputs...
  case invalid(String)
  /// The service refused or is unreachable.
  case service(MediaHubError)
  /// We cannot: no space, the journal cannot be written, stopping.
  case failed(String)
}

@DispatchLoop
package final class StagedVolume {
  package struct Options: Sendable {
    /// Absolute; items' paths begin with it.
    package var mountpoint: String
    package var stateFolder: String
    /// 0: no limit.
    package var maxTiles = 0
    /// How long after the last close bytes of an item without a tile are kept.
    package var closeGrace: Duration = .seconds(5)
    package var afterUpload: AfterUpload = .keep
    package init(mountpoint: String, stateFolder: String) {
      self.mountpoint = mountpoint
      self.stateFolder = stateFolder
    }
  }
  package enum AfterUpload: String, Sendable { case keep, unstage, dropBytes = "drop-bytes" }

  /// Opens the journal (on a worker thread) and brings back the staged items.
  package static func open(options: Options, mediaHub: MediaHubClient, budget: FetchBudget, folder: CacheFolder, clock: any TimeSource = SystemClock())
    async throws(StagingError) -> StagedVolume { preconditionFailure() }
  package func stage(_ fileOrJob: String, recipient: String) async throws(StagingError) -> StagedItem { preconditionFailure() }
  /// By order of staging.
  package func items() -> [StagedItem] { preconditionFailure() }
  /// By id or by path.
  package func unstage(_ idOrPath: String) async throws(StagingError) -> StagedItem { preconditionFailure() }
  package func unstageAll() async throws(StagingError) -> [StagedItem] { preconditionFailure() }
  /// Whether a handle is open on any item.
  package var isBusy: Bool { preconditionFailure() }
  /// No more staging; every waiting read and open is answered with EIO; fetches end.
  package func stop() { preconditionFailure() }
  /// After the unmount: every file of bytes is unlinked, the journal closed; with `forget` the list of staged items is dropped.
  package func remove(forget: Bool) async { preconditionFailure() }
}
