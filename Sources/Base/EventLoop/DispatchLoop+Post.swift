import Core

/// The ways from any thread to a loop, and from the dispatch loop to a worker and back; there is no state here.
extension DispatchLoop {
  /// Runs `work` in this domain, after what was posted before from the same thread.
  package nonisolated static func post(
    file: StaticString = #fileID, line: UInt = #line, _ work: @escaping @DispatchLoop @Sendable () -> Void
  ) {
    EventLoop.dispatch.post(file: file, line: line) { assumeIsolated(work) }
  }
}

extension TransferLoop {
  /// The counterpart of `DispatchLoop.post`.
  package nonisolated static func post(
    file: StaticString = #fileID, line: UInt = #line, _ work: @escaping @TransferLoop @Sendable () -> Void
  ) {
    EventLoop.transfer.post(file: file, line: line) { assumeIsolated(work) }
  }
}

/// Runs `body` on a worker thread of libuv's pool, where it may wait for a disk, and goes on here.
@DispatchLoop
package func onWorker<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
  await withCheckedContinuation { continuation in
    EventLoop.dispatch.background(body) { continuation.resume(returning: $0) }
  }
}
