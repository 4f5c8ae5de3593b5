import Core
import EventLoop

/// Calls once after a time, unless it is stopped or started again. An alarm belongs to the object that made it, on the
/// dispatch loop; it touches a timer of the loop and nothing else.
@DispatchLoop
package protocol Alarm: AnyObject {
  func start(after delay: Duration)
  func stop()
}

@DispatchLoop
package final class LoopAlarm: Alarm {
  private let timer: LoopTimer?
  /// libuv's timers cannot fail to be made.
  package init(_ ring: @escaping @DispatchLoop () -> Void) { timer = try? LoopTimer(on: .dispatch) { ring() } }
  package func start(after delay: Duration) { timer?.start(after: delay) }
  package func stop() { timer?.stop() }
}

/// Waits for `start`'s callback, or for `limit` to pass.
/// - Returns: false where the time was over first.
@DispatchLoop
package func wait(
  atMost limit: Duration, _ alarm: @DispatchLoop (@escaping @DispatchLoop () -> Void) -> any Alarm,
  for start: (@escaping @DispatchLoop () -> Void) -> Void
) async -> Bool {
  await withCheckedContinuation { continuation in
    let once = Once(continuation)
    once.alarm = alarm { once.resume(false) }
    once.alarm?.start(after: limit)
    start { once.resume(true) }
  }
}

/// Resumes a continuation the first time only, and lets go of its alarm then.
@DispatchLoop
private final class Once {
  private var continuation: CheckedContinuation<Bool, Never>?
  var alarm: (any Alarm)?
  init(_ continuation: CheckedContinuation<Bool, Never>) { self.continuation = continuation }
  func resume(_ value: Bool) {
    alarm?.stop()
    alarm = nil
    continuation?.resume(returning: value)
    continuation = nil
  }
}
