import CLinux
import CWire
import Core
import EventLoop
import Glibc
import Wire

/// A shim that runs: our child, or one that another control plane started and that is watched by a pidfd. Either way a signal reaches that process
/// and never one that got its number later.
@DispatchLoop
final class ShimProcess {
  typealias End = LoopProcess.End

  let pid: Int32
  /// Pid and start time, as the region names it.
  let who: UInt64
  /// Nil while it runs.
  private(set) var end: End?
  var isRunning: Bool { end == nil }

  private var child: LoopProcess?
  private var pidfd: OwnedDescriptor?
  private var watch: LoopPoll?
  private var ended: ((ShimProcess) -> Void)?

  /// - Parameters:
  ///   - descriptors: the child's 3, 4, 5 ...
  ///   - ended: once, on the loop, after the child was reaped.
  init(
    _ path: String, arguments: [String], descriptors: [Int32], ended: @escaping (ShimProcess) -> Void
  ) throws(LoopError) {
    // The child's end comes by the loop, so never before this has returned.
    let this = Later()
    let child = try LoopProcess(path, arguments: arguments, descriptors: descriptors, on: EventLoop.dispatch) { end in
      DispatchLoop.assumeIsolated { this.process?.finish(end) }
    }
    self.child = child
    self.ended = ended
    pid = child.pid
    // Also of one that has ended already: its end is told later, with how it came.
    who = fsmvp_process_started(child.pid)
    this.process = self
  }

  private final class Later { weak var process: ShimProcess? }

  /// Watches a process that runs already. One that does not is reported as ended in the loop's next turn.
  init(adopting who: UInt64, ended: @escaping (ShimProcess) -> Void) {
    self.who = who
    self.ended = ended
    pid = Int32(truncatingIfNeeded: who & 0xffff_ffff)
    let descriptor = clinux_pidfd_open(pid)
    if descriptor >= 0 {
      let pidfd = OwnedDescriptor(descriptor)
      // Looked at after the descriptor was had: from here on its number is not given to another.
      if Hello.isAlive(who), let watch = try? LoopPoll(descriptor, on: EventLoop.dispatch, ready: { [weak self] _ in self?.reap() }) {
        self.pidfd = pidfd
        self.watch = watch
        watch.start(.readable)
        return
      }
    }
    EventLoop.dispatch.post { [weak self] in DispatchLoop.assumeIsolated { self?.finish(.unknown) } }
  }

  /// Whether that number, which another process wrote, is a living process that we may signal: not ourselves, and no other user's.
  nonisolated static func mayBeShim(_ who: UInt64) -> Bool {
    let pid = Int32(truncatingIfNeeded: who & 0xffff_ffff)
    var status = stat()
    return pid > 1 && pid != getpid() && Hello.isAlive(who) && stat("/proc/\(pid)", &status) == 0 && status.st_uid == geteuid()
  }

  func kill(_ signal: Int32) {
    guard isRunning else { return }
    child?.kill(signal)
    if let pidfd { _ = clinux_pidfd_signal(pidfd.number, signal) }
  }

  private func reap() {
    guard let pidfd else { return }
    var code: Int32 = 0
    var signal: Int32 = 0
    // Ours after an exec in place: the loop that spawned it is gone, and nobody else takes its end from the kernel.
    let isOurs = clinux_pidfd_reap(pidfd.number, &code, &signal) == 0
    finish(!isOurs ? .unknown : signal != 0 ? .signalled(signal) : .exited(code))
  }

  private func finish(_ end: End) {
    guard isRunning else { return }
    self.end = end
    watch?.close()
    watch = nil
    pidfd = nil
    let ended = ended
    self.ended = nil
    ended?(self)
  }
}
