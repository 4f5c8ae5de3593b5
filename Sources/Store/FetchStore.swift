import Core
import EventLoop
import Telemetry
import Transfer

/// Takes the answer to a read. Returns, where the bytes it vouches for may still be read by whoever got it, what says so: true as long as they may.
package typealias StoreReply = @Sendable (Result<ByteRange, Errno>) -> (@Sendable () -> Bool)?

/// The engine of a file's bytes: what is there, what is being fetched, who waits for what. Where the bytes are kept is its heirs' affair: a sparse file
/// (`SparseStore`) or places in a window of memory (`WindowStore`).
///
/// The decisions are `FetchPlan`'s; this does what it says and tells it what happened. Bytes are answered for only after they were validated, written
/// and marked.
@TransferLoop
package class FetchStore {
  /// Called when fetching gave up (a sentence for people) and when it goes on again (nil).
  package final var onFailure: (@Sendable (String?) -> Void)?

  final let budget: FetchBudget
  final var plan: FetchPlan
  final var pin = SourcePin()
  final var slots: [Int: FetchSlot] = [:]
  /// Not nil: closed, and what readers get.
  final private(set) var closed: Errno?
  /// Not empty: what was given out of this file before, from elsewhere, was of one of these versions; an answer that is of none is another file's.
  final var expected: [UInt64] = []
  /// Under which what is here came.
  package final var validators: [Validator] { pin.accepted }
  /// For the log.
  nonisolated let label: String

  struct Waiting {
    let range: ByteRange
    let reply: StoreReply
  }
  private let origin: any Origin
  private var link: Link?
  private var replies: [Int: Waiting] = [:]
  private var nextWaiter = 1
  private var actions: [FetchPlan.Action] = []
  private var isActing = false
  private var asksDemand = false
  private var asksFill = false
  private var timer: LoopTimer?
  private var armed: Moment?

  init(_ settings: FetchPlan.Settings, label: String, seed: UInt64, origin: any Origin, budget: FetchBudget) {
    self.label = label
    self.origin = origin
    self.budget = budget
    var settings = settings
    settings.rangesPerFile = budget.options.rangesPerFile
    settings.stallTimeout = budget.options.stallTimeout
    // Files that fail together must not come back together.
    settings.seed = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    budget.adjust(&settings)
    plan = FetchPlan(settings)
  }

  // MARK: Readers

  /// Answers once all of `range` (cut to the file) is there and marked, or with EIO (EIO, ENOSPC, ESTALE) once it cannot be; on the transfer loop.
  /// Goes before anything speculative.
  package final func read(_ range: ByteRange, reply: @escaping StoreReply) {
    if let closed {
      _ = reply(.failure(closed))
      return
    }
    let cut = ByteRange(min(range.start, plan.size), min(range.end, plan.size))
    guard !cut.isEmpty else {
      _ = reply(.success(cut))
      return
    }
    accept(cut, reply: reply)
  }

  /// Whether all of `range` is here now.
  package final func has(_ range: ByteRange) -> Bool { plan.extents.contains(range) }

  // MARK: For heirs

  /// A reader comes; it is one of the plan's waiters from `wait(for:)` on.
  func accept(_ range: ByteRange, reply: @escaping StoreReply) { wait(for: range, reply: reply) }

  /// Takes bytes of an ordinary fetch that are inside it.
  /// - Returns: false where there is no room for them now; the slot is resumed once there is.
  func take(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange, of slot: FetchSlot) -> Bool {
    preconditionFailure("FetchStore takes no bytes")
  }
  /// The head of an answer that is not for the file: for its validator, or for a comparison. False: it is not wanted any more.
  func probeBegan(_ slot: FetchSlot, _ validator: Validator) -> Bool {
    pin.judgeProbe(validator, generation: slot.generation)
    return true
  }
  /// What a probe brought is to be compared with what is there; `ended` of the plan follows.
  func probeEnded(_ slot: FetchSlot, _ bytes: [UInt8]) {}
  /// `slot` will bring nothing more.
  func slotLeft(_ slot: FetchSlot) {}
  /// What was taken and is not where it belongs yet is on its way there.
  func flushAll() {}
  /// Somebody waits for `range` from now on.
  func waits(for range: ByteRange) {}
  /// A waiter leaves, with its answer or without.
  func left(_ waiter: Waiting, delivery: (@Sendable () -> Bool)?) {}
  /// Nothing that was there is believed any more: of another version.
  func unpinned() {}
  /// What the bytes are known under may have changed.
  func pinned() {}
  /// Bytes there is place for ahead of readers.
  var room: Int64 { .max }
  /// A fetch begins.
  func begins(_ slot: FetchSlot) {}
  /// After everything else was seen to.
  func settled() {}
  /// Bytes are being written or wait for room, no connection is to be had, or a rate limit holds bytes back: what does not come is no stall of the origin.
  var isBusy: Bool { asksDemand || budget.isStarved(self) || slots.values.contains { $0.fetch?.isHeldBack ?? false } }

  // MARK: Waiters

  /// A waiter of the plan: `reply` comes once all of `range` is there and marked, or cannot be; at once where it is.
  /// - Parameter waited: how long it has been one before.
  final func wait(for range: ByteRange, waited: Duration = .zero, reply: @escaping StoreReply) {
    let waiting = Waiting(range: range, reply: reply)
    if let closed { return left(waiting, delivery: reply(.failure(closed))) }
    let waiter = nextWaiter
    nextWaiter += 1
    let now = now
    let (answer, actions) = plan.read(
      range, waiter: waiter, since: Moment(nanoseconds: now.nanoseconds &- UInt64(max(0, waited.nanoseconds))), now: now)
    switch answer {
    case .present: left(waiting, delivery: reply(.success(range)))
    case .failed(let error): left(waiting, delivery: reply(.failure(error)))
    case .waiting:
      replies[waiter] = waiting
      waits(for: range)
      act(actions)
    }
  }

  /// Those who wait leave without an answer, and come again: with what they asked, and how long they have been waiters.
  final func stepBack() -> [(waiting: Waiting, waited: Duration)] {
    let now = now
    let (left, actions) = plan.stepBack(now)
    let waiting = left.compactMap { waiter in replies.removeValue(forKey: waiter.id).map { ($0, now - waiter.since) } }
    act(actions)
    return waiting
  }
  /// Not in the middle of anything, and nothing comes for those who wait.
  final var mayStepBack: Bool { closed == nil && !isActing && plan.mayStepBack(now) }
  final var rests: Bool { closed == nil && plan.restsUntil > now }

  /// While true, what readers will want is fetched; while false only what is waited for.
  package func setFilling(_ isFilling: Bool) {
    guard closed == nil else { return }
    act(plan.setFilling(isFilling, now: now))
  }

  private func answer(_ ids: [Int], _ error: Errno?) {
    for id in ids {
      guard let waiting = replies.removeValue(forKey: id) else { continue }
      left(waiting, delivery: waiting.reply(error.map { .failure($0) } ?? .success(waiting.range)))
    }
  }

  /// The first half of the end: fetches are cancelled, waiters get `error`. False where it was closed before.
  final func end(_ error: Errno) -> Bool {
    guard closed == nil else { return false }
    closed = error
    timer?.close()
    timer = nil
    budget.forget(self)
    for slot in slots.values { slot.fetch?.cancel() }
    answer(replies.keys.sorted(), error)
    return true
  }

  // MARK: Doing what the plan says

  final var now: Moment { budget.clock.now() }

  final func act(_ new: [FetchPlan.Action]) {
    actions += new
    // What is done calls back into here; one thing after the other.
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
    case .probe(let id, let range): start(id, range, isDemand: true, isProbe: true)
    case .stop(let id, let offset): slots[id]?.fetch?.stop(at: offset)
    case .cancel(let id): slots[id]?.fetch?.cancel()
    case .wake(let ids): answer(ids, nil)
    case .fail(let ids, let error): answer(ids, error)
    case .newLink: renewLink()
    case .report(let sentence):
      if let sentence {
        Log.warning("store.failed", ["file": label, "reason": sentence])
      } else {
        Log.info("store.goes-on", ["file": label])
      }
      onFailure?(sentence)
    case .flush: flushAll()
    case .unpin:
      pin.forget()
      unpinned()
    }
  }

  private func start(_ id: Int, _ range: ByteRange, isDemand: Bool, isProbe: Bool) {
    guard closed == nil, let link else { return }
    let slot = FetchSlot(store: self, id: id, range: range, isDemand: isDemand, generation: plan.generation, isProbe: isProbe)
    slots[id] = slot
    begins(slot)
    budget.began(self)
    slot.fetch = budget.open(RangeRequest(link: link, range: range, size: plan.size, isUrgent: isDemand), slot)
    // If the whole object comes instead, no more of it than this is wanted.
    if isProbe { slot.fetch?.stop(at: range.end) }
  }

  private func renewLink() {
    let (origin, stale) = (origin, link)
    Task { @TransferLoop [weak self] in
      let result: Result<Link, TransferError>
      do throws(TransferError) { result = .success(try await origin.link(replacing: stale)) } catch { result = .failure(error) }
      guard let self, closed == nil else { return }
      switch result {
      case .success(let link):
        self.link = link
        act(plan.linkReady(generation: link.generation, expires: link.expires, now: now))
      case .failure(let error): act(plan.linkFailed(error, now: now))
      }
    }
  }

  /// Asks for what the plan could use now, and sets the timer for what it will want later.
  private func settle() {
    guard closed == nil else { return }
    if plan.hasNothingToCompare {
      pin.hadNothingToCompare()
      pinned()
      return act(plan.compared(isEqual: true))
    }
    let now = now
    if !asksDemand, plan.wantsDemand(now) {
      asksDemand = true
      budget.ask(self, isDemand: true)
    }
    if !asksFill, plan.wantsFill(now, room: room) {
      asksFill = true
      budget.ask(self, isDemand: false)
    }
    settled()
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

  final func tick() {
    guard closed == nil else { return }
    act(plan.tick(now, isBusy: isBusy))
  }

  // MARK: Connections, from the budget

  /// A connection is to be had.
  final func take(isDemand: Bool) {
    if isDemand { asksDemand = false } else { asksFill = false }
    // In the middle of something, what is decided now would be done too late, and others would decide without knowing of it; `settle` asks again.
    guard closed == nil, !isActing else { return }
    let actions = isDemand ? plan.startDemand(now) : plan.startFill(now, room: room)
    if !actions.isEmpty { act(actions) }
  }

  final var canYield: Bool { closed == nil && !isActing && plan.victim() != nil }
  final func yield() { act(plan.preempt()) }

  /// A connection of it that brings nothing goes to somebody who has none. False where all of them do.
  final func yieldSilent() -> Bool {
    let actions = closed == nil && !isActing ? plan.yieldSilent(now) : []
    act(actions)
    return !actions.isEmpty
  }
}
