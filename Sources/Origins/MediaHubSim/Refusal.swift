import Core

/// Whether the storage can be reached. It is a value in `Hub.State`, behind the hub's lock.
enum Refusal: Sendable {
  case off, on
  case until(Moment)

  func isOn(at now: Moment) -> Bool {
    switch self {
    case .off: false
    case .on: true
    case .until(let end): now < end
    }
  }

  /// When it ends by itself.
  var end: Moment? { if case .until(let end) = self { end } else { nil } }

  /// `{"seconds": 2.5}`, `{"on": true}` or `{"on": false}`.
  init(_ json: JSON, now: Moment) throws(SimulatorError) {
    var fields = try Fields(json)
    let duration = try fields.take("seconds") {
      $0.double.flatMap { 0...86_400 ~= $0 ? Duration.nanoseconds(Int64($0 * 1e9)) : nil }
    }
    let isOn = try fields.bool("on")
    try fields.finish()
    switch (duration, isOn) {
    case (.some(let duration), nil): self = .until(now + duration)
    case (nil, .some(let isOn)): self = isOn ? .on : .off
    default: throw SimulatorError("one of 'seconds' and 'on' is expected")
    }
  }
}

extension Hub {
  /// Returns when the next connection meets it.
  func refuse(_ refusal: Refusal) {
    let time = now()
    state.withLock { state in
      state.refusal = refusal
      if refusal.isOn(at: time) { state.refusals += 1 }
      state.wake()
    }
    guard options.storagePort != nil else { return }
    while true {
      let time = now()
      let (signal, isDone) = state.withLock {
        ($0.signal, $0.isStopping || $0.isStorageListening != $0.refusal.isOn(at: time))
      }
      if isDone { return }
      // The acceptor fires it when it has followed.
      _ = signal.wait(peer: -1, until: nil)
    }
  }

  /// For requests that come in while no connection should: on a port shared with the API, or on a connection from
  /// before.
  func isRefusing() -> Bool {
    let time = now()
    return state.withLock { state in
      guard state.refusal.isOn(at: time) else { return false }
      state.statistics.refused += 1
      return true
    }
  }
}
