import Core
import EventLoop

/// Limits shared by all stores of the process; one instance. Connections go to what reads wait for, then to what is
/// fetched ahead of readers, then, while no open file fetches anything, to files that are fetched to be kept; and to
/// the files of each kind in turn. The control plane makes it; the budget owns the queues of engines, the buffers and
/// the writer, all on the transfer loop.
@TransferLoop
package final class FetchBudget {
  package struct Options: Sendable {
    /// Ranges in flight of one file, and of all.
    package var rangesPerFile = 16
    package var rangesInAll = 32
    /// Without progress for so long, waiting readers get EIO.
    package var stallTimeout: Duration = .seconds(60)
    /// How long an origin that asks to be left alone is obeyed at most.
    package var retryAfterLimit: Duration = .seconds(60)
    /// Bytes received and not yet written, of all files.
    package var unwritten: Int64 = 16 << 20
    /// Limits of the disk.
    package var cache = CacheLimits()
    package init() {}
  }

  let options: Options
  let clock: any TimeSource
  let buffers: BufferPool
  let writer = FileWriter()
  let sums = SumsQueue()
  /// A test's way to the plans' times.
  var adjust: (inout FetchPlan.Settings) -> Void = { _ in }

  private var inFlight = 0
  private var demandQueue: [FetchEngine] = []
  private var fillQueue: [FetchEngine] = []
  private var keepQueue: [FetchEngine] = []
  private var isPumping = false
  private var isWatching = false
  private var timer: LoopTimer?
  /// Files with something in flight.
  private var active: [ObjectIdentifier: (engine: FetchEngine, flights: Int)] = [:]
  private var starved: [Flight] = []
  private var reservations: [Int: CacheFolder.Reservation] = [:]
  private var nextTicket = 1

  package init(options: Options = Options(), clock: any TimeSource = SystemClock()) {
    self.options = options
    self.clock = clock
    buffers = BufferPool(bytes: options.unwritten)
  }

  package var limits: CacheLimits { options.cache }

  // MARK: Connections

  /// `engine` could use a connection; it gets `take` when its turn has come.
  func ask(_ engine: FetchEngine, isDemand: Bool) {
    if isDemand {
      demandQueue.append(engine)
    } else if engine.isBackground {
      keepQueue.append(engine)
    } else {
      fillQueue.append(engine)
    }
  }

  func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while let engine = demandQueue.first, inFlight < options.rangesInAll || preempt() {
      demandQueue.removeFirst()
      engine.take(isDemand: true)
    }
    while !fillQueue.isEmpty, inFlight < options.rangesInAll {
      fillQueue.removeFirst().take(isDemand: false)
    }
    if !fillQueue.isEmpty || active.values.contains(where: \.engine.isRead) {
      for entry in active.values where entry.engine.isBackground { entry.engine.makeWay() }
    } else {
      while inFlight < options.rangesInAll, !keepQueue.isEmpty { keepQueue.removeFirst().take(isDemand: false) }
    }
    if !demandQueue.isEmpty { watch() }
  }

  /// Demand waits for a connection, which silent ranges must not keep for ever, or received bytes wait for a buffer:
  /// looks again soon.
  private func watch() {
    guard !isWatching else { return }
    if timer == nil { timer = try? LoopTimer(on: .transfer) { [weak self] in self?.look() } }
    guard let timer else { return }
    isWatching = true
    timer.start(after: .milliseconds(250))
  }

  private func look() {
    isWatching = false
    buffersFreed()
    if !starved.isEmpty { watch() }
    guard !demandQueue.isEmpty else { return }
    _ = active.values.sorted { $0.flights > $1.flights }.contains { $0.engine.yieldSilent() }
    pump()
  }

  /// The network changed, or the machine slept: what is silent may be dead. Called by the owner of the network, on the
  /// loop.
  package func shaken() { for entry in active.values { entry.engine.shaken() } }

  /// The file with most in flight gives a connection of its filler.
  private func preempt() -> Bool {
    let donor = active.values.filter { $0.engine.canYield }.max { $0.flights < $1.flights }
    donor?.engine.yield()
    return inFlight < options.rangesInAll
  }

  func began(_ engine: FetchEngine) {
    inFlight += 1
    active[ObjectIdentifier(engine), default: (engine, 0)].flights += 1
  }

  func ended(_ engine: FetchEngine, _ flight: Flight) {
    inFlight -= 1
    starved.removeAll { $0 === flight }
    let key = ObjectIdentifier(engine)
    if let flights = active[key]?.flights, flights > 1 { active[key]?.flights = flights - 1 } else { active[key] = nil }
  }

  func forget(_ engine: FetchEngine) {
    demandQueue.removeAll { $0 === engine }
    fillQueue.removeAll { $0 === engine }
    keepQueue.removeAll { $0 === engine }
  }

  // MARK: Buffers

  /// `flight` found no buffer; it is resumed when there is one. Demand goes first.
  func starve(_ flight: Flight) {
    if flight.isDemand {
      starved.insert(flight, at: starved.firstIndex { !$0.isDemand } ?? starved.count)
    } else {
      starved.append(flight)
    }
    // Nothing on its way to a disk frees nothing: what is half full goes now.
    if writer.isIdle { for entry in active.values { entry.engine.flushAll() } }
    // If the system gave no memory, no buffer that comes back tells when it has some again.
    watch()
  }

  func isStarved(_ engine: FetchEngine) -> Bool { starved.contains { $0.engine === engine } }

  /// It waits for a buffer, and none is in use that could come back: the system gives no memory.
  func lacksMemory(_ engine: FetchEngine) -> Bool { buffers.taken == 0 && isStarved(engine) }

  /// Buffers came back.
  func buffersFreed() {
    var turns = starved.count
    while turns > 0, buffers.room > 0, !starved.isEmpty {
      turns -= 1
      starved.removeFirst().fetch?.resume()
    }
    if inFlight == 0, buffers.taken == 0 { buffers.trim() }
  }

  // MARK: Space

  /// Promises `size` bytes on a file system to be named by `set`; ends with `release`.
  /// - Parameter beside: bytes in the folder that are no store's.
  func reserve(_ size: Int64, beside: Int64) -> (ticket: Int, claims: CacheClaims) {
    let claims = CacheClaims(limits: options.cache, others: Array(reservations.values), beside: beside)
    defer { nextTicket += 1 }
    reservations[nextTicket] = .init(device: nil, size: size, bytes: size)
    return (nextTicket, claims)
  }

  /// - Parameter bytes: still to be written.
  func set(_ ticket: Int, device: UInt64, bytes: Int64) {
    reservations[ticket]?.device = device
    reservations[ticket]?.bytes = max(0, bytes)
  }

  /// The file is not made, or is on its way out.
  func release(_ ticket: Int) { reservations[ticket] = nil }

  /// Bytes that the stores still have to write.
  package var reserved: Int64 { reservations.values.reduce(0) { min($0, .max - $1.bytes) + $1.bytes } }

  /// For tests: nothing is left of what stores took.
  var isUnused: Bool {
    inFlight == 0 && active.isEmpty && starved.isEmpty && buffers.mapped == 0 && writer.isIdle && sums.isIdle
  }
  var connections: Int { inFlight }
}
