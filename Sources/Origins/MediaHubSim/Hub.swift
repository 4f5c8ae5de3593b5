import Core
import Synchronization

/// The simulated service's state, shared by the connections' threads. It is apart from `Simulator`, which owns the
/// listener: a callback that held the last reference to the listener's owner would have to join its own thread. All of
/// it that changes is in `State`, behind one lock.
final class Hub: Sendable {
  struct State {
    var settings: Behaviour
    /// Counts the changes of settings; a thread that sleeps through one begins its turn anew.
    var settingsSerial = 0
    var catalog: Catalog
    var versions: [String: Int] = [:]
    /// The number of answers of the storage so far.
    var answers = 0
    var statistics = Statistics()
    var faults: [ArmedFault] = []
    var faultSerial: UInt64 = 0
    var gates: [(id: Int, gate: Gate)] = []
    var nextGate = 1
    var admission = Admission()
    var refusal = Refusal.off
    /// Counts the refusals; bodies under way since before one are cut.
    var refusals = 0
    /// Counts how often all connections were made silent; those that came before the last time are.
    var silences = 0
    /// Whether the storage's own port listens; set by `Acceptor`.
    var isStorageListening = true
    /// Stalls of an older epoch end.
    var epoch = 0
    var isStopping = false
    /// Fired and replaced at every change a sleeping thread must hear of.
    var signal = Signal()
    var pacer = Pacer()

    /// Token to its end, in order of minting.
    var tokens: [(token: String, end: Moment)] = []
    var linkSerial = 0
    /// When the link of each serial was minted, from the first on.
    var linkTimes: [Moment] = []
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
  /// The same of the storage, where links lead; `root` where it has no port of its own.
  let storageRoot: String
  /// Goes into the signature of links, so that those of another simulator are not valid here.
  let secret: String
  let state: Mutex<State>

  /// Signed requests' key; nil where the client's secret is no base64, as the service's always is.
  let signingKey: [UInt8]?

  /// - Parameter storagePort: nil where the storage has no port of its own.
  init(options: Simulator.Options, port: UInt16, storagePort: UInt16?) {
    self.options = options
    root = "\(options.tls == nil ? "http" : "https")://127.0.0.1:\(port)"
    storageRoot =
      storagePort.map { "\(options.storageTLS ?? options.tls == nil ? "http" : "https")://127.0.0.1:\($0)" } ?? root
    signingKey = Signature.key(fromBase64: options.clientSecret)
    var random = SplitMix(state: UInt64.random(in: 0 ... .max))
    secret = "\(random.next())"
    state = Mutex(State(settings: options.settings, catalog: options.catalog, random: random))
    arm(options.faults)
  }

  func now() -> Moment { SystemClock().now() }
  func wallSeconds() -> Double { Double(SystemClock().wallNanoseconds()) / 1e9 }

  func count(_ route: String) { state.withLock { $0.statistics.requests[route, default: 0] += 1 } }
  func countUnwanted(_ what: String) { state.withLock { $0.statistics.unwanted[what, default: 0] += 1 } }

  func arm(_ faults: [Fault]) {
    let time = now()
    state.withLock { state in
      for fault in faults {
        state.faultSerial += 1
        state.faults.append(ArmedFault(fault, seed: options.seed &+ state.faultSerial, now: time))
      }
    }
  }

  /// The first fault that matches and is due, counted as taken.
  func takeFault(_ route: Route, file: String?, offset: Int64 = 0) -> Fault.Effect? {
    let time = now()
    return state.withLock { state in
      state.faults.removeAll { fault in fault.end.map { $0 <= time } ?? false }
      for index in state.faults.indices
      where state.faults[index].fault.matches(route: route, file: file, offset: offset) {
        if state.faults[index].fault.skip > 0 {
          state.faults[index].fault.skip -= 1
          continue
        }
        guard state.faults[index].falls() else { continue }
        let effect = state.faults[index].fault.effect
        state.statistics.faults[effect.kind, default: 0] += 1
        if let count = state.faults[index].fault.count {
          if count <= 1 { state.faults.remove(at: index) } else { state.faults[index].fault.count = count - 1 }
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

  /// Waits before the headers while a gate holds `route` at `offset`; false if the client has gone.
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
