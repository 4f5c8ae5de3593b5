import CUV
import Core

/// Watches a descriptor for readiness. The descriptor stays the caller's and must outlive this; libuv makes it
/// non-blocking, so /dev/fuse, whose description all processes share, is never given to one. Its maker owns it, and it
/// is used on the loop's thread only.
package final class LoopPoll: LoopHandle<uv_poll_t> {
  package struct Events: OptionSet, Sendable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }
    package static let readable = Events(rawValue: Int32(UV_READABLE.rawValue))
    package static let writable = Events(rawValue: Int32(UV_WRITABLE.rawValue))
    /// Set in a callback where libuv reports an error instead of readiness.
    package static let failed = Events(rawValue: 1 << 30)
  }

  private let ready: (Events) -> Void

  package init(
    _ descriptor: Int32, on loop: EventLoop, file: StaticString = #fileID, line: UInt = #line,
    ready: @escaping (Events) -> Void
  ) throws(LoopError) {
    self.ready = ready
    try super.init(on: loop, from: (file, line)) { uv_poll_init(loop.loop, $0, descriptor) }
  }

  package func start(_ events: Events) {
    uv_poll_start(raw, events.rawValue) { @Sendable poll, status, events in
      guard let poll = owner(poll?.pointee.data, as: LoopPoll.self) else { return }
      poll.step { poll.ready(status < 0 ? .failed : Events(rawValue: events)) }
    }
  }

  package func stop() { uv_poll_stop(raw) }
}
