import Core
import Volume

/// A file of the cache folder, by its name: whose it is, and in which generation of its bytes. Names never repeat, as generations do not.
struct BytesFile: Hashable, Sendable {
  enum Kind: String, Sendable { case bytes, sums }
  var node: NodeID
  var generation: StoreGeneration
  var kind: Kind

  init(_ entry: TileEntry, _ generation: StoreGeneration) {
    node = entry.file
    self.generation = generation
    kind = .bytes
  }

  /// nil for a name that we do not give.
  init?(_ name: String) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let kind = Kind(rawValue: String(parts[1])) else { return nil }
    let numbers = parts[0].split(separator: "-", omittingEmptySubsequences: false)
    guard numbers.count == 2, let node = UInt64(numbers[0], radix: 16), let generation = UInt64(numbers[1], radix: 16) else { return nil }
    self.node = NodeID(node)
    self.generation = StoreGeneration(rawValue: generation)
    self.kind = kind
    guard self.name == name else { return nil }
  }

  /// The same with another ending.
  func with(_ kind: Kind) -> BytesFile {
    var other = self
    other.kind = kind
    return other
  }

  /// Sixteen hex digits, `-`, up to sixteen more, and what it is.
  var name: String {
    let digits = String(node.rawValue, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits + "-" + String(generation.rawValue, radix: 16) + "." + kind.rawValue
  }
}
