import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

/// Starts the shims of one mount or adopts those of a control plane that died, serves their slots from a volume, sees that one of them always
/// serves, and ends all in order.
///
/// Everything happens on the dispatch loop, most of it inside the doorbell's callback; what may wait (connecting, mounting, unmounting, reading
/// mountinfo) is done on worker threads in between. Of OPEN and READ only the question comes through here: the answer is written by whichever
/// thread has it, straight into the slot.
@DispatchLoop
package final class ShimHost {
  package struct Options: Sendable {
    /// Where to mount; made if missing.
    package var mountpoint: String
    /// What `df` shows as the device.
    package var fsname: String
    /// The file system's type after `fuse.`.
    package var subtype = "fsmvp"
    /// Where the link's socket is made; the caller holds the lock of this folder.
    package var runtimeFolder: String
    /// The program.
    package var shimPath: String
    /// Folders of backing files, by the numbers leases use; they stay the caller's.
    package var roots: [Int32]
    /// The mount's window (`WindowFile`), which is the root after these; it stays the caller's. Nil: the mount has none.
    package var window: Int32?
    /// The shim's threads that read requests.
    package var workers = 2
    /// How long the shim may take to mount.
    package var startLimit = Duration.seconds(15)
    /// Keep a second shim ready, which takes over within milliseconds.
    package var standby = true
    /// A shim without a sign of life for so long is killed.
    package var shimTimeout = Duration.seconds(5)
    /// So long without a control plane, and the shims answer what waits for one with an error.
    package var orphanTimeout = Duration.seconds(600)
    /// Bytes the kernel is to read ahead, where we may say so.
    package var readAhead = 1 << 20
    /// Tells this volume from others that are mounted by the same program: shims that serve another one are not adopted. Not 0.
    package var volumeID: UInt64

    package init(mountpoint: String, fsname: String, runtimeFolder: String, shimPath: String, roots: [Int32], volumeID: UInt64) {
      self.mountpoint = mountpoint
      self.fsname = fsname
      self.runtimeFolder = runtimeFolder
      self.shimPath = shimPath
      self.roots = roots
      self.volumeID = max(volumeID, 1)
    }

    /// All that leases name, by their numbers.
    var allRoots: [Int32] { roots + (window.map { [$0] } ?? []) }
    /// The window's number among them.
    var windowRoot: UInt32? { window.map { _ in UInt32(roots.count) } }
  }

  enum Phase { case idle, starting, serving, failed, stopping, ended }

  let options: Options
  let volume: any Volume
  /// Called once, where the mount has gone while it was in use; the sentence says what happened. Then: `stop`. Shims that end are replaced without
  /// it; where that is given up, `figures` say so.
  package var onShimEnd: ((String) -> Void)?

  var phase = Phase.idle
  /// Absolute and free of links, once known.
  package internal(set) var mountpoint: String
  var isMounted = false
  var connection: UInt64 = 0
  /// The shim that serves, or did last.
  var process: ShimProcess?
  /// All that run, it and its successors.
  var shims: [ShimProcess] = []
  /// From the time the mount is there until it is given up or taken down.
  var supervision: Supervision?
  var timers: [Supervision.Limit: LoopTimer] = [:]
  var ticker: LoopTimer?
  /// Replies of all shims when the last death was looked at.
  var repliesSeen: UInt64 = 0
  /// One order of a person at a time.
  var isOrdered = false
  /// Why the mount is not served any more, or its start failed.
  var failure: String?
  var listening: OwnedDescriptor?
  var regionDescriptor: OwnedDescriptor?
  /// The link's socket, until the pipe has it.
  var greetingSocket: OwnedDescriptor?
  var link: LoopPipe?
  var reader = FrameReader()
  var orders = OrderBook()
  var device: OwnedDescriptor?
  /// The one we ring, and ours.
  var shimBell: Doorbell?
  var bell: Doorbell?
  var bellPoll: LoopPoll?

  var region: Region?
  var ring: SlotRing?
  var rows: HandleRows?
  var leases: LeaseTable?
  /// Nil: the table is to be looked at, whatever the count says.
  var releasedSeen: UInt64?
  /// Handles told to the volume as open, and not yet as released.
  var opened: [HandleID: NodeID] = [:]
  /// Directories above directories, as LOOKUP came by them; for the entry `..`.
  var parents: [NodeID: NodeID] = [:]
  /// Frames that are none, and acknowledgements of nothing.
  var hostileFrames: UInt64 = 0
  /// Handles opened twice, for two nodes.
  var hostileHandles: UInt64 = 0
  /// Those and what the ring has counted, when a shim was last blamed.
  var hostileSeen: UInt64 = 0
  let uid = geteuid()
  let gid = getegid()

  package init(options: Options, volume: any Volume) {
    self.options = options
    self.volume = volume
    mountpoint = options.mountpoint
  }

  var socketPath: String { options.runtimeFolder + "/shim.sock" }

  // MARK: Figures

  /// Nil before the mount is there.
  package var figures: ShimFigures? {
    guard let region, let ring else { return nil }
    var figures = ShimFigures(
      pid: process.flatMap { $0.isRunning ? $0.pid : nil } ?? 0, epoch: region.epoch, restarts: Int(clamping: max(region.epoch, 1) - 1),
      openHandles: opened.count, leases: leases?.count ?? 0, inHand: ring.inHand,
      hostile: ring.hostileCount &+ hostileHandles &+ hostileFrames,
      counters: region.counters)
    figures.state = failure != nil ? .failed : supervision?.active == nil ? .replacing : .serving
    figures.reason = failure
    figures.standbyPid = shims.first { $0 !== process && $0.isRunning }?.pid
    figures.lastOutageMilliseconds = region.outage == 0 ? nil : Double(region.outage) / 1e6
    return figures
  }

  package func trace() -> TraceFigures { region?.histograms() ?? [:] }

  /// How many reads took how long since the mount began, whoever answered them: buckets' upper bounds in nanoseconds, and counts. Nil before there is a mount.
  package func readTimes() -> (limits: [UInt64], counts: [UInt64])? { region.map { ($0.bucketLimits, $0.readCounts()) } }

  // MARK: Waiting

  /// Runs `body` on a worker thread and goes on here.
  func onWorker<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
      EventLoop.dispatch.background(body) { continuation.resume(returning: $0) }
    }
  }

  func pause(_ duration: Duration) async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      var timer: LoopTimer?
      timer = try? LoopTimer(on: EventLoop.dispatch) {
        timer?.close()
        timer = nil
        continuation.resume()
      }
      if let timer { timer.start(after: duration) } else { continuation.resume() }
    }
  }

  /// Waits until `condition` holds; false where it did not within the limit.
  func holds(within limit: Duration, _ condition: () -> Bool) async -> Bool {
    let deadline = SystemClock().now() + limit
    while !condition() {
      if SystemClock().now() >= deadline { return false }
      await pause(.milliseconds(2))
    }
    return true
  }

  /// Waits until the shim was reaped; false where it was not within the limit.
  func shimEnds(within limit: Duration) async -> Bool { await holds(within: limit) { process?.isRunning != true } }
}
