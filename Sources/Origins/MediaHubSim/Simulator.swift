import Core

/// MediaHub as its client sees it: the API, and the storage its links lead to, on a port of the loopback interface or
/// on one each. For tests and for `--demo`; it knows how to be slow, wrong and broken on demand. Its threads are
/// libmicrohttpd's, one for each connection. It owns the listeners, and its state is in `Hub`.
package final class Simulator: Sendable {
  package struct Options: Sendable {
    /// 0 is any free one.
    package var port: UInt16 = 0
    /// A port of the storage's own, where its links lead, so that it can stop listening by itself; nil is the same as
    /// the API's, 0 any free one.
    package var storagePort: UInt16?
    /// Nil is plain HTTP. The storage's, where it has a port of its own, can be another.
    package var tls: Certificate?
    package var storageTLS: Certificate?
    package var clientID = "demo-client"
    package var clientSecret = "demo-secret"
    package var catalog = Catalog()
    package var settings = Behaviour()
    /// Armed at the start and again at each reset.
    package var faults: [Fault] = []
    /// Seed of the faults' dice: the same seed and the same requests give the same outcomes.
    package var seed: UInt64 = 1
    /// How many storage requests the statistics keep one by one.
    package var rangeLog = 4096

    package init() {}
  }

  let hub: Hub
  private let listener: Listener
  private let storageListener: Listener?
  private let acceptor: Acceptor?

  package init(_ options: Options = Options()) throws {
    guard options.storageTLS == nil || options.storagePort != nil else {
      throw SimulatorError("a certificate of the storage's own needs a port of its own")
    }
    let socket = try Listener.Socket(port: options.port)
    guard let storagePort = options.storagePort else {
      hub = Hub(options: options, port: socket.port, storagePort: nil)
      listener = try Listener(socket: socket, serving: .everything, of: hub, tls: options.tls)
      (storageListener, acceptor) = (nil, nil)
      return
    }
    let address: Acceptor.Address
    do { address = try Acceptor.Address(port: storagePort) } catch {
      socket.close()
      throw error
    }
    hub = Hub(options: options, port: socket.port, storagePort: address.port)
    let storage: Listener
    do {
      listener = try Listener(socket: socket, serving: .service, of: hub, tls: options.tls)
      do {
        storage = try Listener(socket: nil, serving: .storage, of: hub, tls: options.storageTLS ?? options.tls)
      } catch {
        listener.stop()
        throw error
      }
    } catch {
      address.close()
      throw error
    }
    storageListener = storage
    acceptor = Acceptor(address, hub: hub, listener: storage)
  }

  deinit { stop() }

  /// The URL that stands for MediaHub's base URL.
  package var baseURL: String { hub.root + "/v1" }
  /// The URL before the admin routes: `root + "/_sim/…"`.
  package var root: String { hub.root }
  /// The same of the storage; `root` where it has no port of its own.
  package var storageRoot: String { hub.storageRoot }

  /// Cuts the connections and waits for their threads. Harmless the second time. Not for a callback of the simulator's
  /// own.
  package func stop() {
    hub.state.withLock {
      $0.isStopping = true
      $0.wake()
    }
    // Before the listener it hands connections to.
    acceptor?.join()
    storageListener?.stop()
    listener.stop()
  }
}

/// The controls of a test, or of an admin route for it.
extension Simulator {
  package func set(_ change: (inout Behaviour) -> Void) { hub.set(change) }
  package func add(_ fault: Fault) { hub.arm([fault]) }

  /// Adds each file in a job of its own.
  package func add(_ files: [CatalogFile]) throws { try hub.add(files) }

  /// The gate's number, for `release`.
  @discardableResult
  package func hold(_ gate: Gate = Gate()) -> Int { hub.hold(gate) }
  /// One gate, or all.
  package func release(_ gate: Int? = nil) { hub.release(gate) }

  /// Every link minted before now answers `status`: of one file, or of all.
  package func revokeLinks(of file: String? = nil, status: UInt32 = 403) { hub.revokeLinks(of: file, status: status) }
  /// Every token minted before now is refused.
  package func revokeTokens() { hub.state.withLock { $0.tokens = [] } }
  /// The file is another one from now on: other bytes at the same size, another ETag, a later date.
  package func change(file: String) { hub.state.withLock { $0.versions[file, default: 1] += 1 } }

  /// The storage is gone: answers under way are cut by a reset; its port refuses connections or, where it is the API's
  /// too, requests are reset. For `duration`, or until `refuse(false)`.
  package func refuse(for duration: Duration) { hub.refuse(.until(hub.now() + duration)) }
  package func refuse(_ isOn: Bool) { hub.refuse(isOn ? .on : .off) }

  /// No connection that is open now gets another byte, or an answer; new ones do.
  package func silence() { hub.makeSilent() }

  /// Behaviour, faults, gates, refusals, revocations and statistics as at the start; the catalog, the tokens and the
  /// files' versions stay.
  package func reset() { hub.reset() }

  package func statistics() -> Statistics { hub.statistics() }

  /// The right bytes of a recipient's copy, whatever the faults; nil for an unknown file or a range outside it.
  package func content(file: String, tag: String, range: ByteRange) -> [UInt8]? {
    let (found, version) = hub.state.withLock { ($0.catalog[file], $0.versions[file] ?? 1) }
    guard let found, range.end <= found.size else { return nil }
    return found.content(tag: tag, version: version).bytes(range.start, count: Int(range.count))
  }
}

extension Hub {
  func statistics() -> Statistics {
    state.withLock { state in
      state.statistics.peakBySecond = state.admission.peaks.seconds
      return state.statistics
    }
  }

  func set(_ change: (inout Behaviour) throws -> Void) rethrows {
    try state.withLock { state in
      try change(&state.settings)
      state.settingsSerial += 1
      state.pacer.restart()
      state.wake()
    }
  }

  func add(_ files: [CatalogFile]) throws {
    let milliseconds = SystemClock().wallNanoseconds() / 1_000_000
    try state.withLock { state in
      for file in files { try state.catalog.add(file, now: milliseconds) }
    }
  }

  func hold(_ gate: Gate) -> Int {
    state.withLock { state in
      defer { state.nextGate += 1 }
      state.gates.append((state.nextGate, gate))
      return state.nextGate
    }
  }

  func release(_ gate: Int?) {
    state.withLock { state in
      state.gates.removeAll { gate == nil || $0.id == gate }
      state.wake()
    }
  }

  func revokeLinks(of file: String?, status: UInt32) {
    state.withLock { $0.revoked[file ?? ""] = ($0.linkSerial, status) }
  }

  func reset() {
    refuse(.off)
    let time = now()
    state.withLock { state in
      state.settings = options.settings
      state.settingsSerial += 1
      state.pacer.restart()
      state.faults = []
      state.gates = []
      state.revoked = [:]
      state.epoch += 1
      let (active, held) = (state.statistics.active, state.statistics.held)
      state.statistics = Statistics()
      state.admission.restart(now: time)
      // These are of threads that are still at it and will count themselves out.
      (state.statistics.active, state.statistics.held, state.statistics.peakActive) = (active, held, active)
      state.wake()
    }
    arm(options.faults)
  }
}
