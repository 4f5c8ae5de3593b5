import CUV
import Core
import Glibc

/// A connected Unix stream socket on a loop: bytes in, bytes out, and the end. It owns the descriptor. Its maker owns
/// it, and it is used on the loop's thread only.
package final class LoopPipe: LoopHandle<uv_pipe_t> {
  private let received: (UnsafeRawBufferPointer) -> Void
  private let ended: () -> Void

  /// The descriptor is this object's from the call on, also if it throws.
  /// - Parameters:
  ///   - received: bytes as they come, valid during the call.
  ///   - ended: once, at end of file or on an error; close the pipe there.
  package init(
    descriptor: Int32, on loop: EventLoop, file: StaticString = #fileID, line: UInt = #line,
    received: @escaping (UnsafeRawBufferPointer) -> Void, ended: @escaping () -> Void
  ) throws(LoopError) {
    self.received = received
    self.ended = ended
    try super.init(on: loop, from: (file, line)) { uv_pipe_init(loop.loop, $0, 0) }
    let opened = uv_pipe_open(raw, descriptor)
    guard opened == 0 else {
      Glibc.close(descriptor)
      throw LoopError(code: opened)
    }
    let reading = uv_read_start(
      stream,
      { @Sendable _, suggested, buffer in
        buffer?.pointee = uv_buf_init(.allocate(capacity: min(suggested, 16384)), UInt32(min(suggested, 16384)))
      },
      { @Sendable stream, count, buffer in
        defer { buffer?.pointee.base?.deallocate() }
        guard let pipe = owner(stream?.pointee.data, as: LoopPipe.self) else { return }
        pipe.step {
          if count > 0, let base = buffer?.pointee.base {
            pipe.received(UnsafeRawBufferPointer(start: base, count: count))
          } else if count < 0 {
            uv_read_stop(stream)
            pipe.ended()
          }
        }
      })
    // The handle has the descriptor by now and closes it.
    guard reading == 0 else { throw LoopError(code: reading) }
  }

  private var stream: UnsafeMutablePointer<uv_stream_t> {
    UnsafeMutableRawPointer(raw).assumingMemoryBound(to: uv_stream_t.self)
  }

  /// Queues the bytes; a failed write shows as the end of the pipe.
  package func write(_ bytes: [UInt8]) {
    let count = bytes.count
    let copy = UnsafeMutablePointer<CChar>.allocate(capacity: count)
    UnsafeMutableRawPointer(copy).copyMemory(from: bytes, byteCount: count)
    let request = UnsafeMutablePointer<uv_write_t>.allocate(capacity: 1)
    request.pointee.data = UnsafeMutableRawPointer(copy)
    var buffer = uv_buf_init(copy, UInt32(count))
    let status = uv_write(request, stream, &buffer, 1) { @Sendable request, _ in
      request?.pointee.data?.deallocate()
      request?.deallocate()
    }
    if status != 0 {
      copy.deallocate()
      request.deallocate()
    }
  }
}
