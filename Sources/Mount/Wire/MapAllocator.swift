/// Which words of the section of block maps are in use. First fit, lowest place first, so that the section stays dense
/// and its pages few. It lives in the control plane alone: nothing here is read from the region. It is a value in
/// `LeaseTable`, which owns it.
struct MapAllocator: Equatable {
  /// Free runs of words: sorted, disjoint, never touching.
  private(set) var free: [Range<Int>]
  /// Size of the whole section, in words.
  let words: Int

  init(words: Int) {
    self.words = words
    free = words > 0 ? [0..<words] : []
  }

  /// With these runs in use, which must be sorted and disjoint.
  init(words: Int, used: [Range<Int>]) {
    self.words = words
    free = []
    var start = 0
    for run in used {
      if start < run.lowerBound { free.append(start..<run.lowerBound) }
      start = run.upperBound
    }
    if start < words { free.append(start..<words) }
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
    // The first free run behind it.
    var (index, end) = (0, free.count)
    while index < end {
      let middle = (index + end) / 2
      if free[middle].lowerBound >= run.lowerBound { end = middle } else { index = middle + 1 }
    }
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
