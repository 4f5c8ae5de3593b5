/// A line for a terminal: pieces of text, each with how it looks. Whatever text goes in, no character of it steers the terminal.
struct StyledText: Equatable {
  enum Paint: Equatable {
    case plain, bold, dim
    /// As it should be, as it should not be, and what is to be looked at.
    case good, bad, warning
    /// What is on its way, and what stands out.
    case accent

    /// Of ECMA-48's "select graphic rendition".
    fileprivate var code: String? {
      switch self {
      case .plain: nil
      case .bold: "1"
      case .dim: "2"
      case .good: "32"
      case .bad: "31"
      case .warning: "33"
      case .accent: "36"
      }
    }

    fileprivate var isColour: Bool { self != .plain && self != .bold }
  }

  private struct Span: Equatable {
    var text: String
    var paint: Paint
  }

  private var spans: [Span] = []
  /// Shown in reverse, with colours or without.
  var isSelected = false

  init() {}
  init(_ text: String, _ paint: Paint = .plain) { add(text, paint) }

  mutating func add(_ text: String, _ paint: Paint = .plain) {
    if !text.isEmpty { spans.append(Span(text: DisplayText.printable(text), paint: paint)) }
  }

  static func + (a: StyledText, b: StyledText) -> StyledText {
    var sum = a
    sum.spans += b.spans
    return sum
  }

  /// Without looks.
  var plain: String { spans.map(\.text).joined() }
  /// Columns.
  var width: Int { spans.reduce(0) { $0 + DisplayText.width($1.text) } }

  /// At most so many columns, the last an ellipsis where something was cut.
  func cut(to limit: Int) -> StyledText {
    guard width > limit else { return self }
    var rest = max(0, limit)
    var result = self
    result.spans = []
    for span in spans where rest > 0 {
      let columns = DisplayText.width(span.text)
      // What follows is cut as well: one column of this one's goes to the ellipsis.
      let text = columns < rest ? span.text : DisplayText.cut(columns == rest ? span.text + " " : span.text, to: rest)
      result.spans.append(Span(text: text, paint: span.paint))
      rest -= columns < rest ? columns : rest
    }
    return result
  }

  /// Exactly so many columns.
  func fitted(to columns: Int) -> StyledText {
    var result = cut(to: columns)
    result.add(String(repeating: " ", count: max(0, columns - result.width)))
    return result
  }

  /// For the terminal.
  func rendered(hasColours: Bool) -> String {
    var text = ""
    for span in spans {
      var codes: [String] = isSelected ? ["7"] : []
      if let code = span.paint.code, hasColours || !span.paint.isColour { codes.append(code) }
      text += codes.isEmpty ? span.text : "\u{1b}[\(codes.joined(separator: ";"))m\(span.text)\u{1b}[0m"
    }
    return text
  }
}
