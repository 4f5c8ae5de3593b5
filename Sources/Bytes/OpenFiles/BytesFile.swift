import Core
import Volume

/// A file of the cache folder, by its name: which file of which volume it belongs to, and in which generation of its
/// bytes. Names never repeat, because generations do not. A volume starts and stops with the files that carry its own
/// id and leaves all others alone. It is a pure value, which touches no file.
package struct BytesFile: Hashable, Sendable {
  package enum Kind: String, Sendable { case bytes, sums }
  package let key: FileKey
  package var generation: StoreGeneration
  package let kind: Kind
  /// Written by a version that knew one volume: the name has no id.
  private let isNameless: Bool

  package init(_ key: FileKey, _ generation: StoreGeneration) {
    self.init(key, generation, .bytes, isNameless: false)
  }

  private init(_ key: FileKey, _ generation: StoreGeneration, _ kind: Kind, isNameless: Bool) {
    self.key = key
    self.generation = generation
    self.kind = kind
    self.isNameless = isNameless
  }

  /// nil for a name that we do not give.
  package init?(_ name: String) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let kind = Kind(rawValue: String(parts[1])) else { return nil }
    let numbers = parts[0].split(separator: "-", omittingEmptySubsequences: false)
    guard (2...3).contains(numbers.count) else { return nil }
    let isNameless = numbers.count == 2
    let volume = isNameless ? VolumeID.staged.rawValue : UInt32(numbers[0], radix: 16)
    let rest = numbers.suffix(2)
    guard let volume, volume > 0, let node = rest.first.flatMap({ UInt64($0, radix: 16) }),
      let generation = rest.last.flatMap({ UInt64($0, radix: 16) })
    else { return nil }
    self.init(
      FileKey(VolumeID(volume), NodeID(node)), StoreGeneration(rawValue: generation, of: VolumeID(volume)), kind,
      isNameless: isNameless)
    guard self.name == name else { return nil }
  }

  /// A generation's file has one name, in the form of the version that made it.
  package static func == (a: BytesFile, b: BytesFile) -> Bool {
    a.key == b.key && a.generation == b.generation && a.kind == b.kind
  }
  package func hash(into hasher: inout Hasher) {
    hasher.combine(key)
    hasher.combine(generation)
    hasher.combine(kind)
  }

  /// The same with another ending.
  package func with(_ kind: Kind) -> BytesFile { BytesFile(key, generation, kind, isNameless: isNameless) }

  /// The volume's id in hex, `-`, sixteen hex digits of the node, `-`, up to sixteen of the generation, and the kind;
  /// at most 49 bytes.
  package var name: String {
    let digits = String(key.node.rawValue, radix: 16)
    let volume = isNameless ? "" : String(key.volume.rawValue, radix: 16) + "-"
    return volume + String(repeating: "0", count: 16 - digits.count) + digits + "-"
      + String(generation.rawValue, radix: 16) + "."
      + kind.rawValue
  }
}

extension VolumeID {
  /// The volume whose files had no id in their names before there were others.
  package static let staged = VolumeID(1)
}
