/// A manual page in roff's man macros, written from plain text. It is a value with the text so far, which `ManualPage`
/// owns while it writes a page; it reads no file and prints nothing.
struct Roff {
  private(set) var text: String

  init(title: String, section: Int, source: String, manual: String) {
    text = ".TH \(Self.argument(title)) \(section) \"\" \(Self.argument(source)) \(Self.argument(manual))\n"
    // Words are neither torn apart nor stretched: half of them are flags and paths.
    text += ".nh\n.ad l\n"
  }

  mutating func section(_ heading: String) { text += ".SH \(Self.argument(heading))\n" }
  mutating func subsection(_ heading: String) { text += ".SS \(Self.argument(heading))\n" }

  /// - Parameter isRoff: it is written as roff already.
  mutating func paragraph(_ words: String, isRoff: Bool = false) {
    text += ".PP\n\(isRoff ? words : Self.line(words))\n"
  }

  /// How something is called: words that stay whole, on as many lines as it takes.
  mutating func synopsis(_ words: [String]) {
    text +=
      ".PP\n.RS 4\n" + words.map { Self.escaped($0).replacing(" ", with: "\\ ") }.joined(separator: " ") + "\n.RE\n"
  }

  /// Text to be printed as it is typed, line by line.
  mutating func literal(_ words: String) { text += ".PP\n.nf\n.RS 4\n\(Self.line(words))\n.RE\n.fi\n" }

  /// A word and what it means.
  mutating func item(_ word: String, _ meaning: String) {
    text += ".TP\n.B \(Self.argument(word))\n\(Self.line(meaning))\n"
  }

  private static func argument(_ text: String) -> String { "\"\(escaped(text).replacing("\"", with: "\\(dq"))\"" }

  /// A dot or an apostrophe at a line's start would be a request.
  private static func line(_ text: String) -> String {
    let line = escaped(text)
    return line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + line : line
  }

  /// Text that a terminal of any character set prints unchanged: a plain hyphen would become a typographic one, and a
  /// pasted command would fail.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\(rs"
      case "-": result += "\\-"
      case "'": result += "\\(aq"
      case "`": result += "\\(ga"
      // A list without spaces may be torn apart behind its commas.
      case ",": result += ",\\:"
      case "^": result += "\\(ha"
      case "~": result += "\\(ti"
      case _ where scalar.isASCII: result.unicodeScalars.append(scalar)
      default:
        let digits = String(scalar.value, radix: 16, uppercase: true)
        result += "\\[u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits + "]"
      }
    }
    return result
  }
}
