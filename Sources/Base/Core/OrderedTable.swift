/// Values by number, in rising order: found, put in, taken out and walked in parts in a time that hardly depends on how
/// many there are, and without the slack of a hash table. Numbers that only rise fill it densely. It is a plain value,
/// which belongs to the value or object that holds it.
package struct OrderedTable<Value> {
  fileprivate struct Chunk {
    var keys: [UInt64]
    var values: [Value]
  }
  /// Moving half of this many entries is still far below a microsecond's work on one cache line each.
  private static var most: Int { 256 }
  /// None is empty.
  private var chunks: [Chunk] = []
  /// The first key of each chunk: a search through them touches no chunk.
  private var heads: [UInt64] = []
  package private(set) var count = 0

  package init() {}

  package var isEmpty: Bool { count == 0 }

  package subscript(key: UInt64) -> Value? {
    get {
      guard let place = place(of: key) else { return nil }
      return chunks[place.chunk].values[place.index]
    }
    set {
      guard let newValue else { return remove(key) }
      if let place = place(of: key) {
        chunks[place.chunk].values[place.index] = newValue
      } else {
        insert(newValue, at: key)
      }
    }
  }

  package func contains(_ key: UInt64) -> Bool { place(of: key) != nil }

  /// Changes a value in place; nil if there is none.
  package mutating func edit<Result>(_ key: UInt64, _ body: (inout Value) -> Result) -> Result? {
    guard let place = place(of: key) else { return nil }
    return body(&chunks[place.chunk].values[place.index])
  }

  package var first: (key: UInt64, value: Value)? { chunks.first.map { ($0.keys[0], $0.values[0]) } }

  /// The entry with the lowest number that is at least `key`.
  package func next(from key: UInt64) -> (key: UInt64, value: Value)? {
    guard !chunks.isEmpty else { return nil }
    var chunk = index(ofChunkFor: key)
    var index = Self.lowerBound(chunks[chunk].keys, key)
    if index == chunks[chunk].keys.count { (chunk, index) = (chunk + 1, 0) }
    guard chunk < chunks.count else { return nil }
    return (chunks[chunk].keys[index], chunks[chunk].values[index])
  }

  /// The lowest number from `key` on that has no entry. A full run of entries is passed a chunk at a time.
  package func firstFree(from key: UInt64) -> UInt64 {
    guard let start = place(of: key) else { return key }
    var (chunk, index) = (start.chunk, start.index)
    while true {
      let keys = chunks[chunk].keys
      // Keys rise, so they are without a gap up to where they rise as fast as their positions.
      var (low, high) = (index, keys.count - 1)
      while low < high {
        let middle = (low + high + 1) / 2
        if keys[middle] - keys[index] == UInt64(middle - index) { low = middle } else { high = middle - 1 }
      }
      let free = keys[low] + 1
      guard low == keys.count - 1, chunk + 1 < chunks.count, heads[chunk + 1] == free else { return free }
      (chunk, index) = (chunk + 1, 0)
    }
  }

  /// At most `limit` entries from `key` on.
  package func page(from key: UInt64, limit: Int) -> [(key: UInt64, value: Value)] {
    guard !chunks.isEmpty, limit > 0 else { return [] }
    var page: [(key: UInt64, value: Value)] = []
    var chunk = index(ofChunkFor: key)
    var index = Self.lowerBound(chunks[chunk].keys, key)
    while page.count < limit {
      if index == chunks[chunk].keys.count { (chunk, index) = (chunk + 1, 0) }
      guard chunk < chunks.count else { break }
      page.append((chunks[chunk].keys[index], chunks[chunk].values[index]))
      index += 1
    }
    return page
  }

  // MARK: Parts

  private mutating func insert(_ value: Value, at key: UInt64) {
    count += 1
    guard let last = chunks.last else { return append(Chunk(keys: [key], values: [value])) }
    // Past the end: a full chunk stays full.
    if last.keys.count >= Self.most, let highest = last.keys.last, key > highest {
      return append(Chunk(keys: [key], values: [value]))
    }
    var chunk = index(ofChunkFor: key)
    if chunks[chunk].keys.count >= Self.most {
      let half = Self.most / 2
      let upper = Chunk(keys: Array(chunks[chunk].keys[half...]), values: Array(chunks[chunk].values[half...]))
      chunks[chunk].keys.removeLast(chunks[chunk].keys.count - half)
      chunks[chunk].values.removeLast(chunks[chunk].values.count - half)
      chunks.insert(upper, at: chunk + 1)
      heads.insert(upper.keys[0], at: chunk + 1)
      if key >= upper.keys[0] { chunk += 1 }
    }
    let index = Self.lowerBound(chunks[chunk].keys, key)
    chunks[chunk].keys.insert(key, at: index)
    chunks[chunk].values.insert(value, at: index)
    if index == 0 { heads[chunk] = key }
  }

  private mutating func append(_ chunk: Chunk) {
    heads.append(chunk.keys[0])
    chunks.append(chunk)
  }

  private mutating func remove(_ key: UInt64) {
    guard let place = place(of: key) else { return }
    count -= 1
    chunks[place.chunk].keys.remove(at: place.index)
    chunks[place.chunk].values.remove(at: place.index)
    if let first = chunks[place.chunk].keys.first {
      heads[place.chunk] = first
    } else {
      chunks.remove(at: place.chunk)
      heads.remove(at: place.chunk)
    }
  }

  private func place(of key: UInt64) -> (chunk: Int, index: Int)? {
    guard !chunks.isEmpty else { return nil }
    let chunk = index(ofChunkFor: key)
    let index = Self.lowerBound(chunks[chunk].keys, key)
    return index < chunks[chunk].keys.count && chunks[chunk].keys[index] == key ? (chunk, index) : nil
  }

  /// The last chunk that begins at `key` or before, else the first.
  private func index(ofChunkFor key: UInt64) -> Int {
    var low = 0
    var high = heads.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if heads[middle] <= key { low = middle } else { high = middle }
    }
    return low
  }

  private static func lowerBound(_ keys: [UInt64], _ key: UInt64) -> Int {
    var low = 0
    var high = keys.count
    while low < high {
      let middle = (low + high) / 2
      if keys[middle] < key { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

extension OrderedTable: Sendable where Value: Sendable {}
extension OrderedTable.Chunk: Sendable where Value: Sendable {}

extension OrderedTable: Sequence {
  package func makeIterator() -> AnyIterator<(key: UInt64, value: Value)> {
    var chunk = 0
    var index = 0
    return AnyIterator {
      if chunk < chunks.count, index == chunks[chunk].keys.count { (chunk, index) = (chunk + 1, 0) }
      guard chunk < chunks.count else { return nil }
      defer { index += 1 }
      return (chunks[chunk].keys[index], chunks[chunk].values[index])
    }
  }
}
