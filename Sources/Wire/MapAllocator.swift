/// Which words of the section of block maps are in use. First fit, lowest place first, so that the section stays dense and its pages few.
/// It lives in the control plane alone: nothing here is read from the region.
struct MapAllocator: Equatable {
  /// Free runs of words: sorted, disjoint, never touching.
  private(set) var free: [Range<Int>]
  /// Of the whole section.
  let words: Int

  init(words: Int) {
    self.words = words
    free = words > 0 ? [0..<words] : []
  }

  /// Whether all of a run can be had.
  func isFree(_ run: Range<Int>) -> Bool { free.contains { $0.lowerBound <= run.lowerBound && run.upperBound <= $0.upperBound } }

  /// Takes what is free of a run; the parts that were.
  mutating func take(_ run: Range<Int>) -> [Range<Int>] {
    let taken = free.map { $0.clamped(to: run) }.filter { !$0.isEmpty }
    free = free.flatMap { part in
      let cut = part.clamped(to: run)
      return cut.isEmpty ? [part] : [part.lowerBound..<cut.lowerBound, cut.upperBound..<part.upperBound].filter { !$0.isEmpty }
    }
    return taken
  }

  /// The first word of `count` words in a row; nil where there are none.
  mutating func allocate(_ count: Int) -> Int? {
    precondition(count > 0, "a map of \(count) words")
    guard let index = free.firstIndex(where: { $0.count >= count }) else { return nil }
    let run = free[index]
    if run.count == count {
      free.remove(at: index)
    } else {
      free[index] = run.lowerBound + count..<run.upperBound
    }
    return run.lowerBound
  }

  mutating func release(_ start: Int, _ count: Int) {
    var run = start..<start + count
    let index = free.firstIndex { $0.lowerBound >= run.lowerBound } ?? free.endIndex
    precondition(index == free.endIndex || run.upperBound <= free[index].lowerBound, "map words \(run) were free")
    precondition(index == 0 || free[index - 1].upperBound <= run.lowerBound, "map words \(run) were free")
    var replaced = index..<index
    if index < free.endIndex, free[index].lowerBound == run.upperBound {
      run = run.lowerBound..<free[index].upperBound
      replaced = replaced.lowerBound..<index + 1
    }
    if index > 0, free[index - 1].upperBound == run.lowerBound {
      run = free[index - 1].lowerBound..<run.upperBound
      replaced = index - 1..<replaced.upperBound
    }
    free.replaceSubrange(replaced, with: CollectionOfOne(run))
  }
}
