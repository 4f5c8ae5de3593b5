import Core

/// Text from outside (names, tags) as a terminal may show it: without characters that steer the terminal, and with its
/// width in columns. These are pure functions.
package enum DisplayText {
  /// See `PrintableText`.
  package static func printable(_ text: String) -> String { PrintableText.of(text) }

  /// JSON with what its encoder leaves of control characters (DEL, C1, overrides) escaped: the same JSON, harmless on a
  /// terminal.
  package static func printableJSON(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: { steers($0) && $0 != "\n" }) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      guard steers(scalar), scalar != "\n" else {
        result.append(scalar)
        continue
      }
      let digits = String(scalar.value, radix: 16)
      result.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).unicodeScalars)
    }
    return String(result)
  }

  private static func steers(_ scalar: Unicode.Scalar) -> Bool { PrintableText.steers(scalar) }

  // MARK: Width

  /// Columns of a terminal.
  package static func width(_ text: String) -> Int { text.reduce(0) { $0 + width($1) } }

  private static func width(_ character: Character) -> Int {
    if let ascii = character.asciiValue { return ascii >= 0x20 && ascii != 0x7f ? 1 : 0 }
    // A cluster (a letter and its accents, a family of emoji) is as wide as its widest scalar.
    return character.unicodeScalars.reduce(0) { max($0, width($1)) }
  }

  private static func width(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format, .control: return scalar.value == 0xfe0f ? 2 : 0
    default: return scalar.properties.isEmojiPresentation || isWide(scalar.value) ? 2 : 1
    }
  }

  /// East Asian wide and fullwidth (Unicode TR 11), by block.
  private static func isWide(_ value: UInt32) -> Bool {
    switch value {
    case 0x1100...0x115f, 0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xa000...0xa4cf,
      0xa960...0xa97f,
      0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6, 0x1b000...0x1b2ff,
      0x20000...0x3fffd:
      true
    default: false
    }
  }

  /// Cut to at most `limit` columns, an ellipsis in the last one where something was cut.
  package static func cut(_ text: String, to limit: Int) -> String {
    guard width(text) > limit else { return text }
    guard limit > 1 else { return limit == 1 ? "…" : "" }
    var result = ""
    var used = 0
    for character in text {
      let columns = width(character)
      if used + columns > limit - 1 { break }
      result.append(character)
      used += columns
    }
    return result + "…"
  }
}
