import Core
import Volume

/// The names in `Staged`, each with its item's number. The usual name is sixteen hex digits of the pair's hash and is
/// kept as that number; a name that another pair has already gets a suffix and is kept as text. It is a value in
/// `StagedItems`, which owns it.
struct StagedNames: Sendable {
  private var usual: [UInt64: UInt64] = [:]
  private var others: [FileName: UInt64] = [:]
  /// Names of items that are being brought up, which nothing finds yet.
  private var reserved: Set<FileName> = []

  static func usual(_ pair: StagedPair) -> String {
    let digits = String(pair.hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  static func usual(_ hash: UInt64) -> FileName {
    FileName(
      [UInt8](unsafeUninitializedCapacity: 16) { digits, count in
        for place in 0..<16 {
          let digit = UInt8(truncatingIfNeeded: hash >> UInt64(60 - 4 * place)) & 0xf
          digits[place] = digit < 10 ? 0x30 + digit : 0x61 + digit - 10
        }
        count = 16
      })
  }

  /// A name that nothing has, kept for the caller from now on but not visible.
  mutating func reserve(base: String) -> String {
    var id = base
    var suffix = 2
    while self[FileName(id)] != nil || reserved.contains(FileName(id)) {
      id = "\(base)-\(suffix)"
      suffix += 1
    }
    reserved.insert(FileName(id))
    return id
  }

  mutating func cancel(id: String) { reserved.remove(FileName(id)) }

  /// - Returns: false if another item has that name.
  mutating func insert(id: String, seq: UInt64) -> Bool {
    let name = FileName(id)
    guard self[name] == nil else { return false }
    reserved.remove(name)
    if let number = Self.number(name) { usual[number] = seq } else { others[name] = seq }
    return true
  }

  mutating func remove(id: String, seq: UInt64) {
    let name = FileName(id)
    guard self[name] == seq else { return }
    if let number = Self.number(name) { usual[number] = nil } else { others[name] = nil }
  }

  subscript(_ name: FileName) -> UInt64? { Self.number(name).map { usual[$0] } ?? others[name] }

  /// The items whose name may be the pair's: the usual one and those with suffixes.
  func candidates(_ pair: StagedPair) -> [UInt64] {
    let found = usual[pair.hash].map { [$0] } ?? []
    return others.isEmpty ? found : found + others.values
  }

  private static func number(_ name: FileName) -> UInt64? {
    guard name.bytes.count == 16 else { return nil }
    var number: UInt64 = 0
    for byte in name.bytes {
      switch byte {
      case 0x30...0x39: number = number << 4 | UInt64(byte - 0x30)
      case 0x61...0x66: number = number << 4 | UInt64(byte - 0x61 + 10)
      default: return nil
      }
    }
    return number
  }
}
