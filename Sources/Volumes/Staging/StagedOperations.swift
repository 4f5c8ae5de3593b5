import ControlModel
import Core

/// The staged volume as its routes and events see it; the routes' tests have a fake. `StagedVolume` has the state; all
/// calls are on the dispatch loop.
@DispatchLoop
package protocol StagedOperations: AnyObject, Sendable {
  /// Called before a list of items is taken: finds out where the readers are, which takes time.
  func findReaders() async throws
  /// A part of the list of items, by order of staging, at once.
  /// - Parameters:
  ///   - cursor: 0 for the first part, then `next` of the part before. It is good however the list changes meanwhile.
  ///   - limit: at most so many.
  /// - Returns: `next` is nil after the last part.
  func items(after cursor: UInt64, limit: Int) -> (items: [StagedItem], next: UInt64?)
  /// The cursor behind the item of that id; nil: there is none.
  func cursor(of id: String) -> UInt64?
  /// An item with its readers, by id.
  func item(withReaders id: String) async throws -> StagedItem
  /// The id of a file, or of a job with exactly one output. Staged for the same recipient before: the standing item.
  /// - Parameter isWarm: fetches before the first open.
  func stage(_ fileOrJob: String, recipient: String, isWarm: Bool) async throws -> StagedItem
  /// Fetches an item fully and keeps its bytes; or no longer.
  func setPinned(_ idOrPath: String, _ isPinned: Bool) async throws -> StagedItem
  func unstage(_ idOrPath: String) async throws -> StagedItem
  /// Returns the items that were unstaged, in parts of at most `ListSource.slice`, none of them empty: each is sent and
  /// freed by itself.
  func unstageAll() async throws -> [[StagedItem]]
  /// The recipients of earlier staging, the last one first.
  func recipients() async throws -> [String]
  func cache() async throws -> CacheReport
  /// Drops the bytes of what is neither open nor pinned. Returns once their space is free.
  func clearCache() async throws -> CacheCleared
  /// Tells what became of at most `limit` items since the last look; `isMore` says whether the look goes on.
  func look(atMost limit: Int) -> ItemChanges
}

extension StagedVolume: StagedOperations {
  package func item(withReaders id: String) async throws(StagingError) -> StagedItem {
    await findReaders()
    return try item(id: id)
  }
}
