import Core

/// Files by a time, the earliest first. An entry's slot is its time, moved on by as many nanoseconds as it takes to be
/// the only one. It is a value in `FileTable` and `FileKeeper`, which own it.
struct TimeIndex: Sendable {
  private var table = OrderedTable<FileKey>()

  var count: Int { table.count }
  var isEmpty: Bool { table.isEmpty }
  var first: (slot: UInt64, key: FileKey)? { table.first.map { ($0.key, $0.value) } }

  /// - Returns: the slot, never 0.
  mutating func insert(_ key: FileKey, at time: UInt64) -> UInt64 {
    let slot = table.firstFree(from: max(1, time))
    table[slot] = key
    return slot
  }

  mutating func remove(_ slot: UInt64) { table[slot] = nil }

  /// The earliest one but `key`.
  func first(except key: FileKey) -> FileKey? {
    table.page(from: 0, limit: 2).first { $0.value != key }?.value
  }

  var keys: [FileKey] { table.map(\.value) }
}
