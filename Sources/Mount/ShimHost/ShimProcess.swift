import CLinux
import CWire
import Core
import EventLoop
import Glibc
import Wire

/// A shim that runs: our child, or one that another control plane started and that is watched by a pidfd. Either way a
/// signal reaches that process and never one that got its number later. `ShimFleet` owns it, on the dispatch loop; it
/// touches the process and its pidfd and nothing of the mount.
@DispatchLoop
final class ShimProcess {
  typealias End = LoopProcess.End

  let pid: Int32
  /// Pid and start time, as the region names it.
  let identity: UInt64
  /// Nil while it runs.
  private(set) var end: End?
  var isRunning: Bool { end == nil }

  private var child: LoopProcess?
  private var pidfd: OwnedDescriptor?
  private var watch: LoopPoll?
  private var retry: LoopTimer?
  private var ended: ((ShimProcess) -> Void)?

  /// - Parameters:
  ///   - descriptors: the child's 3, 4, 5 ...
  ///   - ended: once, on the loop, after the child was reaped.
  init(
    _ path: String, arguments: [String], descriptors: [Int32], ended: @escaping (ShimProcess) -> Void
  ) throws(LoopError) {
    // The child's end comes by the loop, so never before this has returned.
    let this = Later()
    let child = try Greeter.spares.call(\.code) { () throws(LoopError) in
      try LoopProcess(path, arguments: arguments, descriptors: descriptors, on: EventLoop.dispatch) { end in
        DispatchLoop.assumeIsolated {
          this.process?.finish(end)
          this.unknown = nil
        }
      }
    }
    self.child = child
    self.ended = ended
    pid = child.pid
    // Also of one that has ended already: its end is told later, with how it came.
    var started: UInt64 = 0
    _ = Greeter.spares.call {
      errno = 0
      started = fsmvp_process_started(child.pid)
      return started != 0 ? 0 : -1
    }
    identity = started
    guard identity != 0 else {
      // A shim that cannot be recognised in the region is of no use, and it is not its fault.
      child.kill(SIGKILL)
      this.unknown = child
      throw LoopError(code: -EMFILE)
    }
    this.process = self
  }

  private final class Later {
    weak var process: ShimProcess?
    /// A child that is of no use, until it was reaped.
    var unknown: LoopProcess?
  }

  /// Watches a process that runs already; one that has ended is reported in the loop's next turn.
  init(adopting identity: UInt64, ended: @escaping (ShimProcess) -> Void) {
    self.identity = identity
    self.ended = ended
    pid = Int32(truncatingIfNeeded: identity & 0xffff_ffff)
    watchEnd()
  }

  /// Watches it by a pidfd. If there is none to be had for now, it is looked at again soon: that is no death.
  private func watchEnd() {
    let descriptor = Greeter.spares.call { clinux_pidfd_open(pid) }
    if descriptor >= 0 {
      let pidfd = OwnedDescriptor(descriptor)
      // Looked at after the descriptor was had: from here on its number is not given to another.
      if Hello.isAlive(identity),
        let watch = try? LoopPoll(descriptor, on: EventLoop.dispatch, ready: { [weak self] _ in self?.reap() })
      {
        self.pidfd = pidfd
        self.watch = watch
        watch.start(.readable)
        return
      }
    }
    guard Hello.isAlive(identity) else {
      DispatchLoop.post { [weak self] in self?.finish(.unknown) }
      return
    }
    retry = try? LoopTimer(on: EventLoop.dispatch) { [weak self] in
      self?.retry?.close()
      self?.retry = nil
      self?.watchEnd()
    }
    retry?.start(after: .milliseconds(100))
  }

  /// Whether that number, which another process wrote, is a living process that we may signal: not ourselves, and no
  /// other user's.
  nonisolated static func mayBeShim(_ identity: UInt64) -> Bool {
    let pid = Int32(truncatingIfNeeded: identity & 0xffff_ffff)
    var status = stat()
    return pid > 1 && pid != getpid() && Hello.isAlive(identity) && stat("/proc/\(pid)", &status) == 0
      && status.st_uid == geteuid()
  }

  func kill(_ signal: Int32) {
    guard isRunning else { return }
    child?.kill(signal)
    if let pidfd {
      _ = clinux_pidfd_signal(pidfd.number, signal)
    } else if child == nil, Hello.isAlive(identity) {
      // While no pidfd is to be had; the number was looked at a moment ago.
      _ = Glibc.kill(pid, signal)
    }
  }

  private func reap() {
    guard let pidfd else { return }
    var code: Int32 = 0
    var signal: Int32 = 0
    // Our child after an exec in place: the loop that spawned it is gone, so no other code takes its end from the
    // kernel.
    let isOurs = clinux_pidfd_reap(pidfd.number, &code, &signal) == 0
    finish(!isOurs ? .unknown : signal != 0 ? .signalled(signal) : .exited(code))
  }

  private func finish(_ end: End) {
    guard isRunning else { return }
    self.end = end
    watch?.close()
    watch = nil
    retry?.close()
    retry = nil
    pidfd = nil
    let ended = ended
    self.ended = nil
    ended?(self)
  }
}
