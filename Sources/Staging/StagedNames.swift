import Core
import Volume

/// The entries of `Staged`: sorted by sequence number for listings in parts, by name for look-ups.
struct StagedNames {
  private struct Holder {
    var seq: UInt64
    var isListed: Bool
  }
  /// Rising.
  private(set) var seqs: [UInt64] = []
  private var holders: [FileName: Holder] = [:]

  /// A name for `pair` that nobody has, kept for `seq` from now on but not visible.
  mutating func reserve(base: String, seq: UInt64) -> String {
    var id = base
    var suffix = 2
    while holders[FileName(id)] != nil {
      id = "\(base)-\(suffix)"
      suffix += 1
    }
    holders[FileName(id)] = Holder(seq: seq, isListed: false)
    return id
  }

  /// - Returns: false where another item has that name.
  mutating func insert(id: String, seq: UInt64) -> Bool {
    let name = FileName(id)
    if let holder = holders[name], holder.seq != seq || holder.isListed { return false }
    holders[name] = Holder(seq: seq, isListed: true)
    seqs.insert(seq, at: firstIndex(from: seq))
    return true
  }

  mutating func remove(id: String, seq: UInt64) {
    let name = FileName(id)
    guard let holder = holders[name], holder.seq == seq else { return }
    holders[name] = nil
    guard holder.isListed else { return }
    let index = firstIndex(from: seq)
    if index < seqs.count, seqs[index] == seq { seqs.remove(at: index) }
  }

  subscript(_ name: FileName) -> UInt64? { holders[name].flatMap { $0.isListed ? $0.seq : nil } }

  /// The sequence numbers from `seq` on.
  func after(cursor: UInt64) -> ArraySlice<UInt64> { seqs[firstIndex(from: cursor)...] }

  private func firstIndex(from seq: UInt64) -> Int {
    var low = 0
    var high = seqs.count
    while low < high {
      let middle = (low + high) / 2
      if seqs[middle] < seq { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
