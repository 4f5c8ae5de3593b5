import ByteSource
import Core
import EventLoop
import Telemetry

/// Fetches a file's bytes: what is there, what is being fetched, which read waits for what. The decisions are
/// `FetchPlan`'s; the engine does what it says and tells it what happened. Where the bytes are kept is its target's
/// affair. Bytes are answered for only after they were validated, written and marked. The file's store makes and owns
/// it and is its target, which it refers to weakly; the engine owns the plan, the flights and the timer, on the
/// transfer loop, and touches no file.
@TransferLoop
package final class FetchEngine {
  /// How a read ends.
  enum ReadEnd {
    case answered(Result<ByteRange, Errno>)
    /// It waited for so long in vain, and is to come again.
    case madeWay(Duration)
  }

  var onFailure: (@Sendable (String?) -> Void)?
  var onChange: (@Sendable (SourceChange) -> Void)?
  /// For the log.
  nonisolated let label: String
  let budget: FetchBudget
  var plan: FetchPlan
  /// Its owner, which sets it once. A transfer holds on to it, so that its bytes have a place.
  weak var target: (any FetchTarget)?
  /// Not nil: closed, and what readers get.
  private(set) var closed: Errno?

  var flights: [Int: Flight] = [:]
  private let origin: any ByteSource
  private var access: (any SourceAccess)?
  private struct Read {
    let range: ByteRange
    let done: @TransferLoop (ReadEnd) -> Void
  }
  private var reads: [Int: Read] = [:]
  private var nextRead = 1
  private var actions: [FetchPlan.Action] = []
  private var isActing = false
  private var asksDemand = false
  private var asksFill = false
  private var timer: LoopTimer?
  private var armed: Moment?
  private var rechecks: [@Sendable (Bool) -> Void] = []
  /// The failure that was logged last, until bytes came again.
  private var logged: String?

  init(_ settings: FetchPlan.Settings, label: String, seed: UInt64, origin: any ByteSource, budget: FetchBudget) {
    self.label = label
    self.origin = origin
    self.budget = budget
    var settings = settings
    settings.rangesPerFile = budget.options.rangesPerFile
    settings.stallTimeout = budget.options.stallTimeout
    settings.backoff.retryAfter = budget.options.retryAfterLimit
    // Files that fail together must not come back together.
    settings.seed = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    budget.adjust(&settings)
    let pauses = settings.backoff
    plan = FetchPlan(settings, access: origin.accessState(leastPause: pauses.first, longestPause: pauses.longest))
  }

  var now: Moment { budget.clock.now() }

  // MARK: Reads

  /// The part of `range` that is inside the file; nil if `reply` was called, because nothing has to be waited for.
  func cut(_ range: ByteRange, reply: StoreReply) -> ByteRange? {
    if let closed {
      _ = reply(.failure(closed))
      return nil
    }
    let cut = ByteRange(min(range.start, plan.size), min(range.end, plan.size))
    guard cut.isEmpty else { return cut }
    _ = reply(.success(cut))
    return nil
  }

  /// `done` is called once all of `range` (not empty, inside the file) is there and marked, or cannot be; at once if it
  /// is.
  /// - Parameter waited: how long the read has been a waiter before.
  /// - Returns: whether it has to wait.
  @discardableResult
  func wait(for range: ByteRange, waited: Duration = .zero, then done: @escaping @TransferLoop (ReadEnd) -> Void)
    -> Bool
  {
    if let closed {
      done(.answered(.failure(closed)))
      return false
    }
    let id = nextRead
    nextRead += 1
    let now = now
    let (answer, actions) = plan.read(
      range, waiter: id, since: Moment(nanoseconds: now.nanoseconds &- UInt64(max(0, waited.nanoseconds))), now: now)
    switch answer {
    case .present: done(.answered(.success(range)))
    case .failed(let error): done(.answered(.failure(error)))
    case .waiting:
      reads[id] = Read(range: range, done: done)
      act(actions)
      return true
    }
    return false
  }

  /// A reader came. The access may have been asked for when no reader waited for it, behind many like it.
  func hurry() { if plan.access.phase == .pending { origin.hurry() } }

  private func answer(_ ids: [Int], _ error: Errno?) {
    for id in ids {
      guard let read = reads.removeValue(forKey: id) else { continue }
      read.done(.answered(error.map { .failure($0) } ?? .success(read.range)))
    }
  }

  /// All reads that wait end by making way.
  func stepBack() {
    let now = now
    let (left, actions) = plan.stepBack(now)
    let ends = left.compactMap { waiter in reads.removeValue(forKey: waiter.id).map { ($0, now - waiter.since) } }
    act(actions)
    for (read, waited) in ends { read.done(.madeWay(waited)) }
  }
  /// Not in the middle of anything, and nothing comes for the reads that wait.
  var mayStepBack: Bool { closed == nil && !isActing && plan.mayStepBack(now) }
  var rests: Bool { closed == nil && plan.silence.restsUntil > now }

  func setFilling(_ filling: Filling) {
    guard closed == nil else { return }
    act(plan.setFilling(filling, now: now))
  }

  // MARK: Versions

  func follow(_ heritage: SourceHeritage) {
    plan.follow(heritage)
    target?.mark([])
  }

  func recheck(_ done: @escaping @Sendable (Bool) -> Void) {
    guard closed == nil else { return done(false) }
    rechecks.append(done)
    if !plan.version.isRechecking { act(plan.recheck(now)) }
  }

  private func endRechecks(_ isChanged: Bool) {
    let waiting = rechecks
    rechecks = []
    for done in waiting { done(isChanged) }
  }

  // MARK: The end

  /// Fetches are cancelled, reads that wait get `error`. False if it was closed before.
  func end(_ error: Errno) -> Bool {
    guard closed == nil else { return false }
    closed = error
    timer?.close()
    timer = nil
    budget.forget(self)
    for flight in flights.values { flight.fetch?.cancel() }
    answer(reads.keys.sorted(), error)
    endRechecks(false)
    return true
  }

  // MARK: Doing what the plan says

  func act(_ new: [FetchPlan.Action]) {
    actions += new
    // Actions call back into here; one is done after the other.
    guard !isActing else { return }
    isActing = true
    while !actions.isEmpty {
      let batch = actions
      actions = []
      for action in batch { perform(action) }
    }
    isActing = false
    settle()
  }

  private func perform(_ action: FetchPlan.Action) {
    switch action {
    case .start(let id, let range, let isDemand): start(id, range, isDemand: isDemand, isProbe: false)
    case .hedge(let id, let range): start(id, range, isDemand: true, isProbe: false, isFresh: true)
    case .probe(let id, let range, let isFresh): start(id, range, isDemand: true, isProbe: true, isFresh: isFresh)
    case .stop(let id, let offset): flights[id]?.fetch?.stop(at: offset)
    case .cancel(let id): flights[id]?.fetch?.cancel()
    case .wake(let ids): answer(ids, nil)
    case .fail(let ids, let error): answer(ids, error)
    case .newAccess: renewAccess()
    case .report(let sentence):
      // Each reader is told, the log once.
      if let sentence, sentence != logged { Log.warning(.storeFailed, ["file": label, "cause": sentence]) }
      if sentence == nil { Log.info(.storeGoesOn, ["file": label]) }
      logged = sentence
      onFailure?(sentence)
    case .flush: flushAll()
    case .unpin: break
    case .release(let id): flights[id]?.fetch?.resume()
    case .rechecked(let isChanged): endRechecks(isChanged)
    case .changed(let change):
      Log.warning(.storeSourceChanged, ["file": label, "change": "\(change)"])
      onChange?(change)
    }
  }

  private func start(_ id: Int, _ range: ByteRange, isDemand: Bool, isProbe: Bool, isFresh: Bool = false) {
    guard closed == nil, let access, let target else { return }
    let flight = Flight(
      engine: self, target: target, id: id, range: range, isDemand: isDemand, generation: plan.generation,
      isProbe: isProbe)
    flights[id] = flight
    if !isProbe { target.keepRoom(for: flight) }
    budget.began(self)
    flight.fetch = access.fetch(SourceRequest(range: range, isUrgent: isDemand, isFresh: isFresh), into: flight)
    // If the whole object comes instead, no more of it than this is wanted.
    if isProbe { flight.fetch?.stop(at: range.end) }
  }

  private func renewAccess() {
    let (origin, stale, isUrgent) = (origin, access?.generation, !plan.waiters.isEmpty)
    Task { @TransferLoop [weak self] in
      let result: Result<any SourceAccess, SourceFailure>
      do throws(SourceFailure) {
        result = .success(try await origin.access(replacing: stale, isUrgent: isUrgent))
      } catch {
        result = .failure(error)
      }
      guard let self, closed == nil else { return }
      switch result {
      case .success(let access):
        self.access = access
        act(plan.accessReady(generation: access.generation, expires: access.expires, now: now))
      case .failure(let error): act(plan.accessFailed(error, now: now))
      }
    }
  }

  /// Asks for what the plan could use now, and sets the timer for what it will want later.
  private func settle() {
    guard closed == nil, let target else { return }
    let now = now
    if plan.hasNothingToCompare {
      let actions = plan.hadNothingToCompare(now)
      target.mark([])
      return act(actions)
    }
    if !asksDemand, plan.wantsDemand(now) {
      asksDemand = true
      budget.ask(self, isDemand: true)
    }
    if !asksFill, plan.wantsFill(now, room: target.room.ahead) {
      asksFill = true
      budget.ask(self, isDemand: false)
    }
    target.settled()
    arm(now)
    budget.pump()
  }

  private func arm(_ now: Moment) {
    guard let deadline = plan.deadline(now), armed.map({ deadline < $0 }) ?? true else { return }
    if timer == nil {
      timer = try? LoopTimer(on: EventLoop.transfer) { [weak self] in
        self?.armed = nil
        self?.tick()
      }
    }
    armed = deadline
    timer?.start(after: max(.milliseconds(1), deadline - now))
  }

  func tick() {
    guard closed == nil, let target else { return }
    let now = now
    for flight in flights.values where flight.fetch?.isHeldBack ?? false { plan.excuse(flight.id, now) }
    if budget.lacksMemory(self) { plan.lacksMemory() }
    let isBusy = target.room.isBusy || asksDemand || isHeld && !budget.lacksMemory(self)
    act(plan.tick(now, isBusy: isBusy, isHeld: isHeld))
  }

  /// The store itself takes no bytes now.
  private var isHeld: Bool { budget.isStarved(self) || flights.values.contains { $0.fetch?.isHeldBack ?? false } }

  /// The network changed, or the machine slept.
  func shaken() {
    guard closed == nil else { return }
    plan.shaken(now)
    act([])
  }

  // MARK: Connections, from the budget

  /// A connection is to be had.
  func take(isDemand: Bool) {
    if isDemand { asksDemand = false } else { asksFill = false }
    // In the middle of something, what is decided now would be done too late, and others would decide without knowing
    // of it; `settle` asks again.
    guard closed == nil, !isActing, let target else { return }
    let actions = isDemand ? plan.startDemand(now) : plan.startFill(now, room: target.room.ahead)
    if !actions.isEmpty { act(actions) }
  }

  /// An open file has something on its way.
  var isRead: Bool { closed == nil && plan.isRead }
  /// Fetched to be kept, and open nowhere.
  var isBackground: Bool { closed == nil && plan.isBackground }
  /// A fetch that no read waits for ends at the next block.
  func makeWay() { if closed == nil, !isActing { act(plan.endFill()) } }

  var canYield: Bool { closed == nil && !isActing && plan.victim() != nil }
  func yield() { act(plan.preempt()) }

  /// Gives up a silent connection for a waiter that has none. False if it has no silent one.
  func yieldSilent() -> Bool {
    let actions = closed == nil && !isActing ? plan.yieldSilent(now) : []
    act(actions)
    return !actions.isEmpty
  }
}
