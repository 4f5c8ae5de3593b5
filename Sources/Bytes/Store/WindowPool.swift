import Core
import EventLoop
import Glibc

/// Tells the code that serves a file's blocks which frame of the window each is in; a lease's map, or a test's. Any
/// thread.
package protocol WindowMap: Sendable {
  /// `block` is in `frame` from now on, under a generation that no frame had before. Not whole: only an answer that
  /// vouches for the part that is there allows reading it.
  func put(_ block: Int, frame: Int, generation: UInt32, isWhole: Bool)
  /// The block is nowhere. A reader in the middle of it finds that out; the frame can be written to once this returns.
  func clear(_ block: Int)
  /// Stores which version of its source the file is of (`Validator.word`), for the process that comes after this one.
  func note(version: UInt64)
}

/// The window of a mount: a bounded piece of memory that holds blocks of all its files; one, on the transfer loop. The
/// memory is the caller's memfd, which the shim reads from. `StoreMaker` makes and owns it; the pool owns the mapping
/// and what is in which frame, and tells the stores and the leases' maps.
@TransferLoop
package final class WindowPool {
  package nonisolated static let blockSize: Int64 = 256 << 10
  /// Frames behind the budget, so that the largest read has its blocks in the smallest window.
  private nonisolated static let spare = 16
  /// Bytes that were fetched ahead and not read for so long may give way to those ahead of another reader.
  private nonisolated static let patience: UInt64 = 10_000_000_000

  /// Bytes.
  package nonisolated let budget: Int64
  package var bytesInUse: Int64 { Int64(frames.inUse) * Self.blockSize }

  private(set) var frames: WindowFrames
  private let memory: UnsafeMutableRawPointer
  private let lastUse: @Sendable (Int) -> UInt64
  private let clock: any TimeSource
  private var generations: [UInt32]
  private var nextGeneration: UInt32
  private var stores: [Int: WindowStore] = [:]
  private var nextStore = 1

  private struct Applicant {
    let number: Int
    let store: WindowStore
    let range: ByteRange
    let reply: StoreReply
    /// How long it was let in before, in vain.
    var waited = Duration.zero
  }
  private struct Held {
    let keys: [WindowFrames.Key]
    let isUnderWay: @Sendable () -> Bool
  }
  private var queue: [Applicant] = []
  private var nextApplicant = 1
  private var held: [Held] = []
  private var isPumping = false
  private var timer: LoopTimer?
  private var period = Duration.milliseconds(5)
  /// When it looks next.
  private(set) var due: Moment?

  /// - Parameters:
  ///   - descriptor: of a memfd of at least `frames` blocks; outlives the pool.
  ///   - budget: bytes of it to use.
  ///   - generation: none up to this is used again.
  ///   - lastUse: when a frame was last read (monotonic nanoseconds), in the low 7 bits how far into it (pages of 4
  ///     KiB); a hint.
  package init?(
    descriptor: Int32, frames count: Int, budget: Int64, generation: UInt32 = 0, clock: any TimeSource = SystemClock(),
    lastUse: @escaping @Sendable (Int) -> UInt64
  ) {
    let capacity = max(1, min(Int(clamping: budget / Self.blockSize), count - Self.spare))
    let limit = min(count, capacity + Self.spare)
    let bytes = limit * Int(Self.blockSize)
    let mapped = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0)
    guard let mapped, mapped != MAP_FAILED else { return nil }
    memory = mapped
    frames = WindowFrames(capacity: capacity, limit: limit)
    self.budget = Int64(capacity) * Self.blockSize
    self.clock = clock
    self.lastUse = lastUse
    generations = Array(repeating: 0, count: limit)
    nextGeneration = generation &+ 1
    // Bytes that an earlier control plane left there belong to no file.
    madvise(mapped, bytes, MADV_REMOVE)
  }

  isolated deinit { munmap(memory, generations.count * Int(Self.blockSize)) }

  // MARK: Stores

  func add(_ store: WindowStore) -> Int {
    defer { nextStore += 1 }
    stores[nextStore] = store
    return nextStore
  }

  /// Nothing of it stays.
  func forget(_ store: WindowStore) {
    let gone = queue.filter { $0.store === store }
    queue.removeAll { $0.store === store }
    for applicant in gone { _ = applicant.reply(.failure(store.engine.closed ?? .io)) }
    held.removeAll { held in
      guard held.keys.first?.file == store.number else { return false }
      frames.leave(held.keys)
      return true
    }
    drop(store)
    stores[store.number] = nil
    pump()
  }

  /// Gives the store's unclaimed blocks back to the system.
  func drop(_ store: WindowStore) {
    for key in frames.keys(of: store.number) where frames.claims[key] == nil || store.engine.closed != nil {
      evict(key)
    }
  }

  private func evict(_ key: WindowFrames.Key) {
    if let store = stores[key.file] {
      store.map.clear(key.block)
      store.evicted(key.block)
    }
    if let frame = frames.remove(key) { madvise(bytes(of: frame), Int(Self.blockSize), MADV_REMOVE) }
  }

  private func leave(_ keys: [WindowFrames.Key]) {
    frames.leave(keys)
    shrink()
  }

  private func shrink() { while let surplus = frames.surplus() { evict(surplus) } }

  // MARK: Readers

  func apply(_ store: WindowStore, _ range: ByteRange, _ reply: @escaping StoreReply) {
    enqueue(store, range, reply)
    pump()
  }

  private func enqueue(
    _ store: WindowStore, _ range: ByteRange, _ reply: @escaping StoreReply, waited: Duration = .zero
  ) {
    queue.append(Applicant(number: nextApplicant, store: store, range: range, reply: reply, waited: waited))
    nextApplicant += 1
  }

  /// A reader leaves; while `delivery` says so it still reads.
  private func leave(_ keys: [WindowFrames.Key], delivery: (@Sendable () -> Bool)?) {
    if let delivery, delivery() {
      held.append(Held(keys: keys, isUnderWay: delivery))
      watch()
    } else {
      leave(keys)
    }
    if !queue.isEmpty { pump() }
  }

  /// Lets readers in, in order, while there is room. No reader waits for speculation, nor for ever for readers whose
  /// bytes do not come.
  private func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while let first = queue.first(where: { !$0.store.engine.rests }) {
      let keys = first.store.keys(first.range)
      if !frames.admits(keys) { sweep() }
      while !frames.admits(keys), let donor = stores.values.first(where: { $0.engine.canYield }) {
        donor.engine.yield()
      }
      while !frames.admits(keys), let silent = stores.values.first(where: { keepsOthersOut($0) }) {
        silent.engine.stepBack()
      }
      // It rests itself now, or its file was closed by an answer.
      guard !first.store.engine.rests, let index = queue.firstIndex(where: { $0.number == first.number }) else {
        continue
      }
      guard frames.admits(keys) else { return watch() }
      queue.remove(at: index)
      frames.enter(keys)
      letIn(first, keys)
    }
    if !queue.isEmpty { watch() }
  }

  private func keepsOthersOut(_ store: WindowStore) -> Bool {
    store.engine.mayStepBack && queue.contains { $0.store !== store && !$0.store.engine.rests }
  }

  private func letIn(_ applicant: Applicant, _ keys: [WindowFrames.Key]) {
    applicant.store.engine.wait(for: applicant.range, waited: applicant.waited) { end in
      switch end {
      case .answered(let result): self.leave(keys, delivery: applicant.reply(result))
      case .madeWay(let waited):
        self.enqueue(applicant.store, applicant.range, applicant.reply, waited: waited)
        self.leave(keys)
      }
    }
  }

  /// Readers whose answer has been taken have left.
  private func sweep() {
    held.removeAll { held in
      guard !held.isUnderWay() else { return false }
      leave(held.keys)
      return true
    }
  }

  // MARK: Fetches

  func claim(_ keys: [WindowFrames.Key]) { for key in keys { frames.claim(key) } }

  func release(_ keys: [WindowFrames.Key]) {
    for key in keys { frames.release(key) }
    shrink()
    if !queue.isEmpty { pump() }
  }

  /// Bytes that `store` may fetch ahead of its readers: what there is room for, of which no file has more than its
  /// share.
  func room(for store: WindowStore) -> Int64 {
    let filling = max(1, stores.values.count { $0.engine.plan.isFilling })
    let share = frames.capacity * 3 / 4 / filling - frames.unread(of: store.number)
    // A part may begin and end inside a block.
    let room = min(share, frames.room(now: clock.now().nanoseconds, patience: Self.patience)) - 1
    return queue.contains { !$0.store.engine.rests } ? 0 : Int64(max(0, room)) * Self.blockSize
  }

  // MARK: Frames

  /// The memory of a claimed block of `store`; nil where there is none to be had.
  func frame(for key: WindowFrames.Key, of store: WindowStore) -> UnsafeMutableRawPointer? {
    if let frame = frames.frame(of: key) { return bytes(of: frame) }
    let frame: Int
    switch frames.allocate(key, now: clock.now().nanoseconds) {
    case .none: return nil
    case .frame(let free): frame = free
    case .taken(let taken, let from):
      frame = taken
      guard let other = stores[from.file] else { break }
      other.map.clear(from.block)
      other.evicted(from.block)
    }
    publish(key, frame, of: store, isWhole: false, renews: true)
    return bytes(of: frame)
  }

  /// The block's memory, if it has a frame.
  func memory(of key: WindowFrames.Key) -> UnsafeMutableRawPointer? { frames.frame(of: key).map(bytes) }

  /// - Parameter renews: what was said of the frame before is not to be believed.
  func publish(_ key: WindowFrames.Key, of store: WindowStore, isWhole: Bool, renews: Bool = false) {
    if let frame = frames.frame(of: key) { publish(key, frame, of: store, isWhole: isWhole, renews: renews) }
  }

  private func publish(_ key: WindowFrames.Key, _ frame: Int, of store: WindowStore, isWhole: Bool, renews: Bool) {
    if renews {
      generations[frame] = nextGeneration
      nextGeneration = nextGeneration == .max ? 1 : nextGeneration + 1
    }
    store.map.put(key.block, frame: frame, generation: generations[frame], isWhole: isWhole)
  }

  private func bytes(of frame: Int) -> UnsafeMutableRawPointer { memory + frame * Int(Self.blockSize) }

  // MARK: Looking

  /// Looks from time to time which frames were read, more and more seldom while none is: a reader does not report its
  /// reads.
  func watch() {
    if timer == nil { timer = try? LoopTimer(on: .transfer) { [weak self] in self?.look() } }
    period = queue.isEmpty ? .milliseconds(5) : .milliseconds(1)
    arm()
  }

  private func arm() {
    let moment = clock.now() + period
    // If every arrival put the look off, it would never come while many arrive.
    if let due, due <= moment { return }
    due = moment
    timer?.start(after: period)
  }

  func look() {
    due = nil
    sweep()
    var read: [Int: [(block: Int, end: Int64)]] = [:]
    for (number, frame) in frames.frames.enumerated() {
      guard let frame else { continue }
      let (used, pages) = (lastUse(number) & ~127, Int64(lastUse(number) & 127))
      // Not before its bytes came: that was the block before it.
      guard used > frame.used else { continue }
      frames.read(number, at: used)
      read[frame.key.file, default: []].append((frame.key.block, min(pages << 12, Self.blockSize)))
    }
    for (file, parts) in read { stores[file]?.touched(parts) }
    pump()
    guard stores.values.contains(where: { $0.engine.plan.isFilling }) || !held.isEmpty || !queue.isEmpty else { return }
    if !queue.isEmpty {
      period = .milliseconds(1)
    } else {
      period = read.isEmpty ? min(.milliseconds(200), period * 2) : .milliseconds(5)
    }
    arm()
  }

  /// For tests: nothing is left of what stores took.
  var isUnused: Bool {
    frames.inUse == 0 && frames.claimed == 0 && frames.readers == 0 && queue.isEmpty && held.isEmpty
  }
}
