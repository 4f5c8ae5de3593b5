import ControlClient
import Core
import Glibc
import Settings

/// The process that holds a runtime folder's lock, asked whether it still answers. It is a value of a start that found
/// the lock taken; since its question waits for an answer, it is asked before the loops start.
struct LockHolder {
  /// A control plane at work answers at once.
  static let patience: Duration = .seconds(2)

  /// Nil: neither the file `lock` nor the kernel says it.
  let pid: Int32?
  let runtime: String

  init(runtime: String) {
    self.runtime = runtime
    pid = RuntimeHolder.pid(of: runtime)
  }

  /// It died while it started a program, which has the lock until it runs.
  var isGone: Bool { pid.map { kill($0, 0) != 0 && errno == ESRCH } ?? false }

  /// Why there is no second control plane, and what to do. Asks it, so it may take two seconds.
  var sentence: String {
    if answers {
      return "a control plane runs already on \(runtime) (pid \(name)); use it, end it with `fsmvp stop`, "
        + "or set FSMVP_RUNTIME_DIR, FSMVP_STATE_DIR and FSMVP_MOUNTPOINT for a second one"
    }
    if isGone {
      return "a process that a dead control plane (pid \(name)) started holds \(runtime); end it (`fuser \(runtime)`)"
    }
    return
      "a control plane (pid \(name)) holds \(runtime) but does not answer: it hangs or is stopped; `kill -CONT "
      + "\(name)` lets it go on, "
      + "`kill -9 \(name)` ends it and the next `fsmvp run` takes over; uploads go on meanwhile"
  }

  private var name: String { pid.map(String.init) ?? "unknown" }

  /// Whether the holder answers within two seconds. A control plane that starts or replaces itself may have no socket
  /// yet, so the question is repeated until then.
  private var answers: Bool {
    guard var client = try? SocketClient(socket: Settings.apiSocket(runtimeFolder: runtime)) else { return false }
    let deadline = SystemClock().now() + Self.patience
    while true {
      let left = deadline - SystemClock().now()
      guard left > .zero else { return false }
      client.patience = left
      if client.isAnswered() { return true }
      usleep(50_000)
    }
  }
}
