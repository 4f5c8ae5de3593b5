/// Texts from outside, fit to stand in a sentence or in a command to copy.
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

  /// As one word of a shell command.
  static func shellWord(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || "/._-+:@%,".utf8.contains(byte)
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
