import ByteSource
import Core

/// Transfers and the target tell the engine what became of bytes. It runs on the transfer loop; what is changed is the
/// engine's `plan` and `flights`.
extension FetchEngine {
  func flightBegan(_ flight: Flight, _ validator: Validator, isWhole: Bool) -> Bool {
    guard closed == nil, flights[flight.id] === flight else { return false }
    let (goesOn, gain) = plan.headCame(flight.id, validator, isWhole: isWhole, now: now)
    took(gain)
    return goesOn && flights[flight.id] === flight
  }

  func flightReceived(_ flight: Flight, _ bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool {
    guard closed == nil, flights[flight.id] === flight, !bytes.isEmpty else { return true }
    if let probe = flight.probe {
      let room = max(0, Int(flight.range.count) - probe.count)
      flight.probe?.append(contentsOf: bytes.prefix(room))
      plan.probeReceived(now)
      return true
    }
    if plan.isHeld(flight.id) { return false }
    if flight.isHeld {
      flight.isHeld = false
      plan.excuse(flight.id, now)
    }
    let ends = plan.outran(flight.id)
    if !ends.isEmpty { act(ends) }
    // Cut while it was on its way: the bytes beyond are another fetch's.
    guard let fetch = plan.fetch(flight.id), offset >= fetch.start else { return true }
    let end = min(offset + Int64(bytes.count), fetch.limit)
    guard end > offset else { return true }
    let isTaken = flight.target.write(
      UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(end - offset))), ByteRange(offset, end), of: flight)
    flight.isHeld = !isTaken
    return isTaken
  }

  func flightEnded(_ flight: Flight, _ error: SourceFailure?) {
    guard flights.removeValue(forKey: flight.id) != nil else { return }
    flight.fetch = nil
    budget.ended(self, flight)
    if flight.probe == nil { flight.target.flush(flight, isLast: true) }
    if closed != nil {
      budget.buffersFreed()
      return
    }
    var error = error
    if let bytes = flight.probe, error == nil, bytes.count < flight.range.count {
      error = .short(received: Int64(bytes.count), expected: flight.range.count)
    }
    let overlap = error == nil && plan.version.compares(flight.id) ? flight.probe : nil
    act(plan.ended(flight.id, error: error, now: now))
    if let overlap { flight.target.compare(overlap, flight.range) { self.compared(isEqual: $0) } }
    budget.buffersFreed()
  }

  private func compared(isEqual: Bool) {
    guard closed == nil else { return }
    took(plan.compared(isEqual: isEqual, now: now))
  }

  private func took(_ gain: FetchPlan.Gain) {
    target?.mark(gain.blocks)
    act(gain.actions)
  }

  // MARK: From the target

  /// Begins with bytes that an earlier process left, which came under `validators`.
  func begin(unproven left: RangeSet, validators: [Validator]) { plan.begin(unproven: left, validators: validators) }

  /// Begins with bytes that were vouched for all the time, which came under `validators`.
  func begin(present: RangeSet, validators: [Validator]) { plan.begin(present: present, validators: validators) }

  /// Begins without bytes, of which readers have some from another store.
  func begin(following heritage: SourceHeritage) {
    plan.begin(following: heritage)
    know(heritage.samples)
  }

  /// Answers can be compared with these parts of the file.
  func know(_ samples: [SourceHeritage.Sample]) { plan.samples = samples.map(\.range) }

  /// The sums of `range` were compared with the file: `good` agrees.
  func checked(_ range: ByteRange, good: [ByteRange]) { took(plan.checked(range, good: good, now: now)) }

  /// The target has the bytes of `flight` before `position`.
  func received(_ flight: Flight, upTo position: Int64) { plan.received(flight.id, upTo: position, now: now) }

  /// The bytes of `range` are where readers find them.
  /// - Returns: the blocks that are whole by it, which were marked.
  @discardableResult func written(_ range: ByteRange) -> Range<Int>? {
    let (blocks, actions) = plan.written(range, now: now)
    target?.mark(blocks.map { [$0] } ?? [])
    // A window's bytes come in many pieces that change nothing.
    if blocks != nil || !actions.isEmpty || !plan.isBounded { act(actions) }
    return blocks
  }

  /// Received bytes will not get to where readers find them.
  func lost(_ range: ByteRange) { plan.lost(range) }

  /// They could not be written, for the reason given: fetching ends until the next read.
  func writeFailed(_ error: Errno, _ sentence: String) { act(plan.writeFailed(error, sentence, now: now)) }

  /// The bytes of `range` are not there any more, or not to be believed.
  /// - Returns: the blocks that are not whole by it.
  func forget(_ range: ByteRange) -> Range<Int>? { plan.distrust(range) }

  /// Bytes that are there were read without asking for them.
  func touched(_ range: ByteRange) { plan.touched(range) }

  /// Asks for access if what changed needs it, and for connections.
  func goOn() { act(plan.needAccess(now)) }

  /// The bytes that transfers brought go to where they belong.
  func flushAll() {
    for flight in flights.values where flight.probe == nil { flight.target.flush(flight, isLast: false) }
  }
}
