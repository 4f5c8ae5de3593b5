import CWire
import Core
import Glibc

/// The control plane's side of the ring of slots.
///
/// `walk` belongs to one thread (the dispatch loop's); `complete` may come from any. Between the two stands a private
/// word per slot, the owner word: the slot's generation plus one, from the walk that took it until it is answered or
/// let go. The thread that takes that word out by exchange answers; every other one is too late and writes nothing. So
/// a row that the shim has used again is never touched by an answer to its former request. The mount's `Dispatch` owns
/// it. It writes slots and rings the shim's doorbell, and touches no file.
// SAFETY: `owners` is accessed by atomics only. A `takes` row is written by the walk before the owner word is stored
// (release), and read by the thread that took the owner word (acquire). The counters belong to the walking thread.
package final class SlotRing: @unchecked Sendable {
  private let region: Region
  private let shimBell: Doorbell
  private let owners: UnsafeMutablePointer<UInt64>
  private let takes: UnsafeMutablePointer<Take>

  /// A taken request's data for its answer, copied because the shim can still change the row.
  private struct Take: BitwiseCopyable {
    var op: UInt32
    var pickedAt: UInt64
    var range: ByteRange
  }

  /// Requests and state words out of range; each was answered EIO or left alone.
  package private(set) var hostileCount: UInt64 = 0
  /// The row of the READ part that the next walk begins with.
  private var next = Int(FSMVP_SLOTS_RESERVED)
  /// The row of the other part that it begins with.
  private var nextReserved = 0
  /// Words left alone, as they stood: each is counted once, for a shim is not to blame for what its predecessor wrote.
  private var refused: [Int: UInt64] = [:]

  /// - Parameter shimBell: rung after each slot handed back.
  package init(region: Region, shimBell: Doorbell) {
    self.region = region
    self.shimBell = shimBell
    owners = Self.zeroed(UInt64.self)
    takes = Self.zeroed(Take.self)
  }

  deinit {
    free(owners)
    free(takes)
  }

  /// A row for each slot, of which only those that are used cost memory. Zero is a word and a request of nobody.
  private static func zeroed<Row: BitwiseCopyable>(_ row: Row.Type) -> UnsafeMutablePointer<Row> {
    guard let rows = calloc(Int(FSMVP_SLOTS), MemoryLayout<Row>.stride) else { fatalError("no memory for a mount") }
    return rows.bindMemory(to: row, capacity: Int(FSMVP_SLOTS))
  }

  // MARK: The walk

  /// Takes submitted slots and hands them out; lets go of cancelled ones. The rows kept for metadata come first; the
  /// others go on where the last walk stopped.
  /// - Parameters:
  ///   - limit: no further slot is taken once those taken weigh so much, for a caller that must not be held up. A
  ///     quarter of it is for READs in any case, however many other requests come.
  ///   - weight: of a request.
  /// - Returns: false if it stopped at the limit, so that there may be more.
  @discardableResult
  package func walk(
    atMost limit: Int = .max, weight: (SlotRequest) -> Int = { _ in 1 }, _ take: (SlotRequest) -> Void
  ) -> Bool {
    let (reserved, high) = (Int(FSMVP_SLOTS_RESERVED), region.slotsHigh)
    var taken = 0
    let take = { (request: SlotRequest) in
      taken += weight(request)
      take(request)
    }
    var left = reserved
    while left > 0, taken < limit {
      look(nextReserved, take)
      nextReserved = (nextReserved + 1) % reserved
      left -= 1
    }
    let end = max(limit, taken + limit / 4)
    for _ in reserved..<high {
      guard taken < end else { return false }
      if next >= high { next = reserved }
      look(next, take)
      next += 1
    }
    return left == 0
  }

  private func look(_ index: Int, _ take: (SlotRequest) -> Void) {
    let word = fsmvp_load_acquire(region.slotWord(index))
    let id = SlotID(index: index, generation: fsmvp_generation(word))
    switch fsmvp_slot_state(rawValue: fsmvp_low(word)) {
    case FSMVP_SUBMITTED:
      pickUp(id, take)
    case FSMVP_CANCELLED: letGo(id)
    case FSMVP_FREE, FSMVP_FILLING, FSMVP_LOCAL, FSMVP_TAKEN, FSMVP_DONE, FSMVP_CANCEL_DONE: break
    default: refuse(index, word)
    }
  }

  private func pickUp(_ id: SlotID, _ take: (SlotRequest) -> Void) {
    // An honest shim submits a slot again only after it was answered; a row still owned is not handed out a second
    // time.
    guard fsmvp_load_acquire(owners + id.index) == 0 else {
      refuse(id.index, fsmvp_pack(FSMVP_SUBMITTED.rawValue, id.generation))
      return
    }
    guard step(id, FSMVP_SUBMITTED, FSMVP_TAKEN) else { return }
    fsmvp_kill_point("control.taken")
    let row = region.slot(id.index)
    let now = fsmvp_now()
    let request = SlotRequest(id, from: row)
    let op = row.load32(SlotField.op)
    var range = ByteRange(0, 0)
    if case .read(let asked) = request?.call { range = asked }
    // Read a second time, so it may be another than `request` was made of; a number of a histogram row it is in any
    // case.
    let measured = op < FSMVP_OP_COUNT.rawValue ? op : FSMVP_OP_OTHER.rawValue
    takes[id.index] = Take(op: measured, pickedAt: now, range: range)
    row.store(SlotField.pickedAt, now)
    fsmvp_store_release(owners + id.index, UInt64(id.generation) + 1)
    guard let request else {
      hostileCount &+= 1
      complete(id, .failed(.io))
      return
    }
    region.record(op: measured, segment: FSMVP_SEGMENT_PICKUP, from: row.load(SlotField.submittedAt), to: now)
    take(request)
  }

  private func refuse(_ index: Int, _ word: UInt64) {
    guard refused.updateValue(word, forKey: index) != word else { return }
    hostileCount &+= 1
  }

  private func letGo(_ id: SlotID) {
    // Lost to an answer that is under way: that one finds CANCELLED and lets go itself.
    guard fsmvp_cas(owners + id.index, UInt64(id.generation) + 1, 0) else { return }
    fsmvp_kill_point("control.cancelled")
    guard step(id, FSMVP_CANCELLED, FSMVP_CANCEL_DONE) else { return }
    fsmvp_kill_point("control.cancel_done")
    shimBell.ring()
  }

  /// Takes over a living shim's slots from a dead control plane: its taken ones are submitted again, cancelled ones are
  /// let go.
  package func adopt() {
    for index in 0..<region.slotsHigh {
      let id = SlotID(index: index, generation: fsmvp_generation(fsmvp_load_acquire(region.slotWord(index))))
      guard step(id, FSMVP_TAKEN, FSMVP_SUBMITTED) || step(id, FSMVP_CANCELLED, FSMVP_CANCEL_DONE) else { continue }
      fsmvp_kill_point("control.adopt.slot")
    }
    shimBell.ring()
  }

  /// Answers every slot in hand with `error`. On the walking thread.
  package func failAll(_ error: Errno) {
    for index in 0..<Int(FSMVP_SLOTS) {
      let owner = fsmvp_load_acquire(owners + index)
      if owner != 0 {
        complete(SlotID(index: index, generation: UInt32(truncatingIfNeeded: owner - 1)), .failed(error))
      }
    }
  }

  /// How many slots are taken and not answered.
  package var inHand: Int { (0..<Int(FSMVP_SLOTS)).reduce(0) { $0 + (fsmvp_load_relaxed(owners + $1) == 0 ? 0 : 1) } }

  // MARK: Answers

  /// Whether an answer to the slot would still be taken. From any thread.
  package func isWanted(_ id: SlotID) -> Bool {
    fsmvp_load_acquire(owners + id.index) == UInt64(id.generation) + 1
      && fsmvp_load_acquire(region.slotWord(id.index)) == fsmvp_pack(FSMVP_TAKEN.rawValue, id.generation)
  }

  /// Answers a slot, from any thread. False, and nothing was written, where it was answered or cancelled before.
  @discardableResult
  package func complete(_ id: SlotID, _ answer: SlotAnswer) -> Bool {
    guard fsmvp_cas(owners + id.index, UInt64(id.generation) + 1, 0) else { return false }
    let take = takes[id.index]
    let row = region.slot(id.index)
    let now = fsmvp_now()
    fsmvp_kill_point("control.answer")
    write(answer, of: take, to: row, id)
    row.store(SlotField.completedAt, now)
    fsmvp_kill_point("control.written")
    let isDone = step(id, FSMVP_TAKEN, FSMVP_DONE)
    // The owner word was ours when the shim cancelled, so letting go is ours too.
    if !isDone { _ = step(id, FSMVP_CANCELLED, FSMVP_CANCEL_DONE) }
    fsmvp_kill_point("control.done")
    region.record(op: take.op, segment: FSMVP_SEGMENT_COMPLETE, from: take.pickedAt, to: now)
    shimBell.ring()
    return isDone
  }

  /// Whether the shim may still read the bytes that the slot's answer vouched for. From any thread.
  package func isUnderWay(_ id: SlotID) -> Bool {
    fsmvp_load_acquire(region.slotWord(id.index)) == fsmvp_pack(FSMVP_DONE.rawValue, id.generation)
  }

  private func write(_ answer: SlotAnswer, of take: Take, to row: SharedBytes, _ id: SlotID) {
    var error: Int32 = 0
    var length: UInt32 = 0
    var lease: UInt64 = 0
    switch answer {
    // The kernel takes no error past 511.
    case .failed(let errno): error = errno.code > 0 && errno.code < 512 ? -errno.code : -Errno.io.code
    case .attributes(let attributes): attributes.write(to: row, at: SlotField.attributes)
    case .opened(let id, let keepsPages):
      lease = id
      length = keepsPages ? 0 : FSMVP_OPEN_DROPS_PAGES
    case .bytes(let range, let from) where range.start <= take.range.start:
      length = UInt32(max(0, min(range.end, take.range.end) - take.range.start))
      lease = from
    case .bytes: error = -Errno.io.code
    case .payload(let bytes) where bytes.count <= Payload.listing(ofSlot: id.index):
      region.payload(id.index, for: bytes.count).copyIn(0, bytes)
      fsmvp_kill_point("control.payload")
      length = UInt32(bytes.count)
    case .payload: error = -Errno.io.code
    }
    row.store32(SlotField.error, UInt32(bitPattern: error))
    row.store32(SlotField.length, length)
    row.store(SlotField.lease, lease)
    // Every use of a frame that this answer may be about has begun.
    row.store32(SlotField.windowGeneration, region.windowGeneration)
  }

  private func step(_ id: SlotID, _ from: fsmvp_slot_state, _ to: fsmvp_slot_state) -> Bool {
    fsmvp_slot_step(region.slotWord(id.index), FSMVP_SIDE_CONTROL, id.generation, from.rawValue, to.rawValue)
  }
}
