import CUV
import Core

/// A timer of a loop. Its closure runs on the loop's thread, in the isolation of the code that made it. Its maker owns
/// it, and it is used on the loop's thread only.
package final class LoopTimer: LoopHandle<uv_timer_t> {
  private let fire: () -> Void

  /// Not started; see `start`.
  package init(on loop: EventLoop, file: StaticString = #fileID, line: UInt = #line, fire: @escaping () -> Void)
    throws(LoopError)
  {
    self.fire = fire
    try super.init(on: loop, from: (file, line)) { uv_timer_init(loop.loop, $0) }
  }

  /// Fires once after `delay`, then every `period` where one is given. Starting again replaces the earlier start.
  package func start(after delay: Duration, every period: Duration? = nil) {
    // libuv measures from the loop's idea of now, which is as old as the callback that runs.
    uv_update_time(loop.loop)
    uv_timer_start(
      raw,
      { @Sendable timer in
        guard let timer = owner(timer?.pointee.data, as: LoopTimer.self) else { return }
        timer.step(timer.fire)
      }, delay.milliseconds, period?.milliseconds ?? 0)
  }

  package func stop() { uv_timer_stop(raw) }
}
