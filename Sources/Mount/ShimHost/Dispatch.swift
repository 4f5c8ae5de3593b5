import Core
import EventLoop
import Glibc
import Telemetry
import Volume
import Wire

/// Takes slots and closed handles from the region and asks the volume. Only questions come through here: the answer is
/// written straight into the slot by the thread that has it.
///
/// It runs on the dispatch loop, mostly inside the doorbell's callback, and waits for nothing. The mount's `Channel`
/// owns it, and it owns the table of open handles. Slots and handle rows are the region's: it writes one only while the
/// state word says that it is control's.
///
/// A value out of range in the region costs the request or the handle it is in: that one is answered EIO or left alone,
/// counted, and said in the log. No shim is replaced for it, since what is written there would stand there for its
/// successor too.
@DispatchLoop
final class Dispatch {
  /// A step of the loop takes slots of so much weight, looks at so many rows of handles and tells of so many closes,
  /// and then lets others have their turn.
  static let slotsAStep = 64
  private static let rowsAStep = 4096
  static let closesAStep = 32
  private static let opensAStep = 2048
  /// Between two looks at a long handle table.
  private static let pauseOfLooks = Duration.milliseconds(10)

  private let region: Region
  private let ring: SlotRing
  private let rows: HandleRows
  private let answers: SlotAnswers
  private let volume: any Volume
  private var opened = OpenTable()
  /// Nil: the table is to be looked at, whatever the count says.
  private var releasedSeen: UInt64?
  private var isLooking = false
  private var isServingAgain = false
  private var pauseTimer: LoopTimer?
  /// Handles opened twice, for two nodes.
  private var hostileHandles: UInt64 = 0
  private var hostileSaid: (count: UInt64, at: Moment?) = (0, nil)
  /// Every request is answered EIO from the moment this is set.
  private var isEnding = false

  init(region: Region, shimBell: Doorbell, volume: any Volume) {
    self.region = region
    self.volume = volume
    ring = SlotRing(region: region, shimBell: shimBell)
    answers = SlotAnswers(ring)
    rows = HandleRows(region: region)
  }

  // MARK: Status

  var openHandles: Int { opened.count }
  /// Requests taken and not answered.
  var inHand: Int { ring.inHand }
  /// Values of the shim out of range so far.
  var hostileCount: UInt64 { ring.hostileCount &+ hostileHandles }

  func use(of handle: HandleID) -> HandleUse { rows.row(of: handle.rawValue)?.use ?? HandleUse() }
  /// The thread that opened it; 0: not known.
  func opener(of handle: HandleID) -> Int32 { rows.row(of: handle.rawValue).map { Int32(clamping: $0.pid) } ?? 0 }

  // MARK: Slots

  /// Takes submitted slots, then released handles. Slots beyond one step come in the loop's next turn.
  func serve() {
    let isAll = ring.walk(atMost: Self.slotsAStep, weight: Self.weight) { answer($0) }
    collectReleased()
    sayHostile()
    guard !isAll, !isServingAgain else { return }
    isServingAgain = true
    DispatchLoop.post { [weak self] in
      self?.isServingAgain = false
      self?.serve()
    }
  }

  /// Requests by what they cost: an OPEN may make a store, a listing has hundreds of entries.
  private static func weight(_ request: SlotRequest) -> Int {
    switch request.call {
    case .lookup, .getattr, .read, .readlink, .getxattr, .listxattr: 1
    case .open: 8
    case .readdir: slotsAStep
    }
  }

  private func answer(_ request: SlotRequest) {
    let id = request.id
    guard !isEnding else {
      ring.complete(id, .failed(.io))
      return
    }
    let node = NodeID(request.node)
    switch request.call {
    case .lookup(let bytes):
      let name = FileName(bytes)
      guard name.isValid else { return fail(id, .noEntry) }
      volume.lookup(name, in: node, reply: AttributesReply(answers, RequestID(id), in: node))
    case .getattr: volume.attributes(of: node, reply: AttributesReply(answers, RequestID(id)))
    case .readdir(let asked):
      let listing = answers.listing(id, asked, of: node)
      volume.list(node, after: listing.cursor, to: listing)
    case .open: open(node, request)
    case .read(let range): read(node, range, request)
    case .readlink: volume.target(of: node, reply: BytesReply(answers, RequestID(id)))
    case .getxattr(let name):
      guard volume.hasExtendedAttributes else { return fail(id, .notSupported) }
      volume.extendedAttribute(
        String(decoding: name, as: UTF8.self), of: node, reply: BytesReply(answers, RequestID(id)))
    case .listxattr:
      guard volume.hasExtendedAttributes else { return fail(id, .notSupported) }
      volume.extendedAttributes(of: node, reply: BytesReply(answers, RequestID(id)))
    }
  }

  private func fail(_ id: SlotID, _ error: Errno) { ring.complete(id, .failed(error)) }

  private func read(_ node: NodeID, _ range: ByteRange, _ request: SlotRequest) {
    let (ring, id, handle) = (ring, request.id, HandleID(request.handle))
    guard opened[handle] == node else { return fail(id, .badHandle) }
    volume.read(node, handle: handle, range: range, wasBad: request.wasBad) { answer in
      switch answer {
      case .bytes(let bytes, let lease):
        return ring.complete(id, .bytes(bytes, from: lease?.rawValue ?? 0)) ? SlotDelivery(ring: ring, id: id) : nil
      case .failed(let error):
        ring.complete(id, .failed(error))
        return nil
      }
    }
  }

  private func open(_ node: NodeID, _ request: SlotRequest) {
    let (ring, id, keepsPages) = (ring, request.id, volume.keepsPages)
    // If a row is not OPENING, its caller has gone already, and the end of the handle would never be reported.
    guard rows.isOpening(request.handle) else {
      ring.complete(id, .failed(.io))
      return
    }
    let handle = HandleID(request.handle)
    // Asked again, where a control plane that died had taken it, it is counted already.
    guard opened.open(handle, node) else {
      hostileHandles &+= 1
      ring.complete(id, .failed(.io))
      return
    }
    volume.open(node, handle: handle) { result in
      switch result {
      case .success(let lease): ring.complete(id, .opened(lease: lease?.rawValue ?? 0, keepsPages: keepsPages))
      case .failure(let error): ring.complete(id, .failed(error))
      }
    }
  }

  /// At most once in ten seconds, whatever a broken shim writes.
  private func sayHostile() {
    let count = hostileCount
    guard count != hostileSaid.count else { return }
    let now = SystemClock().now()
    if let at = hostileSaid.at, now - at < .seconds(10) { return }
    Log.error(
      .shimHostile,
      ["values": count, "cause": "out of range in the region; each costs the request or the handle it is in"])
    hostileSaid = (count, now)
  }

  // MARK: Closed files

  /// Makes the next look examine all rows, because a shim that died between changing a row and counting it has not
  /// announced that row.
  func forgetReleasedCount() { releasedSeen = nil }

  /// A table of many rows is looked at in steps, and not for every close: looking costs as much as the table is long.
  private func collectReleased() {
    guard !isLooking else { return }
    // Counted after the row was changed: a row released after this look is seen at the next.
    let count = region.releasedCount
    guard count != releasedSeen else { return }
    releasedSeen = count
    isLooking = true
    look(from: 0)
  }

  private func look(from first: Int) {
    let next = tellReleased(from: first)
    if let next {
      DispatchLoop.post { [weak self] in self?.look(from: next) }
    } else if first == 0 {
      isLooking = false
    } else {
      pauseTimer = try? LoopTimer(on: EventLoop.dispatch) { [weak self] in self?.lookAgain() }
      pauseTimer?.start(after: Self.pauseOfLooks)
      if pauseTimer == nil { isLooking = false }
    }
  }

  private func tellReleased(from first: Int) -> Int? {
    rows.forEachReleased(from: first, count: Self.rowsAStep, atMost: Self.closesAStep) { row in
      let handle = HandleID(row.handle)
      if let node = opened.close(handle) { volume.released(node, handle: handle, use: row.use) }
      rows.free(row.handle)
    }
  }

  private func lookAgain() {
    pauseTimer?.close()
    pauseTimer = nil
    isLooking = false
    collectReleased()
  }

  // MARK: A control plane before this one, and the end

  /// The handles that it left open count as open.
  func adopt(_ handles: [HandleID: NodeID]) async {
    for (number, (handle, node)) in handles.enumerated() {
      if number % Self.opensAStep == Self.opensAStep - 1 { await yieldLoop() }
      if !opened.open(handle, node) { hostileHandles &+= 1 }
    }
  }

  /// Submits again the requests that the dead control plane had taken.
  func adoptSlots() { ring.adopt() }

  /// Everything in hand, and all that still comes, is answered EIO: blocked readers get an answer and can close.
  func end() {
    isEnding = true
    ring.failAll(.io)
    serve()
  }

  /// There is no mount any more, so nothing is open.
  func releaseAll() async {
    pauseTimer?.close()
    pauseTimer = nil
    isLooking = true
    // The last closes of files were written down, not told.
    var next: Int? = 0
    while let first = next {
      next = tellReleased(from: first)
      await yieldLoop()
    }
    for (number, (handle, node)) in opened.closeAll().enumerated() {
      if number % Self.closesAStep == Self.closesAStep - 1 { await yieldLoop() }
      volume.released(node, handle: handle, use: use(of: handle))
    }
  }
}

/// A slot that was answered: under way until the shim has replied, or asks again.
struct SlotDelivery: Delivery {
  let ring: SlotRing
  let id: SlotID
  var isUnderWay: Bool { ring.isUnderWay(id) }
}

extension HandleRow {
  var use: HandleUse { HandleUse(bytes: bytes, furthest: furthest) }
}
