import CWire
import Glibc
import Synchronization

/// Pid and start time of processes, as the region has them. Its only state is the number of this process, behind a
/// lock, for any thread.
enum ProcessIdentity {
  private static let own = Mutex<UInt64>(0)

  /// The identity of this process is read once, at the first hello: later there may be no descriptor for /proc, and 0
  /// in the region would tell the shims that they have no control plane.
  static func of(_ pid: Int32) -> UInt64 {
    guard pid == getpid() else { return fsmvp_process_id(pid) }
    return own.withLock { own in
      // Another one after a fork, which tests do.
      if Int32(truncatingIfNeeded: fsmvp_low(own)) != pid { own = fsmvp_process_id(pid) }
      return own
    }
  }
}
