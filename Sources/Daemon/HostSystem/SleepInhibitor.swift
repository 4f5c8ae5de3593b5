import Core
import EventLoop
import Glibc
import Telemetry

/// Keeps the machine from going to sleep while files are open, by an inhibitor of systemd's logind. That is a
/// descriptor, so any end of this process returns it.
///
/// Files are opened and closed in callbacks of the kernel's requests, which only `note`. Everything else happens in a
/// later turn of the loop. `ControlPlane` owns this object, on the dispatch loop, and the object owns logind's
/// descriptor.
@DispatchLoop
package final class SleepInhibitor {
  private var plan = SleepPlan()
  private let isBusy: () -> Bool
  private var wasBusy = false
  private var isNoted = false
  private var call: LogindCall?
  private var lock: Int32?
  private lazy var timer = try? LoopTimer(on: .dispatch) { [weak self] in
    DispatchLoop.assumeIsolated { self?.take(.timer) }
  }
  /// Told once, not at every attempt.
  private var hasComplained = false

  /// - Parameter isBusy: whether a file is open, now.
  package init(isBusy: @escaping () -> Bool) { self.isBusy = isBusy }

  package var isHeld: Bool { plan.isHeld }

  /// Something was opened or closed. From inside anything: does nothing yet.
  package func note() {
    guard !isNoted else { return }
    isNoted = true
    DispatchLoop.post { [weak self] in self?.look() }
  }

  private func look() {
    isNoted = false
    let busy = isBusy()
    guard busy != wasBusy else {
      // Opened and closed again within a turn: a look at the file, no use of it.
      return
    }
    wasBusy = busy
    take(busy ? .busy : .idle)
  }

  private func take(_ event: SleepPlan.Event) {
    switch plan.take(event, at: SystemClock().now()) {
    case .ask: ask()
    case .release: release()
    case nil: break
    }
    guard let deadline = plan.deadline else { return timer?.stop() ?? () }
    timer?.start(after: max(.zero, deadline - SystemClock().now()))
  }

  private func ask() {
    call = LogindCall(
      what: "sleep:idle", who: "FuseStream", why: "a file is being uploaded", mode: "block"
    ) { [weak self] result in
      guard let self else { return }
      call = nil
      switch result {
      case .success(let descriptor):
        lock = descriptor
        hasComplained = false
        Log.debug(.sleepHeldOff)
        take(.granted)
      case .failure(let failure):
        if !hasComplained { Log.info(.sleepNotHeldOff, ["cause": failure.reason]) }
        hasComplained = true
        take(.failed)
      }
    }
  }

  private func release() {
    guard let lock else { return }
    close(lock)
    self.lock = nil
    Log.debug(.sleepAllowed)
  }
}
