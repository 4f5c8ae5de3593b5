import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

/// Starts the shim of one mount, serves its slots from a volume, and ends both in order.
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
    /// The shim's threads that read requests.
    package var workers = 2
    /// How long the shim may take to mount.
    package var startLimit = Duration.seconds(15)
    /// Whether a second shim waits beside the active one.
    package var standby = true
    /// A shim that does nothing for so long with requests in its hands is taken for hung.
    package var shimTimeout = Duration.seconds(5)
    /// How long shims without a control plane keep readers waiting for the next one.
    package var orphanTimeout = Duration.seconds(600)

    package init(mountpoint: String, fsname: String, runtimeFolder: String, shimPath: String, roots: [Int32]) {
      self.mountpoint = mountpoint
      self.fsname = fsname
      self.runtimeFolder = runtimeFolder
      self.shimPath = shimPath
      self.roots = roots
    }
  }

  enum Phase { case idle, starting, serving, failed, stopping, ended }

  let options: Options
  let volume: any Volume
  /// Called once, where the shim ends or is no longer trusted while the mount is in use; the sentence says what happened. Then: `stop`.
  package var onShimEnd: ((String) -> Void)?

  var phase = Phase.idle
  /// Absolute and free of links, once known.
  package internal(set) var mountpoint: String
  var isMounted = false
  var connection: UInt64 = 0
  var process: LoopProcess?
  var processEnd: LoopProcess.End?
  /// Why the shim is not trusted or there any more.
  var failure: String?
  var listening: OwnedDescriptor?
  /// The link's socket, until the pipe has it.
  var greetingSocket: OwnedDescriptor?
  var link: LoopPipe?
  var reader = FrameReader()
  var orders = OrderBook()
  var device: OwnedDescriptor?
  var bell: Doorbell?
  var bellPoll: LoopPoll?

  var region: Region?
  var ring: SlotRing?
  var rows: HandleRows?
  var leases: LeaseTable?
  var releasedSeen: UInt64 = 0
  /// Handles told to the volume as open, and not yet as released.
  var opened: [HandleID: NodeID] = [:]
  /// Directories above directories, as LOOKUP came by them; for the entry `..`.
  var parents: [NodeID: NodeID] = [:]
  /// Frames and handles out of range; those of slots are counted by the ring.
  var hostileCount: UInt64 = 0
  var isHostileLogged = false
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
    return ShimFigures(
      pid: process?.pid ?? 0, epoch: region.epoch, restarts: Int(clamping: max(region.epoch, 1) - 1), openHandles: opened.count,
      leases: leases?.count ?? 0, inHand: ring.inHand, hostile: ring.hostileCount &+ hostileCount, counters: region.counters)
  }

  package func trace() -> TraceFigures { region?.histograms() ?? [:] }

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

  /// Waits until the shim was reaped; false where it was not within the limit.
  func shimEnds(within limit: Duration) async -> Bool {
    let deadline = SystemClock().now() + limit
    while let process, process.isRunning {
      if SystemClock().now() >= deadline { return false }
      await pause(.milliseconds(2))
    }
    return true
  }
}
