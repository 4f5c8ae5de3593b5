import Core
import Volume
import Wire

/// One mount: starts its shims or adopts those of a control plane that died, and ends all in order. The parts have the
/// state: `ShimFleet` the processes, `ShimLink` the orders, `Dispatch` the slots and open handles, `Leases` the lease
/// table, `Channel` what is shared.
///
/// Everything happens on the dispatch loop, most of it inside the doorbell's callback; what may wait (connecting,
/// mounting, unmounting, reading mountinfo) is done on worker threads in between. Each `Mount` of the control plane has
/// one, which owns the parts.
@DispatchLoop
package final class ShimHost {
  package struct Options: Sendable {
    /// The folder to mount on; made if missing.
    package var mountpoint: String
    /// The device name that `df` shows.
    package var fsname: String
    /// The file system's type after `fuse.`.
    package var subtype = "fsmvp"
    /// The folder of the link's socket; the caller holds its lock.
    package var runtimeFolder: String
    /// The program.
    package var shimPath: String
    /// Folders of backing files, by the numbers leases use; they stay the caller's.
    package var roots: [Int32]
    /// The mount's window (`WindowFile`), which is the root after these; it stays the caller's. Nil: the mount has
    /// none.
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
    /// The kernel lets other users in, too, by the permission bits of files. Without privilege /etc/fuse.conf has to
    /// allow it.
    package var allowOther = false
    /// Tells this volume from others that are mounted by the same program: shims that serve another one are not
    /// adopted. Not 0.
    package var volumeID: UInt64

    package init(
      mountpoint: String, fsname: String, runtimeFolder: String, shimPath: String, roots: [Int32], volumeID: UInt64
    ) {
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

  enum Phase {
    case idle
    case starting(Start)
    case serving(Mounted)
    /// There is nothing left to serve, for that reason; the channel as long as the end of the connection needs it.
    case failed(String, Mounted?)
    case stopping(Channel?)
    case ended
  }

  /// The parts that a start under way has made so far, for a stop that comes in between.
  @DispatchLoop
  final class Start {
    let greeter = Greeter()
    /// The path where the mount is to be or, if it was adopted, is; see `locate`.
    fileprivate(set) var path: String
    var isListening = false
    var channel: Channel?
    /// Whether a mount is there: an adopted one, or as far as it was seen.
    var isMounted = false
    /// Once it was seen, with all that belongs to it.
    var mounted: Mounted? { didSet { isMounted = true } }
    /// Why the shim is not trusted any more.
    var distrust: String?
    init(path: String) { self.path = path }
  }

  let options: Options
  let volume: any Volume
  let fleet = ShimFleet()
  let link: ShimLink
  /// The turns of commands about the shims: one runs at a time.
  let commands = Turns()
  /// Called once, where the mount has gone while it was in use; the sentence says what happened. Then: `stop`. Shims
  /// that end are replaced without it; where that is given up, `figures` say so.
  package var onShimEnd: ((String) -> Void)?

  private(set) var phase = Phase.idle
  /// Whether the shims listen on a socket that has no name any more: `restoreSocket` alone changes it.
  var owesSocket = false
  /// Absolute and free of links, once known.
  package private(set) var mountpoint: String
  /// The region stays known after the mount, for its status.
  private var region: Region?

  package init(options: Options, volume: any Volume) {
    self.options = options
    self.volume = volume
    mountpoint = options.mountpoint
    link = ShimLink(path: options.runtimeFolder + "/shim.sock")
    fleet.belong(to: self)
    link.onGarbage = { [weak self] in self?.distrust($0, $1) }
    link.onEnd = { [weak self] in self?.linkEnded($0) }
  }

  var socketPath: String { options.runtimeFolder + "/shim.sock" }

  func enter(_ next: Phase) {
    phase = next
    if let channel { region = channel.region }
  }

  /// The start under way has found out where its mount is to be or, if it adopts one, is.
  func locate(_ start: Start, at path: String) {
    start.path = path
    mountpoint = path
  }

  /// The resources shared with the shims; nil before the first hello, and once they are closed.
  var channel: Channel? {
    switch phase {
    case .idle, .ended: nil
    case .starting(let start): start.channel
    case .serving(let mounted): mounted.channel
    case .failed(_, let mounted): mounted?.channel
    case .stopping(let channel): channel
    }
  }

  // MARK: Status

  /// Nil before the mount is there.
  package var figures: ShimFigures? {
    if let channel { region = channel.region }
    guard let region else { return nil }
    let dispatch = channel?.dispatch
    var figures = ShimFigures(
      pid: fleet.current.flatMap { $0.isRunning ? $0.pid : nil } ?? 0, epoch: region.epoch,
      restarts: Int(clamping: max(region.epoch, 1) - 1), openHandles: dispatch?.openHandles ?? 0,
      leases: channel?.leases.count ?? 0,
      inHand: dispatch?.inHand ?? 0, hostile: (dispatch?.hostileCount ?? 0) &+ link.hostileFrames,
      counters: region.counters)
    figures.state = fleet.active == nil ? .replacing : .serving
    figures.reason = fleet.supervision?.shortage
    if case .failed(let reason, _) = phase { (figures.state, figures.reason) = (.failed, reason) }
    figures.standbyPid = fleet.standbyPid
    figures.lastOutageMilliseconds = region.outage == 0 ? nil : Double(region.outage) / 1e6
    return figures
  }

  package func trace() -> TraceFigures { region?.histograms() ?? [:] }

  /// Counts of reads by their duration since the mount began, whether shim or volume answered: buckets' upper bounds in
  /// nanoseconds, and counts. Nil before there is a mount.
  package func readTimes() -> (limits: [UInt64], counts: [UInt64])? {
    region.map { ($0.bucketLimits, $0.readCounts()) }
  }

  /// The log's level has changed: the shim that serves is told, and each one after it.
  package func logLevelChanged() { link.sayLevel() }
}
