import Core
import EventLoop
import Glibc
import Synchronization
import Telemetry
import Transfer

/// A file's bytes: what is there, what is being fetched, who waits for what. Backed by one sparse file that nobody else writes.
/// Bytes are served only after they were validated, written and (by `onBlocks`) marked: write, mark, complete.
///
/// The decisions are `FetchPlan`'s; this does what it says and tells it what happened.
@TransferLoop
package final class SparseStore {
  package enum Failure: Error, Sendable, Equatable {
    /// The errno for readers, and the sentence for people.
    case failed(Errno, String)
    /// So many bytes have to go before there is room; the sentence has the figures and the settings.
    case noRoom(short: Int64, String)

    package var errno: Errno { if case .failed(let error, _) = self { error } else { .noSpace } }
    /// Bytes that are known to be too few; else 0.
    package var short: Int64 { if case .noRoom(let short, _) = self { short } else { 0 } }
    package var sentence: String {
      switch self {
      case .failed(_, let sentence), .noRoom(_, let sentence): sentence
      }
    }
  }

  /// Called with whole blocks whose bytes are in the file (`true`), or are no longer to be believed (`false`). Set before the first read.
  package var onBlocks: (@Sendable (Range<Int>, Bool) -> Void)?
  /// Called when fetching gave up (a sentence for people) and when it goes on again (nil).
  package var onFailure: (@Sendable (String?) -> Void)?
  /// Called when the disk was full under so many received bytes. They are kept, and no more are taken, until it says whether there may be room now
  /// (they are written again) or none can be made (that is a failed write). Without it, or closed meanwhile, no answer is waited for.
  package var onNoSpace: (@Sendable (_ needed: Int64, _ done: @escaping @Sendable @TransferLoop (Bool) -> Void) -> Void)?

  /// Bytes fetched and written so far; from any thread.
  package nonisolated var bytesPresent: Int64 { present.load(ordering: .relaxed) }
  nonisolated let present = Atomic<Int64>(0)
  /// In the folder.
  package nonisolated let name: String
  /// The bytes that are in the file.
  package var extents: RangeSet { plan.extents }

  let budget: FetchBudget
  nonisolated let descriptor: Int32
  var plan: FetchPlan
  var pin = SourcePin()
  let sumsFile: SumsFile
  var sums: SumsPlan
  /// The validators under which an earlier run got what is in the file and not proven yet.
  var earlier: [Validator] = []
  var asksSums = false
  var slots: [Int: FetchSlot] = [:]
  /// Not nil: closed, and what readers get.
  private(set) var closed: Errno?
  /// What is received is thrown away: the file cannot be written.
  var isDiscarding = false
  /// Not nil: what waits for room on the disk.
  var parked: [FileWriter.Chunk]?
  var jobs = 0
  var writeFailures = 0

  let folder: CacheFolder
  private let origin: any Origin
  let ticket: Int
  let device: UInt64
  private var link: Link?
  private var replies: [Int: (range: ByteRange, reply: @Sendable (Result<ByteRange, Errno>) -> Void)] = [:]
  private var nextWaiter = 1
  private var actions: [FetchPlan.Action] = []
  private var isActing = false
  private var asksDemand = false
  private var asksFill = false
  private var timer: LoopTimer?
  private var armed: Moment?
  private var whenRemoved: [@Sendable () -> Void] = []
  private var isRemoving = false
  private var isRemoved = false

  init(
    _ opened: Opened, name: String, folder: CacheFolder, origin: any Origin, budget: FetchBudget, blockSize: Int64, ticket: Int
  ) {
    self.name = name
    self.folder = folder
    self.origin = origin
    self.budget = budget
    self.ticket = ticket
    descriptor = opened.file.descriptor
    device = opened.file.device
    sumsFile = opened.sums
    sums = opened.sumsPlan
    var settings = FetchPlan.Settings(size: origin.size, blockSize: blockSize)
    settings.rangesPerFile = budget.options.rangesPerFile
    settings.stallTimeout = budget.options.stallTimeout
    // Files that fail together must not come back together.
    settings.seed = UInt64(truncatingIfNeeded: ticket) &* 0x9e37_79b9_7f4a_7c15 | 1
    budget.adjust(&settings)
    plan = FetchPlan(settings)
    begin(with: opened.bytes)
  }

  // MARK: Readers

  /// Answers once all of `range` (cut to the file) is in the file and marked, or with EIO (EIO, ENOSPC, ESTALE) once it cannot be; on the transfer loop.
  /// Goes before anything speculative.
  package func read(_ range: ByteRange, reply: @escaping @Sendable (Result<ByteRange, Errno>) -> Void) {
    if let closed { return reply(.failure(closed)) }
    let cut = ByteRange(min(range.start, plan.size), min(range.end, plan.size))
    guard !cut.isEmpty else { return reply(.success(cut)) }
    let waiter = nextWaiter
    nextWaiter += 1
    let (answer, actions) = plan.read(cut, waiter: waiter, now: now)
    switch answer {
    case .present: reply(.success(cut))
    case .failed(let error): reply(.failure(error))
    case .waiting:
      replies[waiter] = (cut, reply)
      isDiscarding = false
      act(actions)
      for slot in slots.values where slot.buffered.overlaps(cut) { flushIfWaited(slot) }
    }
  }

  /// Goes on where fetching gave up, as a reader's asking would.
  package func tryAgain() {
    guard closed == nil, let gap = plan.extents.firstMissing(in: ByteRange(0, plan.size)) else { return }
    read(ByteRange(gap.start, gap.start + 1)) { _ in }
  }

  /// The bytes of `range` could not be read back: forget and fetch them again.
  package func distrust(_ range: ByteRange) {
    guard closed == nil, let blocks = plan.distrust(range) else { return }
    sums.remove(blocks)
    presentChanged()
    onBlocks?(blocks, false)
    act(plan.needLink(now))
  }

  /// While true, all the file is fetched, from where readers are; while false only what is waited for.
  package func setFilling(_ isFilling: Bool) {
    guard closed == nil else { return }
    act(plan.setFilling(isFilling, now: now))
  }

  /// The end: fetches are cancelled, waiters get `error`, the file is unlinked (on a worker thread), then `done`.
  package func close(error: Errno, done: @escaping @Sendable () -> Void) {
    if isRemoved { return done() }
    whenRemoved.append(done)
    guard closed == nil else { return }
    closed = error
    timer?.close()
    timer = nil
    budget.forget(self)
    budget.sums.forget(self)
    for slot in slots.values { slot.fetch?.cancel() }
    for chunk in budget.writer.withdraw(self) + (parked ?? []) { budget.buffers.put(chunk.buffer) }
    parked = nil
    budget.release(ticket)
    let waiting = replies
    replies = [:]
    for (_, waiter) in waiting.sorted(by: { $0.key < $1.key }) { waiter.reply(.failure(error)) }
    budget.buffersFreed()
    budget.pump()
    removeIfIdle()
  }

  /// A descriptor is closed only after the last write to it: the number may be another file's by then.
  func removeIfIdle() {
    guard closed != nil, jobs == 0, !isRemoving else { return }
    isRemoving = true
    let (folder, name, descriptor) = (folder, name, descriptor)
    EventLoop.transfer.background {
      folder.remove(name)
      Glibc.close(descriptor)
    } then: {
      self.isRemoved = true
      let waiting = self.whenRemoved
      self.whenRemoved = []
      for done in waiting { done() }
    }
  }

  deinit {
    // Forgotten without `close`: the name stays for whoever owns the folder, the descriptor does not.
    if !isRemoving { Glibc.close(descriptor) }
  }

  // MARK: Doing what the plan says

  var now: Moment { budget.clock.now() }

  func act(_ new: [FetchPlan.Action]) {
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
    case .wake(let ids):
      for id in ids { if let waiter = replies.removeValue(forKey: id) { waiter.reply(.success(waiter.range)) } }
    case .fail(let ids, let error):
      for id in ids { replies.removeValue(forKey: id)?.reply(.failure(error)) }
    case .newLink: renewLink()
    case .report(let sentence):
      if let sentence {
        Log.warning("store.failed", ["file": name, "reason": sentence])
      } else {
        Log.info("store.goes-on", ["file": name])
      }
      onFailure?(sentence)
    case .flush: flushAll()
    case .unpin:
      pin.forget()
      earlier = []
    }
  }

  private func start(_ id: Int, _ range: ByteRange, isDemand: Bool, isProbe: Bool) {
    guard closed == nil, let link else { return }
    let slot = FetchSlot(store: self, id: id, range: range, isDemand: isDemand, generation: plan.generation, isProbe: isProbe)
    slots[id] = slot
    budget.began(self)
    slot.fetch = budget.open(RangeRequest(link: link, range: range, size: plan.size), slot)
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
        act(plan.linkReady(generation: link.generation, now: now))
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
    if !asksFill, plan.wantsFill(now) {
      asksFill = true
      budget.ask(self, isDemand: false)
    }
    askSums()
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
    guard closed == nil else { return }
    act(plan.tick(now, isBusy: jobs > 0 || parked != nil || budget.isStarved(self)))
  }

  // MARK: Connections, from the budget

  /// A connection is to be had.
  func take(isDemand: Bool) {
    if isDemand { asksDemand = false } else { asksFill = false }
    guard closed == nil else { return }
    let actions = isDemand ? plan.startDemand(now) : plan.startFill(now)
    if !actions.isEmpty { act(actions) }
  }

  var canYield: Bool { closed == nil && plan.victim() != nil }
  func yield() { act(plan.preempt()) }
}
