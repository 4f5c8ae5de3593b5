import Core
import Transfer

/// What transfers say.
extension FetchStore {
  final func slotBegan(_ slot: FetchSlot, _ validator: Validator, isWhole: Bool) -> Bool {
    guard closed == nil, slots[slot.id] === slot else { return false }
    guard expected.isEmpty || expected.contains(validator.version) else { return false }
    if slot.probe != nil { return probeBegan(slot, validator) }
    let hasBytes =
      plan.heldCount > 0 || !plan.samples.isEmpty || slots.values.contains { $0.hasBegun && $0.generation < slot.generation }
    switch pin.judge(validator, generation: slot.generation, hasBytes: hasBytes) {
    case .same:
      pinned()
      slot.hasBegun = true
      act(plan.began(slot.id, isWhole: isWhole, now: now))
      return slots[slot.id] === slot
    case .changed: return false
    case .compare:
      act(plan.needsComparison(slot.id))
      return false
    }
  }

  final func slotReceived(_ slot: FetchSlot, _ bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool {
    guard closed == nil, slots[slot.id] === slot, !bytes.isEmpty else { return true }
    if let probe = slot.probe {
      let room = max(0, Int(slot.range.count) - probe.count)
      slot.probe?.append(contentsOf: bytes.prefix(room))
      return true
    }
    // Cut while it was on its way: the bytes beyond are another fetch's.
    guard let fetch = plan.fetch(slot.id), offset >= fetch.start else { return true }
    let end = min(offset + Int64(bytes.count), fetch.limit)
    guard end > offset else { return true }
    return take(UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(end - offset))), ByteRange(offset, end), of: slot)
  }

  final func slotEnded(_ slot: FetchSlot, _ error: TransferError?) {
    guard slots.removeValue(forKey: slot.id) != nil else { return }
    slot.fetch = nil
    budget.ended(self, slot)
    slotLeft(slot)
    if closed != nil {
      budget.buffersFreed()
      return
    }
    var error = error
    if let bytes = slot.probe, error == nil {
      if bytes.count < slot.range.count {
        error = .short(received: Int64(bytes.count), expected: slot.range.count)
      } else {
        probeEnded(slot, bytes)
      }
    }
    act(plan.ended(slot.id, error: error, now: now))
    budget.buffersFreed()
  }

  /// The answer to a comparison that the plan wanted under another link.
  final func compared(isEqual: Bool) {
    guard closed == nil else { return }
    if isEqual {
      pin.comparedEqual()
      pinned()
    }
    act(plan.compared(isEqual: isEqual))
  }
}
