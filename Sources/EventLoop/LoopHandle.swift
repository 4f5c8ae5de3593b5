import CUV
import Glibc

/// A libuv handle that lives until libuv has closed it, and the Swift object its callbacks belong to. The base of timers, polls, signals, pipes.
/// Used on the loop's thread only. `close()` ends the callbacks; forgetting the object does the same.
package class LoopHandle<Handle> {
  package let loop: EventLoop
  let raw: UnsafeMutablePointer<Handle>
  private var isOpen = false

  init(on loop: EventLoop, initialize: (UnsafeMutablePointer<Handle>) -> Int32) throws(LoopError) {
    loop.preconditionOnLoop()
    self.loop = loop
    raw = .allocate(capacity: 1)
    memset(raw, 0, MemoryLayout<Handle>.size)
    let status = initialize(raw)
    guard status == 0 else {
      // uv_spawn fails after it has put the handle into the loop's list: freed there, it would corrupt its neighbours.
      if base.pointee.loop == nil {
        raw.deallocate()
      } else {
        uv_close(base) { @Sendable handle in UnsafeMutableRawPointer(handle)?.deallocate() }
      }
      throw LoopError(code: status)
    }
    isOpen = true
    base.pointee.data = Unmanaged.passUnretained(self).toOpaque()
  }

  /// Every libuv handle begins with the fields of uv_handle_t.
  var base: UnsafeMutablePointer<uv_handle_t> { UnsafeMutableRawPointer(raw).assumingMemoryBound(to: uv_handle_t.self) }

  package func close() {
    guard isOpen else { return }
    isOpen = false
    base.pointee.data = nil
    uv_close(base) { @Sendable handle in UnsafeMutableRawPointer(handle)?.deallocate() }
  }

  deinit {
    guard isOpen else { return }
    // A handle is closed on its loop; the last reference may have gone elsewhere.
    nonisolated(unsafe) let handle = base
    handle.pointee.data = nil
    let end: @Sendable () -> Void = {
      uv_close(handle) { @Sendable handle in UnsafeMutableRawPointer(handle)?.deallocate() }
    }
    if loop.isCurrent { end() } else { loop.post(end) }
  }
}

/// What libuv refused, as its negative errno.
package struct LoopError: Error, Sendable, CustomStringConvertible {
  package let code: Int32
  package init(code: Int32) { self.code = code }
  package var description: String { String(cString: uv_strerror(code)) }
}

/// The Swift object of a callback's handle; nil once it was closed.
func owner<T: AnyObject>(_ data: UnsafeMutableRawPointer?, as type: T.Type) -> T? {
  data.map { Unmanaged<T>.fromOpaque($0).takeUnretainedValue() }
}
