import CSystemd
import Core
import EventLoop
import Glibc

/// Tells the service manager (systemd), if there is one, that the instance is ready, how it stands, and that the
/// dispatch loop turns. `ControlPlane` owns it; it runs on the dispatch loop and writes to the manager's socket alone.
@DispatchLoop
package final class ServiceNotifier {
  /// How often it is looked whether the line of `systemctl status` has changed.
  private static let statusPeriod: Duration = .seconds(1)

  private let isWanted = getenv("NOTIFY_SOCKET") != nil
  private var status: () -> String? = { nil }
  private var shown: String?
  private var timers: [LoopTimer] = []

  package init() {}

  /// Signs of life from now on, by timers of this loop: one that hangs gives none. The status follows once it is ready.
  package func start(status: @escaping () -> String?) {
    guard isWanted else { return }
    self.status = status
    let interval = Duration.microseconds(Int64(clamping: csystemd_watchdog()))
    guard interval > .zero else { return }
    csystemd_notify("WATCHDOG=1")
    every(interval / 2) { csystemd_notify("WATCHDOG=1") }
  }

  package func ready() {
    guard isWanted else { return }
    let isFirst = shown == nil
    shown = status() ?? ""
    csystemd_notify("READY=1\nSTATUS=" + (shown ?? ""))
    if isFirst { every(Self.statusPeriod) { [weak self] in self?.tellStatus() } }
  }

  /// READY follows, from the next image or from this one. The clock is what newer managers ask for.
  package func reloading() {
    guard isWanted else { return }
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    csystemd_notify("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)\nSTATUS=reloading")
  }

  package func stopping() {
    guard isWanted else { return }
    csystemd_notify("STOPPING=1\nSTATUS=unmounting")
    // The watchdog's goes on: a stop that hangs is to be noticed.
    shown = nil
    status = { nil }
  }

  private func tellStatus() {
    guard let text = status(), text != shown else { return }
    shown = text
    csystemd_notify("STATUS=\(text.replacing("\n", with: " "))")
  }

  private func every(_ period: Duration, _ work: @escaping () -> Void) {
    guard let timer = try? LoopTimer(on: .dispatch, fire: work) else { return }
    timer.start(after: period, every: period)
    timers.append(timer)
  }
}
