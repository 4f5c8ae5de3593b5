/// Text from outside (names, tags) without what steers its reader: a terminal, a label, the eye. These are pure
/// functions.
package enum PrintableText {
  /// With every control character, line break and bidirectional override replaced by U+FFFD, one for one.
  package static func of(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: steers) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { result.append(steers(scalar) ? "\u{FFFD}" : scalar) }
    return String(result)
  }

  package static func steers(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069, 0xfeff: true
    default: false
    }
  }
}
