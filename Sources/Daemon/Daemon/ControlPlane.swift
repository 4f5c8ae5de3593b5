import Buckets
import ControlAPI
import ControlClient
import ControlModel
import ControlRoutes
import Core
import EventLoop
import Glibc
import HostSystem
import MediaHub
import OpenFiles
import Settings
import ShimHost
import Staging
import Store
import Syntax
import Telemetry
import Transfer
import VolumeKinds
import Wire

/// The running control plane: puts the modules together, stops them in order. Owns nothing of their state. `Run` makes
/// the one of the process, which lives on the dispatch loop until the process ends.
@DispatchLoop
final class ControlPlane {
  let service: Service
  let folders: Folders
  private let started = SystemClock().now()
  /// The control API's, absolute.
  private var socket: String { Settings.apiSocket(runtimeFolder: folders.runtime) }
  private(set) var mediaHub: MediaHubClient?
  private(set) var volume: StagedVolume?
  /// In the order of their starts. The first one is that of the staged files: status, trace and the orders about shims
  /// are about it.
  var mounts: [Mount] = []
  var host: ShimHost? { mounts.first?.host }
  private(set) var server: ControlServer?
  var buckets: BucketServer?
  /// The buckets on their way.
  var opening: Task<BucketServer, Never>?
  private var signals: [LoopSignal] = []
  private var terminalTimer: LoopTimer?
  private var sleep: SleepInhibitor?
  private(set) var runtime: RuntimeKeeper?
  private(set) var stopping: StopReason?
  let notifier = ServiceNotifier()
  let reloads: Int
  var reload: ControlStatus.Reload?
  /// From an accepted reload until the exec, or until it is known that there is none.
  var isReloading = false

  /// Why it ends: the exit code, and whether the list of staged items goes too.
  struct StopReason {
    var code: ExitCode
    var forget: Bool
  }

  /// - Parameter reloads: how many images there were before in this process.
  init(service: Service, folders: Folders, reloads: Int) {
    self.service = service
    self.folders = folders
    self.reloads = reloads
    if reloads > 0 { reload = ControlStatus.Reload(count: reloads, state: .replacing) }
  }

  // MARK: Start

  /// Returns once it is ready, or has failed. A failure leaves no mount of its own; a mount that it found, and the
  /// bytes, stay as they were.
  func run() async throws(StartError) {
    let settings = service.settings
    // A signal during the start ends it as an order does later.
    takeSignals()
    notifier.start { [weak self] in self?.serviceStatus }
    beginOpeningBuckets()
    let (mediaHub, budget) = await Self.transfer(service)
    self.mediaHub = mediaHub
    do {
      var options = StagedVolume.Options(mountpoint: settings.mountpoint, stateFolder: folders.state)
      options.apply(settings.values)
      let volume = try await StagedVolume.open(
        options: options, mediaHub: mediaHub, budget: budget, folder: CacheFolder(descriptor: folders.bytesDescriptor),
        memory: windowMemory
      )
      self.volume = volume
      if settings[\DaemonSettings.inhibitSleep] { holdOffSleep(while: volume) }
      var mountOptions = ShimHost.Options(
        mountpoint: settings.mountpoint, fsname: "fsmvp-\(folders.instance)", runtimeFolder: folders.runtime,
        shimPath: Installation.shimPath,
        roots: [folders.bytesDescriptor], volumeID: StableHash(folders.state).value)
      mountOptions.window = folders.windowDescriptor
      // A read-ahead and more is fetched in vain at each jump; a file on disk has a use for it, a window has not.
      if settings[\StoreSettings.fetchMode] == .rangeLRU { mountOptions.readAhead = 64 << 10 }
      mountOptions.apply(settings.values)
      let staged = OpenVolume(volume, roots: mountOptions.roots, routes: stagedRoutes(volume))
      try await start(Mount(staged, options: mountOptions, survivor: folders.survivor))
      for kind in kinds { try await start(Mount.open(kind, like: mountOptions, state: folders.state)) }
      // The page's files are hashed when they are first asked for, which takes longer than a step may.
      let web = webOptions(await onWorker { PageAssets.program })
      await finishOpeningBuckets()
      server = try ControlServer(socket: socket, web: web, groups: groups(mediaHub), adopters: [bucketAdopter]) {
        [weak self] in
        Readiness(ControlStatus.Shim(self?.host?.figures).state)
      }
      keepRuntimeFolder()
    } catch {
      // A mount that was found is left as after the death before: its shims serve on, and the next start adopts them.
      if folders.survivor == nil { await tearDown(forget: false) }
      throw StartError(Self.sentence(error))
    }
    // The page opens first, so that the first status has its port and readiness is announced afterwards.
    await server?.openWebAtStart()
    guard stopping == nil else { return await finish() }
    sayReady()
    if reload != nil { await replaceShims() }
  }

  /// The transfer loop's part of the house.
  @TransferLoop
  private static func transfer(_ service: Service) -> (MediaHubClient, FetchBudget) {
    let settings = service.settings
    var httpOptions = HTTPClient.Options()
    httpOptions.apply(settings.values)
    httpOptions.proxy = service.proxy
    httpOptions.certificates = service.certificates
    let http = HTTPClient(options: httpOptions)
    var limits = FetchBudget.Options()
    limits.apply(settings.values)
    var hubOptions = MediaHubClient.Options(
      base: service.apiBase, clientID: service.clientID, clientSecret: service.clientSecret,
      scope: settings[\MediaHubSettings.scope])
    hubOptions.signer = service.linkSigner
    hubOptions.retryAfterLimit = limits.retryAfterLimit
    let budget = FetchBudget(options: limits)
    http.onShaken = { [weak budget] in budget?.shaken() }
    return (MediaHubClient(options: hubOptions, http: http), budget)
  }

  private var windowMemory: WindowMemory {
    let settings = service.settings
    return WindowMemory(
      descriptor: folders.windowDescriptor, frames: WindowFile.frames,
      budget: MemoryLimit.window(settings[\StoreSettings.cacheSize]),
      chunk: settings[\StoreSettings.chunkSize])
  }

  private func holdOffSleep(while volume: StagedVolume) {
    let sleep = SleepInhibitor { [weak volume] in volume?.isBusy ?? false }
    volume.onBusyChange = { [weak sleep] in sleep?.note() }
    self.sleep = sleep
  }

  private func keepRuntimeFolder() {
    let runtime = RuntimeKeeper(folders: folders) { [weak self] in
      await self?.server?.restore()
      if let folders = self?.folders { await onWorker { folders.restoreInstance() } }
      _ = await self?.volume?.restoreList()
      await self?.restoreBucketSockets()
      for mount in self?.mounts ?? [] { await mount.host.restoreSocket() }
    }
    self.runtime = runtime
    runtime.start()
  }

  private static func sentence(_ error: any Error) -> String {
    switch error {
    case let error as ShimHostError: error.description
    case let error as StagingError: error.sentence
    case ControlServer.Failure.inUse(let sentence), ControlServer.Failure.failed(let sentence): sentence
    default: "\(error)"
    }
  }

  private func sayReady() {
    guard let host else { return }
    notifier.ready()
    Log.info(.ready, ["mount": host.mountpoint, "pid": getpid(), "reloads": reloads])
    // The line is printed once a process: after a reload its reader already has it, and may be gone.
    guard reloads == 0 else { return }
    Log.say("ready mount=\(host.mountpoint) socket=\(socket)\n", to: .output)
    if service.simulator != nil {
      Demo.sayWhatToType(mount: host.mountpoint, hasPage: service.settings[\WebSettings.web] != false)
    }
  }

  // MARK: Stop

  private func takeSignals() {
    // SIGHUP is a terminal that closes, unless `nohup` said otherwise.
    var hangup = sigaction()
    sigaction(SIGHUP, nil, &hangup)
    let isImmune =
      unsafeBitCast(hangup.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    for number in [SIGINT, SIGTERM] + (isImmune ? [] : [SIGHUP]) {
      if let signal = try? LoopSignal(
        number, on: .dispatch, arrived: { [weak self] in DispatchLoop.assumeIsolated { self?.interrupted(by: number) } }
      ) {
        signals.append(signal)
      }
    }
    if !isImmune { watchTerminal() }
  }

  /// The kernel tells a closing terminal's end to its session's leader alone, which under `make run` in a window of its
  /// own is make.
  private func watchTerminal() {
    guard let terminal = (0...Int32(2)).first(where: { isatty($0) != 0 }) else { return }
    terminalTimer = try? LoopTimer(on: .dispatch) { [weak self] in
      var watched = pollfd(fd: terminal, events: 0, revents: 0)
      guard poll(&watched, 1, 0) > 0, watched.revents & Int16(POLLHUP | POLLERR) != 0 else { return }
      DispatchLoop.assumeIsolated { self?.interrupted(by: SIGHUP) }
    }
    terminalTimer?.start(after: .seconds(1), every: .seconds(1))
  }

  private func interrupted(by number: Int32) {
    guard stopping == nil else {
      // A terminal that closes may send several: from the kernel, from the shell, from both.
      if number == SIGHUP { return }
      // The second signal: no order, no waiting.
      for mount in mounts { mount.host.abandon() }
      _exit(ExitCode.failed.rawValue)
    }
    begin(StopReason(code: .done, forget: false))
  }

  func shimEnded(_ cause: String) {
    guard stopping == nil else { return }
    Log.error(.mountLost, ["cause": cause])
    begin(StopReason(code: .failed, forget: false))
  }

  /// Once; later reasons change nothing.
  private func begin(_ reason: StopReason) {
    guard stopping == nil else { return }
    stopping = reason
    notifier.stopping()
    Log.info(.stopping)
    // Before it is ready, `run` finds the reason and ends.
    if server != nil { Task { @DispatchLoop in await finish() } }
  }

  private func finish() async {
    let reason = stopping ?? StopReason(code: .done, forget: false)
    let slow = EventLoop.dispatch.stepFigures.slowCount
    await tearDown(forget: reason.forget)
    // No client can ask for them any more.
    for step in EventLoop.dispatch.stepFigures.recent where step.number > slow {
      Log.info(
        .loopSlow,
        ["from": step.source, "us": step.nanoseconds / 1000, "processor_us": step.processorNanoseconds / 1000])
    }
    Log.info(.stopped)
    Log.flush()
    _exit(reason.code.rawValue)
  }

  /// In this order: no new work, waiting reads answered, unmounted, the files of bytes gone, the socket gone.
  private func tearDown(forget: Bool) async {
    runtime?.close()
    for mount in mounts { mount.volume.stop() }
    for mount in mounts { await mount.host.stop() }
    for mount in mounts { await mount.volume.remove(forget: forget) }
    await server?.close()
    await stopBuckets()
    service.simulator?.stop()
  }
}

// MARK: The control API

extension ControlPlane: DaemonOperations {
  func status() async throws -> ControlStatus {
    await volume?.countTotals()
    return glance()
  }

  func glance() -> ControlStatus {
    let figures = host?.figures
    let totals = volume?.totals ?? (items: 0, bytesFetched: 0, bytesServed: 0)
    var status = ControlStatus(
      pid: Int(getpid()),
      shim: ControlStatus.Shim(figures),
      mount: host?.mountpoint ?? service.settings.mountpoint, socket: socket,
      uptimeSeconds: Int((SystemClock().now() - started).seconds))
    status.reload = reload
    (status.service, status.web, status.logLevel) = (serviceReport, server?.webAddress, Log.level.name)
    status.buckets = bucketReport
    status.staged = totals.items
    status.openHandles = figures?.openHandles ?? 0
    status.sleepInhibited = sleep?.isHeld ?? false
    status.bytesFetched = totals.bytesFetched
    status.bytesServed = totals.bytesServed
    if let counters = figures?.counters {
      status.readsLeased = Int64(clamping: counters.leased)
      status.requestsForwarded = Int64(clamping: counters.forwarded)
      status.slotsFull = Int64(clamping: counters.slotsFull)
      status.cancelled = Int64(clamping: counters.cancelled)
    }
    return status
  }

  func readTimes() -> ReadTimes? { host?.readTimes().map { ReadTimes(limits: $0.limits, counts: $0.counts) } }

  func trace() async throws -> TraceReport { TraceReport(host?.trace() ?? [:], loops: [.dispatch, .transfer]) }

  func stop(forget: Bool) async throws { begin(StopReason(code: .done, forget: forget)) }
}

extension TraceReport {
  /// In the order of a request's way.
  private static let order = ["submit", "pickup", "complete", "reply", "total", "local"]

  fileprivate init(_ figures: TraceFigures, loops: [EventLoop]) {
    self.init(
      ops: figures.sorted { $0.key < $1.key }.map { op, segments in
        let rows = segments.sorted {
          (Self.order.firstIndex(of: $0.key) ?? 99, $0.key) < (Self.order.firstIndex(of: $1.key) ?? 99, $1.key)
        }
        return Operation(
          op: op,
          segments: rows.map { name, row in
            Segment(
              segment: name, count: Int64(clamping: row.count), p50us: Double(row.p50) / 1000,
              p99us: Double(row.p99) / 1000,
              maxus: Double(row.max) / 1000)
          })
      }, loops: loops.map { Loop($0.name, $0.stepFigures) })
  }
}

extension TraceReport.Loop {
  fileprivate init(_ name: String, _ figures: StepFigures) {
    self.init(
      loop: name, steps: Int64(clamping: figures.count), slow: Int64(clamping: figures.slowCount),
      recent: figures.recent.map {
        Step(
          number: Int64(clamping: $0.number), source: $0.source, us: Double($0.nanoseconds) / 1000,
          processorus: Double($0.processorNanoseconds) / 1000)
      })
  }
}
