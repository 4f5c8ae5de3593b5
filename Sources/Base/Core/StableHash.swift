/// FNV-1a, 64 bit: the same in every process and release, for names made from text (item ids, hashes of URLs in the
/// log). It is a plain value. Not safe against deliberate collisions: a caller that makes a name of it checks for the
/// collision. Constants: http://www.isthe.com/chongo/tech/comp/fnv/
package struct StableHash: Sendable {
  package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325
  package init() {}
  package init(_ text: String) { combine(text.utf8) }

  package mutating func combine(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    // A terminator, so that ("ab","c") and ("a","bc") differ.
    value = (value ^ 0xff) &* 0x0000_0100_0000_01b3
  }

  /// Sixteen hex digits.
  package var hex: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  package static func hex(_ texts: String...) -> String {
    var hash = StableHash()
    for text in texts { hash.combine(text.utf8) }
    return hash.hex
  }
}
