import Core
import EventLoop
import Glibc
import Synchronization
import Transfer

/// A file's bytes in one sparse file that nobody else writes: write, mark, complete.
@TransferLoop
package final class SparseStore: FetchStore {
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
  /// Called when the disk was full under so many received bytes. They are kept, and no more are taken, until it says whether there may be room now
  /// (they are written again) or none can be made (that is a failed write). Without it, or closed meanwhile, no answer is waited for.
  package var onNoSpace: (@Sendable (_ needed: Int64, _ done: @escaping @Sendable @TransferLoop (Bool) -> Void) -> Void)?

  /// Bytes fetched and written so far; from any thread.
  package nonisolated var bytesPresent: Int64 { present.load(ordering: .relaxed) }
  nonisolated let present = Atomic<Int64>(0)
  /// In the folder.
  package nonisolated var name: String { label }
  /// The bytes that are in the file.
  package var extents: RangeSet { plan.extents }

  nonisolated let descriptor: Int32
  let sumsFile: SumsFile
  var sums: SumsPlan
  /// The validators under which an earlier run got what is in the file and not proven yet.
  var earlier: [Validator] = []
  var asksSums = false
  /// What is received is thrown away: the file cannot be written.
  var isDiscarding = false
  /// Not nil: what waits for room on the disk.
  var parked: [FileWriter.Chunk]?
  var jobs = 0
  var writeFailures = 0

  let folder: CacheFolder
  let ticket: Int
  let device: UInt64
  private var whenRemoved: [@Sendable () -> Void] = []
  private var isRemoving = false
  private var isRemoved = false

  init(
    _ opened: Opened, name: String, folder: CacheFolder, origin: any Origin, budget: FetchBudget, blockSize: Int64, ticket: Int
  ) {
    self.folder = folder
    self.ticket = ticket
    descriptor = opened.file.descriptor
    device = opened.file.device
    sumsFile = opened.sums
    sums = opened.sumsPlan
    super.init(
      FetchPlan.Settings(size: origin.size, blockSize: blockSize), label: name, seed: UInt64(truncatingIfNeeded: ticket), origin: origin,
      budget: budget)
    begin(with: opened.bytes)
  }

  // MARK: Readers

  override func waits(for range: ByteRange) {
    isDiscarding = false
    for slot in slots.values where slot.buffered.overlaps(range) { flushIfWaited(slot) }
  }

  /// Goes on where fetching gave up, as a reader's asking would.
  package func tryAgain() {
    guard closed == nil, let gap = plan.extents.firstMissing(in: ByteRange(0, plan.size)) else { return }
    read(ByteRange(gap.start, gap.start + 1)) { _ in nil }
  }

  /// The bytes of `range` could not be read back: forget and fetch them again.
  package func distrust(_ range: ByteRange) {
    guard closed == nil, let blocks = plan.distrust(range) else { return }
    sums.remove(blocks)
    presentChanged()
    onBlocks?(blocks, false)
    act(plan.needLink(now))
  }

  /// The end: fetches are cancelled, waiters get `error`, the file is unlinked (on a worker thread), then `done`.
  package func close(error: Errno, done: @escaping @Sendable () -> Void) {
    if isRemoved { return done() }
    whenRemoved.append(done)
    guard end(error) else { return }
    budget.sums.forget(self)
    for chunk in budget.writer.withdraw(self) + (parked ?? []) { budget.buffers.put(chunk.buffer) }
    parked = nil
    budget.release(ticket)
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

  // MARK: The engine's

  override func flushAll() { for slot in slots.values { flush(slot) } }
  override func slotLeft(_ slot: FetchSlot) { flush(slot) }
  override func unpinned() { earlier = [] }
  override func pinned() { sums.accept(pin.accepted, pinning: pin.pinning, seed: .random(in: .min ... .max)) }
  override func settled() { askSums() }
  override var isBusy: Bool { jobs > 0 || parked != nil || super.isBusy }

  override func probeEnded(_ slot: FetchSlot, _ bytes: [UInt8]) {
    if plan.compares(slot.id) {
      compare(bytes, slot.range) { self.comparedAgain(isEqual: $0) }
    } else if case .fetching(slot.id, _) = plan.comparison {
      compare(bytes, slot.range) { self.compared(isEqual: $0) }
    }
  }

  override func probeBegan(_ slot: FetchSlot, _ validator: Validator) -> Bool {
    provenanceBegan(slot, validator) ?? super.probeBegan(slot, validator)
  }

  override func take(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange, of slot: FetchSlot) -> Bool { receive(bytes, range, of: slot) }
}
