import Core
import Telemetry

/// From buffers to the file, and what becomes readable by it; or the error that keeps it from there. It runs on the
/// transfer loop; `FileWriter` writes on worker threads.
extension SparseStore {
  func presentChanged() {
    present.store(engine.plan.presentCount, ordering: .relaxed)
    let used = engine.plan.presentCount + (engine.plan.unproven.isEmpty ? 0 : engine.plan.unproven.count)
    budget.set(ticket, device: device, bytes: engine.plan.size - used)
  }

  /// Hands what `flight` received to the writer, or forgets it where there is no file to write to.
  func flush(_ flight: Flight) {
    guard let (buffer, range) = flight.takeBuffer() else { return }
    guard engine.closed == nil, !isDiscarding else {
      engine.lost(range)
      return budget.buffers.put(buffer)
    }
    write(.init(store: self, buffer: buffer, range: range), isUrgent: flight.isDemand)
  }

  private func write(_ chunk: FileWriter.Chunk, isUrgent: Bool) {
    guard parked == nil else { return park([chunk]) }
    budget.writer.add(chunk, isUrgent: isUrgent || engine.plan.isWaited(for: chunk.range))
  }

  /// Returns which burst of write failures it is after.
  func writesBegan() -> Int {
    jobs += 1
    return writeFailures
  }

  func writesEnded(_ batch: [FileWriter.Chunk], burst: Int, error: Errno?) {
    jobs -= 1
    // A write that was under way when others failed for good shares their fate.
    if let error, error.isNoSpace, engine.closed == nil, burst == writeFailures, let onNoSpace {
      waitForRoom(batch, error, onNoSpace)
    } else {
      for chunk in batch { budget.buffers.put(chunk.buffer) }
      if engine.closed == nil, let first = batch.first, let last = batch.last {
        let range = ByteRange(first.range.start, last.range.end)
        if let error { writeFailed(range, error, isNew: burst == writeFailures) } else { written(range) }
      }
    }
    budget.buffersFreed()
    removeIfIdle()
  }

  private func written(_ range: ByteRange) {
    guard let blocks = engine.written(range) else { return }
    needSums(of: blocks)
    askSums()
  }

  private func writeFailed(_ range: ByteRange, _ error: Errno, isNew: Bool) {
    engine.lost(range)
    // A write that was under way when another failed is no new failure to later waiters.
    guard isNew else { return engine.act([]) }
    writeFailures += 1
    isDiscarding = true
    for chunk in budget.writer.withdraw(self) {
      engine.lost(chunk.range)
      budget.buffers.put(chunk.buffer)
    }
    let hint = error.isNoSpace ? "; make room on that disk, or set `temp_dir` to a folder on a larger one" : ""
    engine.writeFailed(error, "the folder \(folder.name) cannot be written: \(error)\(hint)")
  }

  // MARK: A full disk

  private func park(_ chunks: [FileWriter.Chunk]) { parked = (parked ?? []) + chunks }

  /// The space was promised, so another program has it. The store's owner is asked for room first; nothing received is
  /// thrown away meanwhile.
  private func waitForRoom(
    _ batch: [FileWriter.Chunk], _ error: Errno,
    _ ask: (Int64, @escaping @Sendable @TransferLoop (Bool) -> Void) -> Void
  ) {
    let isAsked = parked != nil
    park(batch)
    // These chunks mix demand and prefetch, so the writer's priorities no longer apply.
    park(budget.writer.withdraw(self))
    guard !isAsked else { return }
    let needed = (parked ?? []).reduce(0) { $0 + $1.range.count }
    Log.info(.storeNoSpace, ["file": name, "bytes": needed])
    ask(needed) { [weak self] isThere in self?.roomMade(isThere, error) }
  }

  private func roomMade(_ isThere: Bool, _ error: Errno) {
    guard let chunks = parked else { return }
    parked = nil
    if isThere {
      for chunk in chunks { write(chunk, isUrgent: false) }
    } else if let first = chunks.first {
      for chunk in chunks {
        engine.lost(chunk.range)
        budget.buffers.put(chunk.buffer)
      }
      writeFailed(ByteRange(first.range.start, first.range.start), error, isNew: true)
    }
    budget.buffersFreed()
  }
}
