import ControlModel
import Core
import MediaHub
import Staging

/// What the control API can do, as its server asks for it: one method a route. The control plane implements it; tests have a fake.
///
/// A method may take its time (the connection is suspended meanwhile) but not the loop's. It throws `ControlError`, `StagingError` or
/// `MediaHubError`; anything else becomes `failed`.
@DispatchLoop
package protocol ControlOperations: AnyObject {
  func status() async throws -> ControlStatus
  /// The status at once, for events.
  func glance() -> ControlStatus
  /// What became of the items since the last look.
  func look() -> ItemsLook
  /// By order of staging, at once.
  func itemsNow() -> [StagedItem]
  /// Nil before there is a mount.
  func readTimes() -> ReadTimes?
  /// `start` counts from 0; `search` is never empty.
  func jobs(search: String?, start: Int, limit: Int) async throws -> MediaHubPage
  /// By order of staging.
  func staged() async throws -> [StagedItem]
  /// The id of a file, or of a job with exactly one output. Staged for the same recipient before: the standing item.
  /// - Parameter isWarm: fetches before anybody opens it.
  func stage(_ fileOrJob: String, recipient: String, isWarm: Bool) async throws -> StagedItem
  /// Fetches an item fully and keeps its bytes; or no longer.
  func setPinned(_ idOrPath: String, _ isPinned: Bool) async throws -> StagedItem
  func unstage(_ idOrPath: String) async throws -> StagedItem
  /// What was unstaged.
  func unstageAll() async throws -> [StagedItem]
  func cache() async throws -> CacheReport
  /// Drops the bytes of what is neither open nor pinned. Returns once their space is free.
  func clearCache() async throws -> CacheCleared
  func trace() async throws -> TraceReport
  /// The active shim hands over to a fresh one. Returns once that one serves.
  func restartShim() async throws -> ShimReply
  /// The active shim is killed. Returns once its successor serves.
  func killShim() async throws -> ShimReply
  /// Finds out whether the programs on disk can take over. Where they can, `replaceImage` follows once the answer has gone out.
  func reload() async throws -> ReloadReply
  /// The answer to an accepted reload has gone out, or its client has.
  func replaceImage()
  /// Begins to stop and returns; the server answers, and whoever stops the process closes it (`ControlServer.close`).
  /// - Parameter forget: also drops the list of staged items.
  func stop(forget: Bool) async throws
}
