import Core
import Telemetry
import Transfer

/// Sums of what is in the file, for a start after a death of everything; and what such a start does with them. Nothing that a reader of bytes fetched in
/// this run waits for waits for this.
extension SparseStore {
  /// Bytes a job checks: a slow disk has them in a fraction of a second.
  private static let checkAtOnce: Int64 = 8 << 20

  func askSums() {
    guard closed == nil, !asksSums else { return }
    guard plan.nextCheck(limit: Self.checkAtOnce) != nil || sums.isDue(isIdle: plan.fetches.isEmpty) else { return }
    asksSums = true
    budget.sums.add(self)
  }

  /// Checks go first: somebody may wait for them.
  func nextSumsJob() -> SumsJob? {
    asksSums = false
    guard closed == nil else { return nil }
    let file = sumsFile
    if let range = plan.nextCheck(limit: Self.checkAtOnce) {
      let seed = sums.header.seed
      let blocks = Int(range.start / file.blockSize)..<Int((range.end - 1) / file.blockSize) + 1
      return job({ .checked(file.check(blocks, seed: seed)) }, range)
    }
    switch sums.next(isIdle: plan.fetches.isEmpty) {
    case .header(let header): return job({ .written(file.write(header)) })
    case .sum(let blocks, let known): return job({ .written(file.sum(blocks, known: known)) })
    case nil: return nil
    }
  }

  private func job(_ body: @escaping @Sendable () -> SumsJob.Result, _ range: ByteRange = ByteRange(0, 0)) -> SumsJob {
    jobs += 1
    return SumsJob(body: body) { result in
      self.jobs -= 1
      if self.closed == nil { self.sumsDone(result, range) }
      self.removeIfIdle()
    }
  }

  private func sumsDone(_ result: SumsJob.Result, _ range: ByteRange) {
    switch result {
    case .written(nil): askSums()
    case .written(let error?):
      sums.fail()
      Log.warning("sums.failed", ["file": sumsFile.name, "error": error, "reason": "what is fetched of it will not be used after a crash"])
    case .checked(let good):
      let size = plan.size
      let ranges = good.map { blocks in
        ByteRange(Int64(blocks.lowerBound) * sumsFile.blockSize, min(size, Int64(blocks.upperBound) * sumsFile.blockSize))
      }
      take(plan.checked(range, good: ranges, now: now))
    }
  }

  /// Blocks of an earlier run are as good as fetched.
  private func take(_ gain: FetchPlan.Gain) {
    presentChanged()
    for blocks in gain.blocks { onBlocks?(blocks, true) }
    act(gain.actions)
  }

  // MARK: Proof

  /// Of what an earlier run left: the head of an answer that shows the version, or that brings bytes to compare.
  /// - Returns: nil where it is about something else.
  func provenanceBegan(_ slot: FetchSlot, _ validator: Validator) -> Bool? {
    if plan.asks(slot.id) {
      let isSame = SourcePin.isSame(validator, as: earlier)
      if isSame {
        pin.prove(earlier, validator, generation: slot.generation)
        pinned()
      }
      take(plan.answered(slot.id, isSame: isSame, now: now))
      return true
    }
    guard plan.compares(slot.id) else { return nil }
    guard pin.judgeOverlap(validator, generation: slot.generation) else {
      act(plan.disprove())
      return false
    }
    return true
  }

  func comparedAgain(isEqual: Bool) {
    let gain = plan.comparedAgain(isEqual: isEqual, now: now)
    if isEqual, plan.proof == .given {
      pin.prove(earlier)
      pinned()
    }
    take(gain)
  }
}
