import CUV

/// Takes a signal as an event of the loop. Its maker owns it, and it is used on the loop's thread only.
package final class LoopSignal: LoopHandle<uv_signal_t> {
  private let arrived: () -> Void

  package init(
    _ number: Int32, on loop: EventLoop, file: StaticString = #fileID, line: UInt = #line, arrived: @escaping () -> Void
  ) throws(LoopError) {
    self.arrived = arrived
    try super.init(on: loop, from: (file, line)) { uv_signal_init(loop.loop, $0) }
    let status = uv_signal_start(
      raw,
      { @Sendable signal, _ in
        guard let signal = owner(signal?.pointee.data, as: LoopSignal.self) else { return }
        signal.step(signal.arrived)
      }, number)
    guard status == 0 else { throw LoopError(code: status) }
  }
}
