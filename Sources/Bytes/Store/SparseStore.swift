import ByteSource
import Core
import EventLoop
import Glibc
import Synchronization

/// A file's bytes in one sparse file without other writers: write, mark, complete. It owns the descriptor, the file in
/// the cache folder and its own `FetchEngine`. `BackingStores` holds it; its state is the transfer loop's, and the file
/// is touched on other threads only.
@TransferLoop
package final class SparseStore: FetchTarget {
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

  /// Called with whole blocks whose bytes are in the file (`true`), or are no longer to be believed (`false`). Set
  /// before the first read.
  package var onBlocks: (@Sendable (Range<Int>, Bool) -> Void)?
  /// Called when the disk was full under so many received bytes. They are kept, and no more are taken, until it says
  /// whether there may be room now (they are written again) or none can be made (that is a failed write). Without it,
  /// or closed meanwhile, no answer is waited for.
  package var onNoSpace:
    (@Sendable (_ needed: Int64, _ done: @escaping @Sendable @TransferLoop (Bool) -> Void) -> Void)?

  /// Bytes fetched and written so far; from any thread.
  package nonisolated var bytesPresent: Int64 { present.load(ordering: .relaxed) }
  nonisolated let present = Atomic<Int64>(0)
  /// In the folder.
  package nonisolated var name: String { engine.label }
  /// The bytes that are in the file.
  package var extents: RangeSet { engine.plan.extents }

  package nonisolated let engine: FetchEngine
  nonisolated let budget: FetchBudget
  nonisolated let descriptor: Int32
  let sumsFile: SumsFile
  var sums: SumsPlan
  var asksSums = false
  /// Received bytes are thrown away: the file cannot be written.
  var isDiscarding = false
  /// Not nil: what waits for room on the disk.
  var parked: [FileWriter.Chunk]?
  var jobs = 0
  var writeFailures = 0

  let folder: CacheFolder
  let ticket: Int
  let device: UInt64
  /// The step that follows once nothing is written to the file any more.
  enum Ending {
    case remove
    case park(@Sendable () -> Parked?, done: @Sendable (Parked?) -> Void)
  }
  var ending = Ending.remove
  private var whenRemoved: [@Sendable () -> Void] = []
  private var isRemoving = false
  private var isRemoved = false

  init(
    _ opened: Opened, name: String, folder: CacheFolder, origin: any ByteSource, budget: FetchBudget, blockSize: Int64,
    ticket: Int
  ) {
    self.folder = folder
    self.ticket = ticket
    descriptor = opened.file.descriptor
    device = opened.file.device
    sumsFile = opened.sums
    sums = opened.sumsPlan
    self.budget = budget
    engine = FetchEngine(
      FetchPlan.Settings(size: origin.size, blockSize: blockSize), label: name,
      seed: UInt64(truncatingIfNeeded: ticket), origin: origin,
      budget: budget)
    engine.target = self
    begin(with: opened.bytes)
  }

  // MARK: Readers

  package func read(_ range: ByteRange, reply: @escaping StoreReply) {
    guard let range = engine.cut(range, reply: reply) else { return }
    let isWaiting = engine.wait(for: range) { end in
      switch end {
      case .answered(let result): _ = reply(result)
      case .madeWay: self.read(range, reply: reply)
      }
    }
    if isWaiting {
      isDiscarding = false
      for flight in engine.flights.values where flight.buffered.overlaps(range) { flushIfWaited(flight) }
    }
    engine.hurry()
  }

  package func setFilling(_ filling: Filling) { engine.setFilling(filling) }

  /// Goes on where fetching gave up, as a reader's asking would. Calls back with false if no byte could be had.
  package func tryAgain(_ done: @escaping @Sendable (Bool) -> Void) {
    guard engine.closed == nil else { return done(false) }
    guard let gap = engine.plan.extents.firstMissing(in: ByteRange(0, engine.plan.size)) else { return done(true) }
    read(ByteRange(gap.start, gap.start + 1)) { result in
      if case .success = result { done(true) } else { done(false) }
      return nil
    }
  }

  /// The bytes of `range` could not be read back: forget and fetch them again.
  package func distrust(_ range: ByteRange) {
    guard engine.closed == nil, let blocks = engine.forget(range) else { return }
    dropSums(of: blocks)
    presentChanged()
    onBlocks?(blocks, false)
    engine.goOn()
  }

  /// The end: fetches are cancelled, waiters get `error`, the file is unlinked (on a worker thread), then `done`.
  package func close(error: Errno, done: @escaping @Sendable () -> Void) {
    if isRemoved { return done() }
    whenRemoved.append(done)
    guard engine.end(error) else { return }
    withdraw()
    removeIfIdle()
  }

  /// Nothing of it waits for the disk, or keeps a part of it, any more.
  func withdraw() {
    budget.sums.forget(self)
    for chunk in budget.writer.withdraw(self) + (parked ?? []) { budget.buffers.put(chunk.buffer) }
    parked = nil
    budget.release(ticket)
    budget.buffersFreed()
    budget.pump()
  }

  /// A descriptor is closed only after the last write to it: the number may be another file's by then.
  func removeIfIdle() {
    guard engine.closed != nil, jobs == 0, !isRemoving else { return }
    isRemoving = true
    switch ending {
    case .remove:
      let (folder, name, descriptor) = (folder, name, descriptor)
      SerialThread.deletion.run(on: .transfer) {
        folder.remove(name)
        Glibc.close(descriptor)
      } then: { [self] in
        TransferLoop.assumeIsolated { removed() }
      }
    case .park(let body, let done):
      EventLoop.transfer.background(body) {
        done($0)
        self.removed()
      }
    }
  }

  private func removed() {
    isRemoved = true
    let waiting = whenRemoved
    whenRemoved = []
    for done in waiting { done() }
  }

  deinit {
    // Forgotten without `close`: the name stays for the folder's owner, the descriptor does not.
    if !isRemoving { Glibc.close(descriptor) }
  }

  // MARK: For the engine

  var room: FetchRoom { FetchRoom(isBusy: jobs > 0 || parked != nil) }
  func keepRoom(for flight: Flight) {}
  func flush(_ flight: Flight, isLast: Bool) { flush(flight) }
  func settled() { askSums() }

  func mark(_ blocks: [Range<Int>]) {
    noteVersion()
    presentChanged()
    for blocks in blocks { onBlocks?(blocks, true) }
  }
}
