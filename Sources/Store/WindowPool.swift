import Core
import EventLoop
import Glibc

/// Says of the blocks of a file, to whoever serves them, which place of the window each is in; a lease's map, or a test's. Any thread.
package protocol WindowMap: Sendable {
  /// `block` is in `place` from now on, under a generation that no place had before. Not whole: only who was told of the part that is there may read it.
  func put(_ block: Int, place: Int, generation: UInt32, isWhole: Bool)
  /// It is nowhere. Whoever reads it in this moment finds that out; the place can be written to once this returns.
  func clear(_ block: Int)
  /// Which version of its source the file is of (`Validator.version`), for who comes after this process.
  func note(version: UInt64)
}

/// The window of a mount: a bounded piece of memory that holds blocks of all its files; one, on the transfer loop. The memory is the caller's memfd, which
/// the shim reads from.
@TransferLoop
package final class WindowPool {
  package nonisolated static let blockSize: Int64 = 256 << 10
  /// Places behind the budget, so that the largest read has its blocks in the smallest window.
  private nonisolated static let spare = 16
  /// What was fetched ahead and not read for so long may give way to what another reader is ahead.
  private nonisolated static let patience: UInt64 = 10_000_000_000

  /// Bytes.
  package nonisolated let budget: Int64
  package var bytesInUse: Int64 { Int64(places.inUse) * Self.blockSize }

  private(set) var places: WindowPlaces
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
    let keys: [WindowPlaces.Key]
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
  ///   - descriptor: of a memfd of at least `places` blocks; outlives the pool.
  ///   - budget: bytes of it to use.
  ///   - generation: none up to this is used again.
  ///   - lastUse: when somebody last read from a place (monotonic nanoseconds), in the low 7 bits how far into it (pages of 4 KiB); a hint.
  package init?(
    descriptor: Int32, places count: Int, budget: Int64, generation: UInt32 = 0, clock: any TimeSource = SystemClock(),
    lastUse: @escaping @Sendable (Int) -> UInt64
  ) {
    let capacity = max(1, min(Int(clamping: budget / Self.blockSize), count - Self.spare))
    let limit = min(count, capacity + Self.spare)
    let bytes = limit * Int(Self.blockSize)
    let mapped = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0)
    guard let mapped, mapped != MAP_FAILED else { return nil }
    memory = mapped
    places = WindowPlaces(capacity: capacity, limit: limit)
    self.budget = Int64(capacity) * Self.blockSize
    self.clock = clock
    self.lastUse = lastUse
    generations = Array(repeating: 0, count: limit)
    nextGeneration = generation &+ 1
    // What an earlier control plane left there is nobody's.
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
    for applicant in gone { _ = applicant.reply(.failure(store.closed ?? .io)) }
    held.removeAll { held in
      guard held.keys.first?.file == store.number else { return false }
      places.leave(held.keys)
      return true
    }
    drop(store)
    stores[store.number] = nil
    pump()
  }

  /// Its blocks that nobody needs now, back to the system.
  func drop(_ store: WindowStore) {
    for key in places.keys(of: store.number) where places.claims[key] == nil || store.closed != nil { evict(key) }
  }

  private func evict(_ key: WindowPlaces.Key) {
    if let store = stores[key.file] {
      store.map.clear(key.block)
      store.evicted(key.block)
    }
    if let place = places.remove(key) { madvise(bytes(of: place), Int(Self.blockSize), MADV_REMOVE) }
  }

  private func leave(_ keys: [WindowPlaces.Key]) {
    places.leave(keys)
    shrink()
  }

  private func shrink() { while let surplus = places.surplus() { evict(surplus) } }

  // MARK: Readers

  func apply(_ store: WindowStore, _ range: ByteRange, _ reply: @escaping StoreReply) {
    enqueue(store, range, reply)
    pump()
  }

  private func enqueue(_ store: WindowStore, _ range: ByteRange, _ reply: @escaping StoreReply, waited: Duration = .zero) {
    queue.append(Applicant(number: nextApplicant, store: store, range: range, reply: reply, waited: waited))
    nextApplicant += 1
  }

  /// A reader leaves; while `delivery` says so it still reads.
  func leave(_ keys: [WindowPlaces.Key], delivery: (@Sendable () -> Bool)?) {
    if let delivery, delivery() {
      held.append(Held(keys: keys, isUnderWay: delivery))
      watch()
    } else {
      leave(keys)
    }
    if !queue.isEmpty { pump() }
  }

  /// Lets in, in order, whoever there is room for. Nobody waits for what is only speculation, nor for ever for readers whose bytes do not come.
  private func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while let first = queue.first(where: { !$0.store.rests }) {
      let keys = first.store.keys(first.range)
      if !places.admits(keys) { sweep() }
      while !places.admits(keys), let donor = stores.values.first(where: { $0.canYield }) { donor.yield() }
      while !places.admits(keys), let silent = stores.values.first(where: { keepsOthersOut($0) }) { stepBack(silent) }
      // It rests itself now, or its file was closed by an answer.
      guard !first.store.rests, let index = queue.firstIndex(where: { $0.number == first.number }) else { continue }
      guard places.admits(keys) else { return watch() }
      queue.remove(at: index)
      places.enter(keys)
      first.store.wait(for: first.range, waited: first.waited, reply: first.reply)
    }
    if !queue.isEmpty { watch() }
  }

  private func keepsOthersOut(_ store: WindowStore) -> Bool {
    store.mayStepBack && queue.contains { $0.store !== store && !$0.store.rests }
  }

  private func stepBack(_ store: WindowStore) {
    for (waiting, waited) in store.stepBack() {
      enqueue(store, waiting.range, waiting.reply, waited: waited)
      leave(store.keys(waiting.range))
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

  func claim(_ keys: [WindowPlaces.Key]) { for key in keys { places.claim(key) } }

  func release(_ keys: [WindowPlaces.Key]) {
    for key in keys { places.release(key) }
    shrink()
    if !queue.isEmpty { pump() }
  }

  /// Bytes that `store` may fetch ahead of its readers: what there is place for, of which no file has more than its share.
  func room(for store: WindowStore) -> Int64 {
    let filling = max(1, stores.values.count { $0.plan.isFilling })
    let share = places.capacity * 3 / 4 / filling - places.unread(of: store.number)
    // A part may begin and end inside a block.
    let room = min(share, places.room(now: clock.now().nanoseconds, patience: Self.patience)) - 1
    return queue.contains { !$0.store.rests } ? 0 : Int64(max(0, room)) * Self.blockSize
  }

  // MARK: Places

  /// The memory of a claimed block of `store`; nil where there is none to be had.
  func place(for key: WindowPlaces.Key, of store: WindowStore) -> UnsafeMutableRawPointer? {
    if let place = places.place(of: key) { return bytes(of: place) }
    let place: Int
    switch places.allocate(key, now: clock.now().nanoseconds) {
    case .none: return nil
    case .place(let free): place = free
    case .taken(let taken, let from):
      place = taken
      guard let other = stores[from.file] else { break }
      other.map.clear(from.block)
      other.evicted(from.block)
    }
    publish(key, place, of: store, isWhole: false, renews: true)
    return bytes(of: place)
  }

  /// Where a block is, if it is.
  func memory(of key: WindowPlaces.Key) -> UnsafeMutableRawPointer? { places.place(of: key).map(bytes) }

  /// - Parameter renews: what was said of the place before is not to be believed.
  func publish(_ key: WindowPlaces.Key, of store: WindowStore, isWhole: Bool, renews: Bool = false) {
    if let place = places.place(of: key) { publish(key, place, of: store, isWhole: isWhole, renews: renews) }
  }

  private func publish(_ key: WindowPlaces.Key, _ place: Int, of store: WindowStore, isWhole: Bool, renews: Bool) {
    if renews {
      generations[place] = nextGeneration
      nextGeneration = nextGeneration == .max ? 1 : nextGeneration + 1
    }
    store.map.put(key.block, place: place, generation: generations[place], isWhole: isWhole)
  }

  private func bytes(of place: Int) -> UnsafeMutableRawPointer { memory + place * Int(Self.blockSize) }

  // MARK: Looking

  /// Looks from time to time what was read, more and more seldom while nothing is: a reader tells nobody that it takes what is here.
  func watch() {
    if timer == nil { timer = try? LoopTimer(on: .transfer) { [weak self] in self?.look() } }
    period = queue.isEmpty ? .milliseconds(5) : .milliseconds(1)
    arm()
  }

  private func arm() {
    let moment = clock.now() + period
    // Put off by everybody who comes meanwhile, it would never look where many come.
    if let due, due <= moment { return }
    due = moment
    timer?.start(after: period)
  }

  func look() {
    due = nil
    sweep()
    var read: [Int: [(block: Int, end: Int64)]] = [:]
    for (number, place) in places.places.enumerated() {
      guard let place else { continue }
      let (used, pages) = (lastUse(number) & ~127, Int64(lastUse(number) & 127))
      // Not before its bytes came: that was the block before it.
      guard used > place.used else { continue }
      places.read(number, at: used)
      read[place.key.file, default: []].append((place.key.block, min(pages << 12, Self.blockSize)))
    }
    for (file, parts) in read { stores[file]?.touched(parts) }
    pump()
    guard stores.values.contains(where: { $0.plan.isFilling }) || !held.isEmpty || !queue.isEmpty else { return }
    if !queue.isEmpty {
      period = .milliseconds(1)
    } else {
      period = read.isEmpty ? min(.milliseconds(200), period * 2) : .milliseconds(5)
    }
    arm()
  }

  /// For tests: nothing is left of what stores took.
  var isUnused: Bool { places.inUse == 0 && places.claimed == 0 && places.readers == 0 && queue.isEmpty && held.isEmpty }
}
