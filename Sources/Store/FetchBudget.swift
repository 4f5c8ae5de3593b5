import Core
import EventLoop
import Transfer

/// What a store can do to a ranged GET; `RangeFetch`, or a test's double.
@TransferLoop
protocol RangeFetching: AnyObject {
  /// A rate limit of ours keeps its bytes back.
  var isHeldBack: Bool { get }
  func stop(at offset: Int64)
  func resume()
  func cancel()
}

extension RangeFetch: RangeFetching {}

/// Limits shared by all stores of the process; one instance. Connections go to demand before fillers, and to the files in turn.
@TransferLoop
package final class FetchBudget {
  package struct Options: Sendable {
    /// Ranges in flight of one file, and of all.
    package var rangesPerFile = 16
    package var rangesInAll = 32
    /// Without progress for so long, waiting readers get EIO.
    package var stallTimeout: Duration = .seconds(60)
    /// Bytes received and not yet written, of all files.
    package var unwritten: Int64 = 16 << 20
    /// Of the disk.
    package var cache = CacheLimits()
    package init() {}
  }

  typealias Opener = (RangeRequest, FetchSlot) -> any RangeFetching

  let options: Options
  let open: Opener
  let clock: any TimeSource
  let buffers: BufferPool
  let writer = FileWriter()
  let sums = SumsQueue()
  /// A test's way to the plans' times.
  var adjust: (inout FetchPlan.Settings) -> Void = { _ in }

  private var inFlight = 0
  private var demandQueue: [FetchStore] = []
  private var fillQueue: [FetchStore] = []
  private var isPumping = false
  private var isWatching = false
  private var timer: LoopTimer?
  /// Stores with something in flight.
  private var active: [ObjectIdentifier: (store: FetchStore, slots: Int)] = [:]
  private var starved: [FetchSlot] = []
  private var reservations: [Int: CacheFolder.Reservation] = [:]
  private var nextTicket = 1

  package convenience init(client: HTTPClient, options: Options = Options()) {
    self.init(options: options, clock: SystemClock()) { request, slot in client.fetch(request, sink: slot) }
  }

  init(options: Options, clock: any TimeSource, open: @escaping Opener) {
    self.options = options
    self.clock = clock
    self.open = open
    buffers = BufferPool(bytes: options.unwritten)
  }

  package var limits: CacheLimits { options.cache }

  // MARK: Connections

  /// `store` could use a connection; it gets `take` when its turn has come.
  func ask(_ store: FetchStore, isDemand: Bool) {
    if isDemand { demandQueue.append(store) } else { fillQueue.append(store) }
  }

  func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while let store = demandQueue.first, inFlight < options.rangesInAll || preempt() {
      demandQueue.removeFirst()
      store.take(isDemand: true)
    }
    while inFlight < options.rangesInAll, !fillQueue.isEmpty {
      fillQueue.removeFirst().take(isDemand: false)
    }
    if !demandQueue.isEmpty { watch() }
  }

  /// Somebody waits for a connection: those that bring nothing are not kept from him for ever.
  private func watch() {
    guard !isWatching else { return }
    if timer == nil { timer = try? LoopTimer(on: .transfer) { [weak self] in self?.look() } }
    isWatching = true
    timer?.start(after: .milliseconds(250))
  }

  private func look() {
    isWatching = false
    guard !demandQueue.isEmpty else { return }
    _ = active.values.sorted { $0.slots > $1.slots }.contains { $0.store.yieldSilent() }
    pump()
  }

  /// The file with most in flight gives a connection of its filler.
  private func preempt() -> Bool {
    let donor = active.values.filter { $0.store.canYield }.max { $0.slots < $1.slots }
    donor?.store.yield()
    return inFlight < options.rangesInAll
  }

  func began(_ store: FetchStore) {
    inFlight += 1
    active[ObjectIdentifier(store), default: (store, 0)].slots += 1
  }

  func ended(_ store: FetchStore, _ slot: FetchSlot) {
    inFlight -= 1
    starved.removeAll { $0 === slot }
    let key = ObjectIdentifier(store)
    if let slots = active[key]?.slots, slots > 1 { active[key]?.slots = slots - 1 } else { active[key] = nil }
  }

  func forget(_ store: FetchStore) {
    demandQueue.removeAll { $0 === store }
    fillQueue.removeAll { $0 === store }
  }

  // MARK: Buffers

  /// `slot` found no buffer; it is resumed when there is one. Demand goes first.
  func starve(_ slot: FetchSlot) {
    if slot.isDemand { starved.insert(slot, at: starved.firstIndex { !$0.isDemand } ?? starved.count) } else { starved.append(slot) }
    // Nothing on its way to a disk frees nothing: what is half full goes now.
    if writer.isIdle { for entry in active.values { entry.store.flushAll() } }
  }

  func isStarved(_ store: FetchStore) -> Bool { starved.contains { $0.store === store } }

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

  /// What the stores still have to write, in bytes.
  package var reserved: Int64 { reservations.values.reduce(0) { min($0, .max - $1.bytes) + $1.bytes } }

  /// For tests: nothing is left of what stores took.
  var isUnused: Bool { inFlight == 0 && active.isEmpty && starved.isEmpty && buffers.mapped == 0 && writer.isIdle && sums.isIdle }
  var connections: Int { inFlight }
}
