import Core
import Telemetry

/// Sums of what is in the file, for a start after a death of everything; and what such a start does with them. Nothing
/// that a reader of bytes fetched in this run waits for waits for this. The plan of the sums is the store's, on the
/// transfer loop; its jobs run on worker threads, one at a time (`SumsQueue`).
extension SparseStore {
  /// Bytes a job checks: a slow disk has them in a fraction of a second.
  private static let checkAtOnce: Int64 = 8 << 20

  /// The version of the bytes was judged.
  func noteVersion() {
    let version = engine.plan.version
    sums.accept(version.accepted, pinning: version.pinning, seed: .random(in: .min ... .max))
  }

  /// These blocks are whole and have no sum yet.
  func needSums(of blocks: Range<Int>) { sums.add(blocks) }

  /// These blocks are whole no more.
  func dropSums(of blocks: Range<Int>) { sums.remove(blocks) }

  /// Before the blocks are written.
  func know(_ new: BlockSums) { sums.know(new) }

  func askSums() {
    guard engine.closed == nil, !asksSums else { return }
    guard engine.plan.nextCheck(limit: Self.checkAtOnce) != nil || sums.isDue(isIdle: engine.plan.fetches.isEmpty)
    else { return }
    asksSums = true
    budget.sums.add(self)
  }

  /// Checks go first: a reader may wait for them.
  func nextSumsJob() -> SumsJob? {
    asksSums = false
    guard engine.closed == nil else { return nil }
    let file = sumsFile
    if let range = engine.plan.nextCheck(limit: Self.checkAtOnce) {
      let seed = sums.header.seed
      let blocks = Int(range.start / file.blockSize)..<Int((range.end - 1) / file.blockSize) + 1
      return job({ .checked(file.check(blocks, seed: seed)) }, range)
    }
    switch sums.next(isIdle: engine.plan.fetches.isEmpty) {
    case .header(let header): return job({ .written(file.write(header)) })
    case .sum(let blocks, let known): return job({ .written(file.sum(blocks, known: known)) })
    case nil: return nil
    }
  }

  private func job(_ body: @escaping @Sendable () -> SumsJob.Result, _ range: ByteRange = ByteRange(0, 0)) -> SumsJob {
    jobs += 1
    return SumsJob(body: body) { result in
      self.jobs -= 1
      if self.engine.closed == nil { self.sumsDone(result, range) }
      self.removeIfIdle()
    }
  }

  private func sumsDone(_ result: SumsJob.Result, _ range: ByteRange) {
    switch result {
    case .written(nil): askSums()
    case .written(let error?):
      sums.fail()
      Log.warning(.sumsFailed, ["file": sumsFile.name, "cause": error])
    case .checked(let good):
      let size = engine.plan.size
      let ranges = good.map { blocks in
        ByteRange(
          Int64(blocks.lowerBound) * sumsFile.blockSize, min(size, Int64(blocks.upperBound) * sumsFile.blockSize))
      }
      engine.checked(range, good: ranges)
    }
  }
}
