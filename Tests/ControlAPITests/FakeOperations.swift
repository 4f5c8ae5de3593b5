import ControlModel
import Core
import Glibc
import MediaHub
import Staging

@testable import ControlAPI

/// Operations that answer from memory, throw what a test wants thrown, and can be held: the operation named by `held`
/// ends only with `release`.
@DispatchLoop
final class FakeOperations: ControlOperations {
  var items: [StagedItem] = []
  var page = MediaHubPage(jobs: [], total: 0, start: 0, limit: 20)
  var thrown: (any Error)?
  /// What was asked, in order.
  private(set) var asked: [String] = []
  /// The operation ("jobs"...) that is held.
  var held: String?
  private var waiting: [CheckedContinuation<Void, Never>] = []
  private var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

  /// From then on nobody waits here.
  private var isReleased = false
  private var sightings: [(what: String, times: Int, continuation: CheckedContinuation<Void, Never>)] = []

  nonisolated init() {}

  func set(_ change: @DispatchLoop @Sendable (FakeOperations) -> Void) { change(self) }

  /// Comes back once `count` operations are held, or with `release`.
  func held(_ count: Int) async {
    guard waiting.count < count, !isReleased else { return }
    await withCheckedContinuation { watchers.append((count, $0)) }
  }

  /// Comes back once `what` was asked for `times` times, or with `release`.
  func seen(_ what: String, times: Int) async {
    guard asked.filter({ $0 == what }).count < times, !isReleased else { return }
    await withCheckedContinuation { sightings.append((what, times, $0)) }
  }

  func release() {
    held = nil
    isReleased = true
    for watcher in watchers { watcher.continuation.resume() }
    watchers = []
    for continuation in waiting { continuation.resume() }
    waiting = []
    for sighting in sightings { sighting.continuation.resume() }
    sightings = []
  }

  private func enter(_ what: String) async throws {
    asked.append(what)
    let count = asked.filter { $0 == what }.count
    for sighting in sightings where sighting.what == what && sighting.times == count { sighting.continuation.resume() }
    sightings.removeAll { $0.what == what && $0.times == count }
    if let held, what.hasPrefix(held) {
      await withCheckedContinuation { continuation in
        waiting.append(continuation)
        for watcher in watchers where watcher.count <= waiting.count { watcher.continuation.resume() }
        watchers.removeAll { $0.count <= waiting.count }
      }
    }
    if let thrown { throw thrown }
  }

  func status() async throws -> ControlStatus {
    try await enter("status")
    return shown
  }

  // For events: what a test puts here is told once.

  func glance() -> ControlStatus { shown }
  func itemsNow() -> [StagedItem] { items }
  var nextLook = ItemsLook(changed: [], gone: [])
  /// These come before.
  var looks: [ItemsLook] = []
  func look() -> ItemsLook {
    if !looks.isEmpty { return looks.removeFirst() }
    defer { nextLook = ItemsLook(changed: [], gone: []) }
    return nextLook
  }
  var times: ReadTimes?
  func readTimes() -> ReadTimes? { times }

  func jobs(search: String?, start: Int, limit: Int) async throws -> MediaHubPage {
    try await enter("jobs \(search ?? "-") \(start) \(limit)")
    return page
  }

  func staged() async throws -> [StagedItem] {
    try await enter("staged")
    return items
  }

  func setPinned(_ idOrPath: String, _ isPinned: Bool) async throws -> StagedItem {
    try await enter("\(isPinned ? "pin" : "unpin") \(idOrPath)")
    guard var item = items.first(where: { $0.id == idOrPath || $0.path == idOrPath }) else {
      throw StagingError.noSuch("nothing is staged as \(idOrPath)")
    }
    item.pinned = isPinned
    return item
  }

  func cache() async throws -> CacheReport {
    try await enter("cache")
    return .example
  }

  func clearCache() async throws -> CacheCleared {
    try await enter("clear cache")
    return CacheCleared(items: 2, bytes: 3 << 20)
  }

  func stage(_ fileOrJob: String, recipient: String, isWarm: Bool) async throws -> StagedItem {
    try await enter("stage \(fileOrJob) for \(recipient)\(isWarm ? ", warm" : "")")
    return .example(id: fileOrJob, recipient: recipient)
  }

  func unstage(_ idOrPath: String) async throws -> StagedItem {
    try await enter("unstage \(idOrPath)")
    guard let item = items.first(where: { $0.id == idOrPath || $0.path == idOrPath }) else {
      throw StagingError.noSuch("nothing is staged as \(idOrPath)")
    }
    return item
  }

  func unstageAll() async throws -> [StagedItem] {
    try await enter("unstage all")
    return items
  }

  func trace() async throws -> TraceReport {
    try await enter("trace")
    return .example
  }

  func restartShim() async throws -> ShimReply {
    try await enter("shim restart")
    return ShimReply(epoch: 4, pid: 43, outageMilliseconds: 1.234)
  }

  func killShim() async throws -> ShimReply {
    try await enter("shim kill")
    return ShimReply(epoch: 5, pid: 44, outageMilliseconds: nil)
  }

  func reload() async throws -> ReloadReply {
    try await enter("reload")
    return ReloadReply(pid: Int(getpid()), count: 1)
  }

  /// What a real one does by executing itself.
  var next: ControlStatus.Reload?
  var shown = ControlStatus.example

  func replaceImage() {
    asked.append("replace image")
    shown.reload = next
    for continuation in replacing { continuation.resume() }
    replacing = []
  }

  private var replacing: [CheckedContinuation<Void, Never>] = []

  /// Comes back once the image was to be replaced.
  func imageReplaced() async {
    guard !asked.contains("replace image") else { return }
    await withCheckedContinuation { replacing.append($0) }
  }

  func stop(forget: Bool) async throws { try await enter("stop \(forget)") }
}

extension ControlStatus {
  static let example = ControlStatus(
    pid: 41, version: "9.9.9",
    shim: Shim(state: .serving, pid: 42, epoch: 3, restarts: 2, standbyPid: 43, lastOutageMilliseconds: 1.26), mount: "/mnt/x",
    socket: "/run/x/api.sock", uptimeSeconds: 3725,
    staged: 1, openHandles: 2, bytesFetched: 1 << 30, bytesServed: 5, readsLeased: 6, requestsForwarded: 7, slotsFull: 8, cancelled: 9)
}

extension CacheReport {
  static let example = CacheReport(
    folder: "/var/cache/x", bytes: 10 << 20, reserved: 5 << 20, limit: 70 << 30, free: 20 << 30, minFree: 1 << 30,
    leftovers: Leftovers(files: 1, bytes: 1 << 20), leaving: 0,
    items: [
      Item(id: "i1", name: "video.mp4", bytes: 9 << 20, pinned: true, open: true, lastUsed: 1_700_000_000),
      Item(id: "i2", name: "b\n.mp4", bytes: 1 << 20, pinned: false, open: false, lastUsed: 1_700_000_000),
      Item(id: "i3", name: "c.mp4", bytes: 0, pinned: true, open: false, lastUsed: nil),
    ])
}

extension TraceReport {
  static let example = TraceReport(ops: [
    Operation(
      op: "read",
      segments: [
        Segment(segment: "total", count: 12345, p50us: 12.34, p99us: 1500, maxus: 2_500_000),
        Segment(segment: "fetched", count: 3, p50us: 0.5, p99us: 999.96, maxus: 1000),
      ])
  ])
}

extension StagedItem {
  static func example(
    id: String = "i1", name: String = "video.mp4", recipient: String = "alice", size: Int64 = 1000, bytesFetched: Int64 = 999,
    failure: String? = nil
  ) -> StagedItem {
    StagedItem(
      id: id, path: "/mnt/x/Staged/\(id)/\(name)", fileId: "f-\(id)", name: name, size: size, recipient: recipient,
      state: failure == nil ? .ready : .failed, tileRef: 1, openRef: 0, bytesFetched: bytesFetched, bytesServed: 2048, failure: failure)
  }
}
