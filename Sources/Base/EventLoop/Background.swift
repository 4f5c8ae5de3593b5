import CUV
import Glibc

/// Work that may wait for a disk. Each piece has a state of its own, which goes with its end.
extension EventLoop {
  /// Runs `body` on a worker thread of libuv's pool (four by default), where it may wait for a disk, then `then` on
  /// this loop. Call on the loop's thread.
  package func background<Result>(
    _ body: @escaping @Sendable () -> Result, file: StaticString = #fileID, line: UInt = #line,
    then: @escaping (Result) -> Void
  ) {
    preconditionOnLoop()
    let work = BackgroundWork(body: body) { [unowned self] result in step(file, line) { then(result) } }
    let request = UnsafeMutablePointer<uv_work_t>.allocate(capacity: 1)
    request.pointee.data = Unmanaged.passRetained(work as AnyBackgroundWork).toOpaque()
    uv_queue_work(
      loop, request,
      { @Sendable request in
        guard let data = request?.pointee.data else { return }
        Unmanaged<AnyBackgroundWork>.fromOpaque(data).takeUnretainedValue().perform()
      },
      { @Sendable request, _ in
        guard let request, let data = request.pointee.data else { return }
        request.deallocate()
        Unmanaged<AnyBackgroundWork>.fromOpaque(data).takeRetainedValue().finish()
      })
  }
}

private class AnyBackgroundWork {
  func perform() {}
  func finish() {}
}

/// One piece of work on its way: the pool's thread writes `result`, then libuv's own lock hands it to the loop's
/// thread.
private final class BackgroundWork<Result>: AnyBackgroundWork {
  private let body: @Sendable () -> Result
  private let then: (Result) -> Void
  private var result: Result?

  init(body: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void) {
    self.body = body
    self.then = then
  }

  override func perform() { result = body() }
  override func finish() { if let result { then(result) } }
}
