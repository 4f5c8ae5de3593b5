import CUV

/// Takes a signal as an event of the loop.
package final class LoopSignal: LoopHandle<uv_signal_t> {
  private let arrived: () -> Void

  package init(_ number: Int32, on loop: EventLoop, arrived: @escaping () -> Void) throws(LoopError) {
    self.arrived = arrived
    try super.init(on: loop) { uv_signal_init(loop.loop, $0) }
    uv_signal_start(raw, { @Sendable signal, _ in owner(signal?.pointee.data, as: LoopSignal.self)?.arrived() }, number)
  }
}
