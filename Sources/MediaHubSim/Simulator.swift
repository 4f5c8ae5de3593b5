import Core

/// MediaHub as its client sees it: the API, and the storage its links lead to, on a port of the loopback interface. For tests and for
/// `--demo`; it knows how to be slow, wrong and broken on demand. Its threads are libmicrohttpd's, one for each connection.
package final class Simulator: Sendable {
  package struct Options: Sendable {
    /// 0 is any free one.
    package var port: UInt16 = 0
    package var clientID = "demo-client"
    package var clientSecret = "demo-secret"
    package var catalog = Catalog()
    package var settings = Settings()
    /// How many storage requests the statistics keep one by one.
    package var rangeLog = 4096

    package init() {}
  }

  let hub: Hub
  private let listener: Listener

  package init(_ options: Options = Options()) throws {
    let socket = try Listener.Socket(port: options.port)
    hub = Hub(options: options, port: socket.port)
    listener = try Listener(socket: socket, hub: hub)
  }

  deinit { stop() }

  /// What a client takes for MediaHub's base URL.
  package var baseURL: String { hub.root + "/v1" }
  /// Where the admin routes are: `root + "/_sim/…"`.
  package var root: String { hub.root }

  /// Cuts the connections and waits for their threads. Harmless the second time. Not for a callback of the simulator's own.
  package func stop() {
    hub.state.withLock {
      $0.isStopping = true
      $0.wake()
    }
    listener.stop()
  }
}

/// What a test, or an admin route for it, does to the service.
extension Simulator {
  package func set(_ change: (inout Settings) -> Void) { hub.set(change) }
  package func add(_ fault: Fault) { hub.state.withLock { $0.faults.append(fault) } }

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

  /// Settings, faults, gates, revocations and statistics as at the start; the catalog, the tokens and the files' versions stay.
  package func reset() { hub.reset() }

  package func statistics() -> Statistics { hub.state.withLock { $0.statistics } }

  /// The right bytes of a recipient's copy, whatever the faults; nil for an unknown file or a range outside it.
  package func content(file: String, tag: String, range: ByteRange) -> [UInt8]? {
    let (found, version) = hub.state.withLock { ($0.catalog[file], $0.versions[file] ?? 1) }
    guard let found, range.end <= found.size else { return nil }
    return found.content(tag: tag, version: version).bytes(range.start, count: Int(range.count))
  }
}

extension Hub {
  func set(_ change: (inout Settings) throws -> Void) rethrows {
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
      for (index, file) in files.enumerated() { try state.catalog.add(file, createdAt: milliseconds + Int64(index)) }
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

  func revokeLinks(of file: String?, status: UInt32) { state.withLock { $0.revoked[file ?? ""] = ($0.linkSerial, status) } }

  func reset() {
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
      // These are of threads that are still at it and will count themselves out.
      (state.statistics.active, state.statistics.held, state.statistics.peakActive) = (active, held, active)
      state.wake()
    }
  }
}
