import Core

/// From buffers to the file, and what becomes readable by it; or the error that keeps it from there.
extension SparseStore {
  func presentChanged() {
    present.store(plan.presentCount, ordering: .relaxed)
    let used = plan.presentCount + (plan.unproven.isEmpty ? 0 : plan.unproven.count)
    budget.set(ticket, device: device, bytes: plan.size - used)
  }

  /// Hands what `slot` received to the writer, or forgets it where there is no file to write to.
  func flush(_ slot: FetchSlot) {
    guard let buffer = slot.buffer else { return }
    let range = slot.buffered
    slot.buffer = nil
    slot.buffered = ByteRange(range.end, range.end)
    guard closed == nil, !isDiscarding else {
      plan.lost(range)
      return budget.buffers.put(buffer)
    }
    budget.writer.add(.init(store: self, buffer: buffer, range: range), isUrgent: slot.isDemand || plan.isWaited(for: range))
  }

  /// Returns which burst of write failures it is after.
  func writesBegan() -> Int {
    jobs += 1
    return writeFailures
  }

  func writesEnded(_ batch: [FileWriter.Chunk], burst: Int, error: Errno?) {
    jobs -= 1
    for chunk in batch { budget.buffers.put(chunk.buffer) }
    if closed == nil, let first = batch.first, let last = batch.last {
      let range = ByteRange(first.range.start, last.range.end)
      if let error { writeFailed(range, error, isNew: burst == writeFailures) } else { written(range) }
    }
    budget.buffersFreed()
    removeIfIdle()
  }

  private func written(_ range: ByteRange) {
    let (blocks, actions) = plan.written(range, now: now)
    presentChanged()
    if let blocks {
      onBlocks?(blocks, true)
      sums.add(blocks)
    }
    act(actions)
  }

  private func writeFailed(_ range: ByteRange, _ error: Errno, isNew: Bool) {
    plan.lost(range)
    // One that was under way when another failed says nothing new to those who came since.
    guard isNew else { return act([]) }
    writeFailures += 1
    isDiscarding = true
    for chunk in budget.writer.withdraw(self) {
      plan.lost(chunk.range)
      budget.buffers.put(chunk.buffer)
    }
    act(plan.writeFailed(error, "the folder \(folder.name) cannot be written: \(error)", now: now))
  }
}
