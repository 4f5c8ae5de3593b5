import CXXHash
import Core
import EventLoop
import Glibc
import Synchronization
import Transfer

/// A file's bytes in a window of memory: what readers want now, what they have just had, and what they will want next. Nothing is kept for good, and
/// nothing is on a disk.
@TransferLoop
package final class WindowStore: FetchStore {
  /// Bytes received so far, at most the file's size; from any thread.
  package nonisolated var bytesPresent: Int64 { min(size, fetched.load(ordering: .relaxed)) }
  private nonisolated let fetched = Atomic<Int64>(0)
  private nonisolated let size: Int64

  let pool: WindowPool
  let map: any WindowMap
  private(set) var number = 0
  /// Sums of the beginnings of fetches: what bytes of another link are compared with when those of the first are gone. The latest ones.
  private var sums: [(range: ByteRange, sum: UInt64)] = []
  private let sumsLimit = 64
  private let sumLength: Int64 = 64 << 10

  /// - Parameters:
  ///   - label: for the log.
  ///   - chunk: bytes; no part that is fetched ahead is longer.
  ///   - versions: what came of the file from elsewhere was of these (`Validator.version`); empty: nothing did, or nobody knows.
  package init(
    label: String, origin: any Origin, budget: FetchBudget, pool: WindowPool, map: any WindowMap, chunk: Int64 = 4 << 20,
    following versions: [UInt64] = []
  ) {
    self.pool = pool
    self.map = map
    size = origin.size
    var settings = FetchPlan.Settings.window(size: origin.size, blockSize: WindowPool.blockSize)
    settings.partLimit = max(WindowPool.blockSize, chunk)
    super.init(settings, label: label, seed: .random(in: .min ... .max), origin: origin, budget: budget)
    number = pool.add(self)
    expected = versions.filter { $0 != 0 }
  }

  func keys(_ range: ByteRange) -> [WindowPlaces.Key] {
    guard !range.isEmpty else { return [] }
    return (range.start / WindowPool.blockSize...(range.end - 1) / WindowPool.blockSize).map { .init(file: number, block: Int($0)) }
  }

  private func bytes(of block: Int) -> ByteRange {
    let start = Int64(block) * WindowPool.blockSize
    return ByteRange(min(start, plan.size), min(start + WindowPool.blockSize, plan.size))
  }

  // MARK: Readers

  override func accept(_ range: ByteRange, reply: @escaping StoreReply) { pool.apply(self, range, reply) }
  override func left(_ waiter: Waiting, delivery: (@Sendable () -> Bool)?) { pool.leave(keys(waiter.range), delivery: delivery) }

  package override func setFilling(_ isFilling: Bool) {
    super.setFilling(isFilling)
    if isFilling { pool.watch() } else { pool.drop(self) }
  }

  /// What somebody was told is here was not: forget and fetch it again.
  package func distrust(_ range: ByteRange) {
    guard closed == nil, let blocks = plan.distrust(ByteRange(min(range.start, plan.size), min(range.end, plan.size))) else { return }
    for block in blocks { pool.publish(.init(file: number, block: block), of: self, isWhole: false, renews: true) }
    act(plan.needLink(now))
  }

  /// A reader's next read does.
  package func tryAgain() {}

  /// The end: fetches are cancelled, waiters get `error`, the places are others'.
  package func close(error: Errno, done: @escaping @Sendable () -> Void) {
    if end(error) {
      pool.forget(self)
      budget.buffersFreed()
      budget.pump()
    }
    done()
  }

  // MARK: The pool's

  /// The block's place is another's.
  func evicted(_ block: Int) { _ = plan.distrust(bytes(of: block)) }

  /// These blocks were read, up to there.
  func touched(_ parts: [(block: Int, end: Int64)]) {
    for (block, end) in parts {
      let bytes = bytes(of: block)
      plan.touched(ByteRange(bytes.start, min(bytes.end, bytes.start + end)))
    }
    act(plan.needLink(now))
  }

  // MARK: The engine's

  override var room: Int64 { pool.room(for: self) }

  override func begins(_ slot: FetchSlot) { if slot.probe == nil { pool.claim(keys(slot.range)) } }

  override func slotLeft(_ slot: FetchSlot) {
    guard slot.probe == nil else { return }
    remember(slot.buffered)
    pool.release(keys(slot.range))
    // What was still coming when the last reader left.
    if closed == nil, !plan.isFilling, plan.waiters.isEmpty { pool.drop(self) }
  }

  override func take(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange, of slot: FetchSlot) -> Bool {
    var offset = range.start
    while offset < range.end {
      let key = WindowPlaces.Key(file: number, block: Int(offset / WindowPool.blockSize))
      let within = offset % WindowPool.blockSize
      let count = min(range.end - offset, WindowPool.blockSize - within)
      // Claimed since the fetch began, so there is one; what were lost here without a word would count as received with the bytes after it.
      guard let place = pool.place(for: key, of: self) else {
        slot.fetch?.cancel()
        return true
      }
      let part = UnsafeRawBufferPointer(rebasing: bytes[Int(offset - range.start)..<Int(offset - range.start + count)])
      if let from = part.baseAddress { (place + Int(within)).copyMemory(from: from, byteCount: part.count) }
      offset += count
    }
    slot.buffered = slot.buffered.isEmpty ? range : ByteRange(slot.buffered.start, range.end)
    fetched.add(range.count, ordering: .relaxed)
    plan.received(slot.id, upTo: range.end, now: now)
    let (blocks, actions) = plan.written(range, now: now)
    for block in blocks ?? 0..<0 { pool.publish(.init(file: number, block: block), of: self, isWhole: true) }
    if blocks != nil || !actions.isEmpty { act(actions) }
    return true
  }

  // MARK: Another link

  override func pinned() { map.note(version: pin.accepted.last?.version ?? 0) }

  override func unpinned() {
    sums = []
    plan.samples = []
  }

  /// Its bytes are still in their places, which the fetch has claimed.
  private func remember(_ taken: ByteRange) {
    // Some of it may have been taken back meanwhile.
    guard closed == nil, let here = RangeSet(plan.extents.missing(in: taken)).missing(in: taken).first else { return }
    let range = ByteRange(here.start, min(here.end, here.start + sumLength))
    guard let sum = sum(range) else { return }
    sums.removeAll { $0.range.start == range.start }
    if sums.count == sumsLimit { sums.removeFirst() }
    sums.append((range, sum))
    plan.samples = sums.map(\.range)
  }

  private func sum(_ range: ByteRange) -> UInt64? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(range.count))
    for key in keys(range) {
      guard let place = pool.memory(of: key), let part = self.bytes(of: key.block).intersection(range) else { return nil }
      bytes.append(
        contentsOf: UnsafeRawBufferPointer(start: place + Int(part.start % WindowPool.blockSize), count: Int(part.count)))
    }
    return bytes.withUnsafeBytes { cxxhash($0.baseAddress, $0.count, 0) }
  }

  override func probeEnded(_ slot: FetchSlot, _ bytes: [UInt8]) {
    guard case .fetching(slot.id, let range) = plan.comparison else { return }
    let sum = bytes.withUnsafeBytes { cxxhash($0.baseAddress, $0.count, 0) }
    compared(isEqual: sums.contains { $0.range == range && $0.sum == sum })
  }
}
