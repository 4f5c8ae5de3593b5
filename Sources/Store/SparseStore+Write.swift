import Core
import Telemetry

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
    write(.init(store: self, buffer: buffer, range: range), isUrgent: slot.isDemand)
  }

  private func write(_ chunk: FileWriter.Chunk, isUrgent: Bool) {
    guard parked == nil else { return park([chunk]) }
    budget.writer.add(chunk, isUrgent: isUrgent || plan.isWaited(for: chunk.range))
  }

  /// Returns which burst of write failures it is after.
  func writesBegan() -> Int {
    jobs += 1
    return writeFailures
  }

  func writesEnded(_ batch: [FileWriter.Chunk], burst: Int, error: Errno?) {
    jobs -= 1
    // One that was under way when others failed for good shares their fate.
    if let error, error.isNoSpace, closed == nil, burst == writeFailures, let onNoSpace {
      waitForRoom(batch, error, onNoSpace)
    } else {
      for chunk in batch { budget.buffers.put(chunk.buffer) }
      if closed == nil, let first = batch.first, let last = batch.last {
        let range = ByteRange(first.range.start, last.range.end)
        if let error { writeFailed(range, error, isNew: burst == writeFailures) } else { written(range) }
      }
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
    let hint = error.isNoSpace ? "; make room on that disk, or set `temp_dir` to a folder on a larger one" : ""
    act(plan.writeFailed(error, "the folder \(folder.name) cannot be written: \(error)\(hint)", now: now))
  }

  // MARK: A full disk

  private func park(_ chunks: [FileWriter.Chunk]) { parked = (parked ?? []) + chunks }

  /// The space was promised, so somebody else has it. Its owner is asked for room first; nothing received is thrown away meanwhile.
  private func waitForRoom(
    _ batch: [FileWriter.Chunk], _ error: Errno, _ ask: (Int64, @escaping @Sendable @TransferLoop (Bool) -> Void) -> Void
  ) {
    let isAsked = parked != nil
    park(batch)
    // Who waits is among them as well as not: the order of before is of no more use.
    park(budget.writer.withdraw(self))
    guard !isAsked else { return }
    let needed = (parked ?? []).reduce(0) { $0 + $1.range.count }
    Log.info("store.no-space", ["file": name, "bytes": needed])
    ask(needed) { [weak self] isThere in self?.roomMade(isThere, error) }
  }

  private func roomMade(_ isThere: Bool, _ error: Errno) {
    guard let chunks = parked else { return }
    parked = nil
    if isThere {
      for chunk in chunks { write(chunk, isUrgent: false) }
    } else if let first = chunks.first {
      for chunk in chunks {
        plan.lost(chunk.range)
        budget.buffers.put(chunk.buffer)
      }
      writeFailed(ByteRange(first.range.start, first.range.start), error, isNew: true)
    }
    budget.buffersFreed()
  }
}
