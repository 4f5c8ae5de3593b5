import ByteSource
import Core
import EventLoop
import Glibc
import Synchronization

/// A file's bytes in a window of memory: what readers want now, what they have just had, and what they will want next.
/// Nothing is kept for good, and nothing is on a disk. It owns its `FetchEngine`; the frames are of `WindowPool`.
/// `BackingStores` holds it, and all of it happens on the transfer loop.
@TransferLoop
package final class WindowStore: FetchTarget {
  /// Bytes received so far, at most the file's size; from any thread.
  package nonisolated var bytesPresent: Int64 { min(size, fetched.load(ordering: .relaxed)) }
  private nonisolated let fetched = Atomic<Int64>(0)
  private nonisolated let size: Int64

  package nonisolated let engine: FetchEngine
  nonisolated let budget: FetchBudget
  let pool: WindowPool
  let map: any WindowMap
  private(set) var number = 0
  /// Sums of the beginnings of fetches: what bytes of another access are compared with when those of the first are
  /// gone. The latest ones.
  private var sums: [SourceHeritage.Sample] = []
  /// The version that the map was told of, by its validators and its pinning.
  private var noted: (validators: Int, pinning: Int)?
  private let sumsLimit = 64
  private let sumLength: Int64 = 64 << 10

  /// - Parameters:
  ///   - label: for the log.
  ///   - chunk: bytes; no part that is fetched ahead is longer.
  ///   - heritage: what readers of the file already have, from another store.
  package init(
    label: String, origin: any ByteSource, budget: FetchBudget, pool: WindowPool, map: any WindowMap,
    chunk: Int64 = 4 << 20,
    following heritage: SourceHeritage = SourceHeritage()
  ) {
    self.pool = pool
    self.map = map
    size = origin.size
    var settings = FetchPlan.Settings.window(size: origin.size, blockSize: WindowPool.blockSize)
    settings.partLimit = max(WindowPool.blockSize, chunk)
    self.budget = budget
    engine = FetchEngine(settings, label: label, seed: .random(in: .min ... .max), origin: origin, budget: budget)
    engine.target = self
    number = pool.add(self)
    engine.begin(following: heritage)
    sums = Array(heritage.samples.suffix(sumsLimit))
    engine.know(sums)
  }

  func keys(_ range: ByteRange) -> [WindowFrames.Key] {
    guard !range.isEmpty else { return [] }
    return (range.start / WindowPool.blockSize...(range.end - 1) / WindowPool.blockSize).map {
      .init(file: number, block: Int($0))
    }
  }

  private func bytes(of block: Int) -> ByteRange {
    let start = Int64(block) * WindowPool.blockSize
    return ByteRange(min(start, size), min(start + WindowPool.blockSize, size))
  }

  // MARK: Readers

  package func read(_ range: ByteRange, reply: @escaping StoreReply) {
    guard let range = engine.cut(range, reply: reply) else { return }
    pool.apply(self, range, reply)
    engine.hurry()
  }

  package func setFilling(_ filling: Filling) {
    engine.setFilling(filling)
    if filling.isAny { pool.watch() } else if !filling.isKept { pool.drop(self) }
  }

  /// Bytes that an answer vouched for were not there: forgets them and fetches them again.
  package func distrust(_ range: ByteRange) {
    guard engine.closed == nil, let blocks = engine.forget(ByteRange(min(range.start, size), min(range.end, size)))
    else { return }
    for block in blocks { pool.publish(.init(file: number, block: block), of: self, isWhole: false, renews: true) }
    engine.goOn()
  }

  package func heritage() async -> SourceHeritage {
    guard engine.plan.version.hasBeenGiven else { return SourceHeritage() }
    return SourceHeritage(validators: engine.plan.version.accepted, words: [Validator().word], samples: sums)
  }

  /// A reader's next read does.
  package func tryAgain(_ done: @escaping @Sendable (Bool) -> Void) { done(true) }

  /// The end: fetches are cancelled, waiters get `error`, the frames are others'.
  package func close(error: Errno, done: @escaping @Sendable () -> Void) {
    if engine.end(error) {
      pool.forget(self)
      budget.buffersFreed()
      budget.pump()
    }
    done()
  }

  // MARK: The pool's

  /// The block's frame is another's.
  func evicted(_ block: Int) { _ = engine.forget(bytes(of: block)) }

  /// These blocks were read, up to there.
  func touched(_ parts: [(block: Int, end: Int64)]) {
    for (block, end) in parts {
      let bytes = bytes(of: block)
      engine.touched(ByteRange(bytes.start, min(bytes.end, bytes.start + end)))
    }
    engine.goOn()
  }

  // MARK: For the engine

  var room: FetchRoom { FetchRoom(ahead: pool.room(for: self)) }

  func keepRoom(for flight: Flight) { pool.claim(keys(flight.range)) }

  func flush(_ flight: Flight, isLast: Bool) {
    remember(flight.buffered)
    guard isLast else { return }
    pool.release(keys(flight.range))
    // Bytes that were still coming when the last reader left are not kept.
    if engine.closed == nil, !engine.plan.filling.isKept, engine.plan.waiters.isEmpty { pool.drop(self) }
  }

  func write(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange, of flight: Flight) -> Bool {
    var offset = range.start
    while offset < range.end {
      let key = WindowFrames.Key(file: number, block: Int(offset / WindowPool.blockSize))
      let within = offset % WindowPool.blockSize
      let count = min(range.end - offset, WindowPool.blockSize - within)
      // Claimed since the fetch began, so there is one; what were lost here without a word would count as received with
      // the bytes after it.
      guard let frame = pool.frame(for: key, of: self) else {
        flight.fetch?.cancel()
        return true
      }
      let part = UnsafeRawBufferPointer(rebasing: bytes[Int(offset - range.start)..<Int(offset - range.start + count)])
      if let from = part.baseAddress { (frame + Int(within)).copyMemory(from: from, byteCount: part.count) }
      offset += count
    }
    flight.passed(range)
    fetched.add(range.count, ordering: .relaxed)
    engine.received(flight, upTo: range.end)
    note()
    engine.written(range)
    return true
  }

  func mark(_ blocks: [Range<Int>]) {
    for block in blocks.joined() { pool.publish(.init(file: number, block: block), of: self, isWhole: true) }
  }

  func settled() {}

  // MARK: Another access

  /// A control plane that comes after this one has to know of it before a reader may have a byte.
  private func note() {
    let version = engine.plan.version
    if let noted, noted == (version.accepted.count, version.pinning) { return }
    noted = (version.accepted.count, version.pinning)
    map.note(version: version.accepted.last?.word ?? Validator().word)
  }

  /// Its bytes are still in their frames, which the fetch has claimed.
  private func remember(_ taken: ByteRange) {
    // Some of it may have been taken back meanwhile.
    guard engine.closed == nil, let here = RangeSet(engine.plan.extents.missing(in: taken)).missing(in: taken).first
    else { return }
    let range = ByteRange(here.start, min(here.end, here.start + sumLength))
    guard let sum = sum(range) else { return }
    sums.removeAll { $0.range.start == range.start }
    if sums.count == sumsLimit { sums.removeFirst() }
    sums.append(.init(range: range, sum: sum))
    engine.know(sums)
  }

  private func sum(_ range: ByteRange) -> UInt64? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(range.count))
    for key in keys(range) {
      guard let frame = pool.memory(of: key), let part = self.bytes(of: key.block).intersection(range) else {
        return nil
      }
      bytes.append(
        contentsOf: UnsafeRawBufferPointer(
          start: frame + Int(part.start % WindowPool.blockSize), count: Int(part.count)))
    }
    return SourceHeritage.Sample.sum(bytes)
  }

  func compare(_ bytes: [UInt8], _ range: ByteRange, then done: @escaping (Bool) -> Void) {
    done(sums.contains(.init(at: range.start, bytes)))
  }
}
