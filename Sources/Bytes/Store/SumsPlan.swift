import ByteSource
import Core

/// The work left for a store's file of sums: a pure value. The header goes before the first sum, and again when another
/// validator was accepted; a new version of the source makes all sums of the old one worthless by its new seed. The
/// file's `SparseStore` owns it.
struct SumsPlan: Equatable {
  enum Work: Equatable {
    case header(SumsHeader)
    /// Sums that are not `known` are computed from the file.
    case sum(Range<Int>, known: BlockSums)
  }

  /// Blocks a job, at most; those that are to be read back make it long.
  static let batch = 128
  /// So many are waited for while more is coming: a job costs as much as the sums of some blocks.
  static let worthwhile: Int64 = 64

  private(set) var header: SumsHeader
  private var isHeaderDue = false
  /// A header that says `header.seed` stands, or is on its way before everything else.
  private var isOpen: Bool
  /// Whole blocks without a sum, by number.
  private var pending = RangeSet()
  /// Sums that were taken when their block was written, and are not in the file of sums yet.
  private var known: [Int: UInt64] = [:]
  private(set) var isBroken = false
  /// Which pinning of the source the seed is for.
  private var pinning = 0

  init(_ header: SumsHeader, isWritten: Bool) {
    self.header = header
    isOpen = isWritten
  }

  /// - Parameter pinning: another than before: the bytes are of another version than all that were summed.
  mutating func accept(_ validators: [Validator], pinning new: Int, seed: @autoclosure () -> UInt64) {
    guard new != pinning || !validators.isEmpty else { return }
    if new != pinning {
      pinning = new
      header.seed = seed()
      forget()
    } else if isOpen, validators == header.validators {
      return
    }
    header.validators = validators
    isHeaderDue = true
    isOpen = true
  }

  mutating func add(_ blocks: Range<Int>) {
    guard !isBroken else { return }
    pending.insert(ByteRange(Int64(blocks.lowerBound), Int64(blocks.upperBound)))
  }

  mutating func remove(_ blocks: Range<Int>) {
    pending.remove(ByteRange(Int64(blocks.lowerBound), Int64(blocks.upperBound)))
    for block in blocks where !known.isEmpty { known[block] = nil }
  }

  /// How blocks are to be summed when they are written; nil where that is of no use.
  var rule: SumsRule? {
    isBroken ? nil : SumsRule(seed: header.seed, blockSize: header.blockSize, length: header.length)
  }

  /// Before the blocks are added.
  mutating func know(_ sums: BlockSums) {
    guard !isBroken, sums.seed == header.seed else { return }
    known.merge(sums.blocks) { $1 }
  }

  /// - Parameter isIdle: nothing more comes soon.
  func isDue(isIdle: Bool) -> Bool {
    guard isOpen, !isBroken else { return false }
    return isHeaderDue || (isIdle ? !pending.isEmpty : pending.count >= Self.worthwhile)
  }

  mutating func next(isIdle: Bool) -> Work? {
    guard isDue(isIdle: isIdle) else { return nil }
    if isHeaderDue {
      isHeaderDue = false
      return .header(header)
    }
    guard let first = pending.ranges.first else { return nil }
    let run = ByteRange(first.start, min(first.end, first.start + Int64(Self.batch)))
    pending.remove(run)
    let blocks = Int(run.start)..<Int(run.end)
    var sums = BlockSums(seed: header.seed)
    for block in blocks { sums.blocks[block] = known.removeValue(forKey: block) }
    return .sum(blocks, known: sums)
  }

  /// It cannot be written: there will be nothing to use these bytes by.
  mutating func fail() {
    isBroken = true
    forget()
  }

  private mutating func forget() {
    pending = RangeSet()
    known = [:]
  }
}
