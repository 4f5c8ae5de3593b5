/// Random keys and codes. They come from the system's generator, and nothing is kept.
enum Secret {
  /// So many random bytes, fit for keys, as hex digits.
  static func hex(bytes count: Int) -> String {
    // The kernel's, on Linux.
    var generator = SystemRandomNumberGenerator()
    return hex((0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
  }

  static func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}
