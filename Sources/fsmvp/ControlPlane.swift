import ControlAPI
import Core
import EventLoop
import Glibc
import MediaHub
import ShimHost
import Staging
import Store
import Telemetry
import Transfer

/// The running control plane: puts the modules together, stops them in order. Owns nothing of their state.
@DispatchLoop
final class ControlPlane {
  private let service: Service
  private let folders: Folders
  private let started = SystemClock().now()
  /// The control API's, absolute.
  private var socket: String { ControlSocket.path(runtimeFolder: folders.runtime) }
  private var mediaHub: MediaHubClient?
  private var volume: StagedVolume?
  private var host: ShimHost?
  private var server: ControlServer?
  private var signals: [LoopSignal] = []
  private var stopping: StopReason?

  /// Why it ends: the exit code, and whether the list of staged items goes too.
  private struct StopReason {
    var code: ExitCode
    var forget: Bool
  }

  init(service: Service, folders: Folders) {
    self.service = service
    self.folders = folders
  }

  // MARK: Start

  /// Returns once it is ready, or has failed; a failure leaves no mount of its own, and of the bytes what it found.
  func run() async throws(StartError) {
    let settings = service.settings
    // A signal during the start ends it as an order does later.
    takeSignals()
    let (mediaHub, budget) = await Self.transfer(service)
    self.mediaHub = mediaHub
    do {
      var options = StagedVolume.Options(mountpoint: settings.mountpoint, stateFolder: folders.state)
      options.maxTiles = settings.maxTiles
      // Kept for looking at them: as good as for ever.
      options.closeGrace = settings.skipsEviction ? .seconds(365 * 86_400) : settings.closeGrace
      options.afterUpload = StagedVolume.AfterUpload(rawValue: settings.afterUpload.rawValue) ?? .keep
      let volume = try await StagedVolume.open(
        options: options, mediaHub: mediaHub, budget: budget, folder: CacheFolder(descriptor: folders.bytesDescriptor))
      self.volume = volume
      var mountOptions = ShimHost.Options(
        mountpoint: settings.mountpoint, fsname: "fsmvp-\(folders.instance)", runtimeFolder: folders.runtime, shimPath: Self.shimPath,
        roots: [folders.bytesDescriptor], volumeID: StableHash(folders.state).value)
      mountOptions.workers = settings.workers
      let host = ShimHost(options: mountOptions, volume: volume)
      self.host = host
      host.onShimEnd = { [weak self] cause in self?.shimEnded(cause) }
      try await host.start(adopting: folders.survivor)
      // What it adopted, if anything, it has handed over by now.
      await volume.begin()
      server = try ControlServer(socket: socket, operations: self)
    } catch {
      await tearDown(forget: false)
      throw StartError(Self.sentence(error))
    }
    guard stopping == nil else { return await finish() }
    sayReady()
  }

  /// The transfer loop's part of the house.
  @TransferLoop
  private static func transfer(_ service: Service) -> (MediaHubClient, FetchBudget) {
    let settings = service.settings
    var httpOptions = HTTPClient.Options()
    httpOptions.idleTimeout = settings.idleTimeout
    let http = HTTPClient(options: httpOptions)
    var limits = FetchBudget.Options()
    limits.rangesPerFile = settings.maxRangesPerFile
    limits.rangesInAll = settings.maxRanges
    limits.stallTimeout = settings.stallTimeout
    let mediaHub = MediaHubClient(
      options: MediaHubClient.Options(
        base: service.apiBase, clientID: service.clientID, clientSecret: service.clientSecret, scope: settings.scope),
      http: http)
    return (mediaHub, FetchBudget(client: http, options: limits))
  }

  /// Beside this program, whatever link it was called by.
  private static var shimPath: String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let own = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/fsmvp-shim"
  }

  private static func sentence(_ error: any Error) -> String {
    switch error {
    case let error as ShimHostError: error.description
    case StagingError.noSuch(let sentence), StagingError.invalid(let sentence), StagingError.failed(let sentence): sentence
    case ControlServer.Failure.inUse(let sentence), ControlServer.Failure.failed(let sentence): sentence
    default: "\(error)"
    }
  }

  private func sayReady() {
    guard let host else { return }
    Terminal.standardOutput.write("ready mount=\(host.mountpoint) socket=\(socket)\n")
    Log.info("ready", ["mount": host.mountpoint, "pid": getpid()])
    if service.simulator != nil { Demo.sayWhatToType(mount: host.mountpoint) }
  }

  // MARK: Stop

  private func takeSignals() {
    for number in [SIGINT, SIGTERM] {
      if let signal = try? LoopSignal(
        number, on: .dispatch, arrived: { [weak self] in DispatchLoop.assumeIsolated { self?.interrupted() } })
      {
        signals.append(signal)
      }
    }
  }

  private func interrupted() {
    guard stopping == nil else {
      // The second signal: no order, no waiting.
      host?.abandon()
      _exit(ExitCode.failed.rawValue)
    }
    begin(StopReason(code: .done, forget: false))
  }

  private func shimEnded(_ cause: String) {
    guard stopping == nil else { return }
    Log.error("mount.lost", ["cause": cause])
    begin(StopReason(code: .failed, forget: false))
  }

  /// Once; later reasons change nothing.
  private func begin(_ reason: StopReason) {
    guard stopping == nil else { return }
    stopping = reason
    Log.info("stopping")
    // Before it is ready, `run` finds the reason and ends.
    if server != nil { Task { @DispatchLoop in await finish() } }
  }

  private func finish() async {
    let reason = stopping ?? StopReason(code: .done, forget: false)
    await tearDown(forget: reason.forget)
    Log.info("stopped")
    Log.flush()
    _exit(reason.code.rawValue)
  }

  /// In this order: no new work, waiting reads answered, unmounted, the files of bytes gone, the socket gone.
  private func tearDown(forget: Bool) async {
    volume?.stop()
    await host?.stop()
    await volume?.remove(forget: forget)
    await server?.close()
    service.simulator?.stop()
  }
}

// MARK: The control API

extension ControlPlane: ControlOperations {
  func status() async throws -> ControlStatus {
    let figures = host?.figures
    let items = volume?.items() ?? []
    var status = ControlStatus(
      pid: Int(getpid()),
      shim: ControlStatus.Shim(
        pid: Int(figures?.pid ?? 0), epoch: Int(clamping: figures?.epoch ?? 0), restarts: figures?.restarts ?? 0),
      mount: host?.mountpoint ?? service.settings.mountpoint, socket: socket,
      uptimeSeconds: Int((SystemClock().now() - started).seconds))
    status.staged = items.count
    status.openHandles = figures?.openHandles ?? 0
    status.bytesFetched = items.reduce(0) { $0 + $1.bytesFetched }
    status.bytesServed = items.reduce(0) { $0 + $1.bytesServed }
    if let counters = figures?.counters {
      status.readsLeased = Int64(clamping: counters.leased)
      status.requestsForwarded = Int64(clamping: counters.forwarded)
      status.slotsFull = Int64(clamping: counters.slotsFull)
      status.cancelled = Int64(clamping: counters.cancelled)
    }
    return status
  }

  func jobs(search: String?, start: Int, limit: Int) async throws -> MediaHubPage {
    guard let mediaHub else { throw StagingError.failed("the control plane is still starting") }
    return try await mediaHub.jobs(search: search, start: start, limit: limit)
  }

  func staged() async throws -> [StagedItem] { volume?.items() ?? [] }

  func stage(_ fileOrJob: String, recipient: String) async throws -> StagedItem {
    try await standing().stage(fileOrJob, recipient: recipient)
  }

  func unstage(_ idOrPath: String) async throws -> StagedItem { try await standing().unstage(idOrPath) }

  func unstageAll() async throws -> [StagedItem] { try await standing().unstageAll() }

  func trace() async throws -> TraceReport { TraceReport(host?.trace() ?? [:]) }

  func stop(forget: Bool) async throws { begin(StopReason(code: .done, forget: forget)) }

  private func standing() throws -> StagedVolume {
    guard let volume else { throw StagingError.failed("the control plane is still starting") }
    return volume
  }
}

extension TraceReport {
  /// In the order of a request's way.
  private static let order = ["submit", "pickup", "complete", "reply", "total", "local"]

  fileprivate init(_ figures: TraceFigures) {
    self.init(
      ops: figures.sorted { $0.key < $1.key }.map { op, segments in
        let rows = segments.sorted { (Self.order.firstIndex(of: $0.key) ?? 99, $0.key) < (Self.order.firstIndex(of: $1.key) ?? 99, $1.key) }
        return Operation(
          op: op,
          segments: rows.map { name, row in
            Segment(
              segment: name, count: Int64(clamping: row.count), p50us: Double(row.p50) / 1000, p99us: Double(row.p99) / 1000,
              maxus: Double(row.max) / 1000)
          })
      })
  }
}
