import SettingsModel

/// Texts from outside, fit to stand in a sentence or in a command to copy. These are pure functions.
enum Spelling {
  /// In quotes, control characters escaped, cut where it is long.
  static func quoted(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars.prefix(80) {
      switch scalar {
      case "\"", "\\": out += "\\\(scalar)"
      case _ where scalar.value < 0x20 || scalar.value == 0x7f:
        out += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      default: out.unicodeScalars.append(scalar)
      }
    }
    return "\"\(out)\"" + (text.unicodeScalars.count > 80 ? "..." : "")
  }

  /// Without what comes along when a value is copied, or written by another system: blanks, line ends and marks of byte
  /// order around it.
  static func trimmed(_ text: String) -> String {
    var scalars = text.unicodeScalars[...].drop(while: isBlank)
    while let last = scalars.last, isBlank(last) { scalars.removeLast() }
    return String(String.UnicodeScalarView(scalars))
  }

  /// The same for its beginning alone.
  static func trimmedInFront(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars[...].drop(while: isBlank)))
  }

  private static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || scalar == "\u{feff}" || scalar == "\u{200b}" || scalar == "\u{2060}"
  }

  /// Without quotes around the whole, which some readers of environment files leave there.
  static func unquoted(_ text: String) -> String {
    guard text.utf8.count >= 2, let first = text.utf8.first, first == text.utf8.last, "\"'".utf8.contains(first) else {
      return text
    }
    return trimmed(String(text.dropFirst().dropLast()))
  }

  /// The text quoted as one word of a shell command.
  static func shellWord(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
        || "/._-+:@%,".utf8.contains(byte)
    }
    if isPlain && !text.isEmpty { return text }
    return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }

  static func shown(_ raw: RawValue) -> String {
    switch raw {
    case .string(let text): quoted(text)
    case .integer(let number): "\(number)"
    case .float(let number): "\(number)"
    case .boolean(let flag): "\(flag)"
    case .other: "a table, list or date"
    }
  }
}
