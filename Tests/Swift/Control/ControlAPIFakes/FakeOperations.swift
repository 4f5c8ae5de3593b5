import ControlModel
import ControlRoutes
import Core
import Glibc
import MediaHub
import Staging
import Telemetry

@testable import ControlAPI
@testable import Daemon

/// The modules behind the routes of the control plane: they answer from memory, throw what a test wants thrown, and can
/// be held: the operation named by `held` ends only with `release`.
@DispatchLoop
final class FakeOperations: StagedOperations, DaemonOperations {
  var items: [StagedItem] = []
  var page = MediaHubPage(jobs: [], total: 0, start: 0, limit: 20)
  var thrown: (any Error)?
  /// The calls, in order.
  private(set) var asked: [String] = []
  /// The operation ("jobs"...) that is held.
  var held: String?
  private var waiting: [CheckedContinuation<Void, Never>] = []
  private var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

  /// Once true, no call waits here.
  private var isReleased = false
  private var sightings: [(what: String, times: Int, continuation: CheckedContinuation<Void, Never>)] = []

  nonisolated init() {}

  /// The groups of the real control plane, with these operations behind them.
  var groups: [RouteGroup] {
    let jobs = JobRoutes.group {
      try await self.jobs(search: $0, start: $1, limit: $2)
    } job: {
      try await self.job($0)
    }
    return [DaemonRoutes.group(self), jobs, StagedRoutes.group(self)]
  }

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
  /// The largest part of the list that was asked for.
  private(set) var largestPart = 0
  /// Called with each part that is taken.
  var onPart: (() -> Void)?
  func items(after cursor: UInt64, limit: Int) -> (items: [StagedItem], next: UInt64?) {
    largestPart = max(largestPart, limit)
    onPart?()
    let rest = items.dropFirst(Int(clamping: cursor))
    return (Array(rest.prefix(limit)), rest.count > limit ? cursor + UInt64(limit) : nil)
  }
  func cursor(of id: String) -> UInt64? { items.firstIndex { $0.id == id }.map { UInt64($0) + 1 } }
  var nextLook = ItemChanges(changed: [], gone: [])
  /// These come before.
  var looks: [ItemChanges] = []
  func look(atMost limit: Int) -> ItemChanges {
    if !looks.isEmpty { return looks.removeFirst() }
    defer { nextLook = ItemChanges(changed: [], gone: []) }
    return nextLook
  }
  var times: ReadTimes?
  func readTimes() -> ReadTimes? { times }

  func jobs(search: String?, start: Int, limit: Int) async throws -> MediaHubPage {
    try await enter("jobs \(search ?? "-") \(start) \(limit)")
    return page
  }

  func findReaders() async throws { try await enter("staged") }

  func setPinned(_ idOrPath: String, _ isPinned: Bool) async throws -> StagedItem {
    try await enter("\(isPinned ? "pin" : "unpin") \(idOrPath)")
    guard var item = items.first(where: { $0.id == idOrPath || $0.path == idOrPath }) else {
      throw StagingError.noSuchItem("nothing is staged as \(idOrPath)")
    }
    item.pinned = isPinned
    return item
  }

  func setLogLevel(_ level: Log.Level) { Log.level = level }

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

  func job(_ id: String) async throws -> MediaHubJob {
    try await enter("job \(id)")
    guard let job = page.jobs.first(where: { $0.id == id }) else {
      throw MediaHubError.notFound("MediaHub has no job \(id)")
    }
    return job
  }

  func item(withReaders id: String) async throws -> StagedItem {
    try await enter("item \(id)")
    guard let item = items.first(where: { $0.id == id }) else {
      throw StagingError.noSuchItem("nothing is staged as \(id)")
    }
    return item
  }

  func recipients() async throws -> [String] {
    try await enter("recipients")
    return ["alice", "b & <c>"]
  }

  func configuration() -> [SettingEntry] {
    asked.append("config")
    return [SettingEntry(key: "client_secret", value: "‹redacted›", source: "default")]
  }

  func unstage(_ idOrPath: String) async throws -> StagedItem {
    try await enter("unstage \(idOrPath)")
    guard let item = items.first(where: { $0.id == idOrPath || $0.path == idOrPath }) else {
      throw StagingError.noSuchItem("nothing is staged as \(idOrPath)")
    }
    return item
  }

  func unstageAll() async throws -> [[StagedItem]] {
    try await enter("unstage all")
    return stride(from: 0, to: items.count, by: ListSource.slice).map {
      Array(items[$0..<min(items.count, $0 + ListSource.slice)])
    }
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

  /// The reload's outcome, which a real control plane reaches by executing itself.
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

extension ControlServer {
  convenience init(
    socket: String, web: WebOptions, operations: FakeOperations, limits: Listener.Limits = Listener.Limits()
  ) throws(Failure) {
    try self.init(
      socket: socket, web: web, groups: operations.groups, readiness: { Readiness(operations.glance().shim.state) },
      limits: limits)
  }
}

extension ControlStatus {
  static let example = ControlStatus(
    pid: 41, version: "9.9.9",
    shim: Shim(state: .serving, pid: 42, epoch: 3, restarts: 2, standbyPid: 43, lastOutageMilliseconds: 1.26),
    mount: "/mnt/x",
    socket: "/run/x/api.sock", uptimeSeconds: 3725,
    staged: 1, openHandles: 2, bytesFetched: 1 << 30, bytesServed: 5, readsLeased: 6, requestsForwarded: 7,
    slotsFull: 8, cancelled: 9)
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
    id: String = "i1", name: String = "video.mp4", recipient: String = "alice", size: Int64 = 1000,
    bytesFetched: Int64 = 999,
    failure: String? = nil
  ) -> StagedItem {
    StagedItem(
      id: id, path: "/mnt/x/Staged/\(id)/\(name)", fileId: "f-\(id)", name: name, size: size, recipient: recipient,
      state: failure == nil ? .ready : .failed, tileRef: 1, openRef: 0, bytesFetched: bytesFetched, bytesServed: 2048,
      failure: failure)
  }
}
