import CUV
import Glibc

/// A libuv handle that lives until libuv has closed it, and the Swift object its callbacks belong to. The base of
/// timers, polls, signals, pipes. Used on the loop's thread only. `close()` ends the callbacks; forgetting the object,
/// on whichever thread, does the same. Its maker owns it.
package class LoopHandle<Handle> {
  package let loop: EventLoop
  let raw: UnsafeMutablePointer<Handle>
  private let anchor: HandleAnchor
  /// The place in the source that made it; it names the steps of its callbacks.
  private let location: (file: StaticString, line: UInt)

  init(
    on loop: EventLoop, from location: (file: StaticString, line: UInt),
    initialize: (UnsafeMutablePointer<Handle>) -> Int32
  )
    throws(LoopError)
  {
    loop.preconditionOnLoop()
    self.loop = loop
    self.location = location
    raw = .allocate(capacity: 1)
    memset(raw, 0, MemoryLayout<Handle>.size)
    // Every libuv handle begins with the fields of uv_handle_t.
    let base = UnsafeMutableRawPointer(raw).assumingMemoryBound(to: uv_handle_t.self)
    let status = initialize(raw)
    guard status == 0 else {
      // libuv may have put the handle into the loop's list before it failed; freed there, the handle would corrupt its
      // neighbours.
      if base.pointee.loop == nil {
        raw.deallocate()
      } else {
        uv_close(base) { @Sendable handle in UnsafeMutableRawPointer(handle)?.deallocate() }
      }
      throw LoopError(code: status)
    }
    anchor = HandleAnchor(base)
    anchor.owner = self
  }

  /// Runs the callback's work as a step of the loop.
  @inline(__always) func step(_ body: () -> Void) { loop.step(location.file, location.line, body) }

  package func close() {
    loop.preconditionOnLoop()
    anchor.end()
  }

  deinit {
    // The last reference may go on any thread; the handle is touched on its loop's alone.
    if loop.isCurrent {
      anchor.end()
    } else {
      nonisolated(unsafe) let anchor = anchor
      loop.post { anchor.end() }
    }
  }
}

/// The object that a libuv handle's `data` points to, from the handle's start until libuv has closed it. Callbacks find
/// the Swift object through it and get nothing if that is gone: a weak reference may be read while the object's last
/// reference goes on another thread, a bare pointer may not.
final class HandleAnchor {
  weak var owner: AnyObject?
  private let base: UnsafeMutablePointer<uv_handle_t>
  private var isOpen = true

  init(_ base: UnsafeMutablePointer<uv_handle_t>) {
    self.base = base
    base.pointee.data = Unmanaged.passRetained(self).toOpaque()
  }

  /// Closes the handle; it is freed when libuv has let go of it. On the loop's thread.
  func end() {
    guard isOpen else { return }
    isOpen = false
    owner = nil
    uv_close(base) { @Sendable handle in
      if let data = handle?.pointee.data { Unmanaged<HandleAnchor>.fromOpaque(data).release() }
      UnsafeMutableRawPointer(handle)?.deallocate()
    }
  }
}

/// An error of libuv, as its negative errno.
package struct LoopError: Error, Equatable, Sendable, CustomStringConvertible {
  package let code: Int32
  package init(code: Int32) { self.code = code }
  package var description: String { String(cString: uv_strerror(code)) }
}

/// The Swift object of a callback's handle; nil once it was closed or forgotten.
func owner<T: AnyObject>(_ data: UnsafeMutableRawPointer?, as type: T.Type) -> T? {
  data.flatMap { Unmanaged<HandleAnchor>.fromOpaque($0).takeUnretainedValue().owner as? T }
}
