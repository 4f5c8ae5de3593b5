/// A network that changed, or a machine that slept: the connections of before are still open and nothing comes over
/// them any more. The state is `Hub`'s, behind its lock; a connection's thread waits here.
extension Hub {
  func makeSilent() {
    state.withLock { state in
      state.silences += 1
      state.wake()
    }
  }

  func isSilent(_ exchange: Exchange) -> Bool { state.withLock { $0.silences != exchange.silences } }

  /// Waits until the client closes the connection, or the simulator is reset.
  func silence(_ exchange: Exchange) -> Reply {
    let epoch = state.withLock { state in
      state.statistics.held += 1
      return state.epoch
    }
    defer { state.withLock { $0.statistics.held -= 1 } }
    while true {
      let (signal, isOver) = state.withLock { ($0.signal, $0.isStopping || $0.epoch != epoch) }
      if isOver || signal.wait(peer: exchange.socket, until: nil) == .peerGone { return .hangUp(reset: false) }
    }
  }
}
