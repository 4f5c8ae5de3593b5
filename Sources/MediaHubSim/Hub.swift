import Core
import Synchronization

/// The simulated service's state, shared by the connections' threads. It is apart from `Simulator`, which owns the listener: a callback
/// that held the last reference to the listener's owner would have to join its own thread.
final class Hub: Sendable {
  struct State {
    var settings: Settings
    /// Counts the changes of settings; a thread that sleeps through one begins its turn anew.
    var settingsSerial = 0
    var catalog: Catalog
    var versions: [String: Int] = [:]
    var statistics = Statistics()
    var faults: [Fault] = []
    var gates: [(id: Int, gate: Gate)] = []
    var nextGate = 1
    /// Stalls of an older epoch end.
    var epoch = 0
    var isStopping = false
    /// Fired and replaced at every change a sleeping thread must hear of.
    var signal = Signal()
    var pacer = Pacer()

    /// Token to its end, in order of minting.
    var tokens: [(token: String, end: Moment)] = []
    var linkSerial = 0
    /// Links up to `serial` answer with `status`, by file; under "" for all.
    var revoked: [String: (serial: Int, status: UInt32)] = [:]
    /// Serials of names: of faults, of tokens.
    var random: SplitMix

    mutating func wake() {
      signal.fire()
      signal = Signal()
    }
  }

  let options: Simulator.Options
  /// "http://127.0.0.1:PORT"
  let root: String
  /// Goes into the signature of links, so that those of another simulator are not valid here.
  let secret: String
  let state: Mutex<State>

  init(options: Simulator.Options, port: UInt16) {
    self.options = options
    root = "http://127.0.0.1:\(port)"
    var random = SplitMix(state: UInt64.random(in: 0 ... .max))
    secret = "\(random.next())"
    state = Mutex(State(settings: options.settings, catalog: options.catalog, random: random))
  }

  func now() -> Moment { SystemClock().now() }
  func wallSeconds() -> Double { Double(SystemClock().wallNanoseconds()) / 1e9 }

  func count(_ route: String) { state.withLock { $0.statistics.requests[route, default: 0] += 1 } }
  func countUnwanted(_ what: String) { state.withLock { $0.statistics.unwanted[what, default: 0] += 1 } }

  /// The first fault that matches and is due, counted as taken.
  func takeFault(_ route: Route, file: String?, offset: Int64 = 0) -> Fault.Effect? {
    state.withLock { state in
      for index in state.faults.indices where state.faults[index].matches(route: route, file: file, offset: offset) {
        if state.faults[index].skip > 0 {
          state.faults[index].skip -= 1
          continue
        }
        let effect = state.faults[index].effect
        state.statistics.faults[effect.kind, default: 0] += 1
        if let count = state.faults[index].count {
          if count <= 1 { state.faults.remove(at: index) } else { state.faults[index].count = count - 1 }
        }
        if effect == .change, let file { state.versions[file, default: 1] += 1 }
        return effect
      }
      return nil
    }
  }

  /// Waits for `duration`, but not past the end of the simulator or of the peer.
  func pause(_ duration: Duration, peer: Int32) {
    let deadline = now() + duration
    while now() < deadline {
      let (signal, isStopping) = state.withLock { ($0.signal, $0.isStopping) }
      if isStopping || signal.wait(peer: peer, until: deadline) == .peerGone { return }
    }
  }

  /// Waits before the headers while a gate holds `route` at `offset`; false where nobody waits for the answer any more.
  func pass(_ route: Route, file: String?, offset: Int64, peer: Int32) -> Bool {
    var isHeld = false
    defer { if isHeld { state.withLock { $0.statistics.held -= 1 } } }
    while true {
      let (signal, isClosed, isStopping) = state.withLock { state in
        let isClosed = state.gates.contains { $0.gate.matches(route: route, file: file) && offset >= $0.gate.from }
        if isClosed, !isHeld {
          isHeld = true
          state.statistics.held += 1
        }
        return (state.signal, isClosed, state.isStopping)
      }
      if isStopping { return false }
      if !isClosed { return true }
      if signal.wait(peer: peer, until: nil) == .peerGone { return false }
    }
  }
}
