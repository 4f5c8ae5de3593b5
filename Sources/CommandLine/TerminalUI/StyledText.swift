/// A line for a terminal: pieces of text, each with its style. No character of any text that goes in steers the
/// terminal. It is a plain value.
package struct StyledText: Equatable {
  package enum Paint: Equatable {
    case plain, bold, dim
    /// Healthy, failed, and in need of attention.
    case good, bad, warning
    /// Work under way, and emphasis.
    case accent

    /// The parameter of ECMA-48's "select graphic rendition".
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
  package var isSelected = false

  package init() {}
  package init(_ text: String, _ paint: Paint = .plain) { add(text, paint) }

  package mutating func add(_ text: String, _ paint: Paint = .plain) {
    if !text.isEmpty { spans.append(Span(text: DisplayText.printable(text), paint: paint)) }
  }

  package static func + (a: StyledText, b: StyledText) -> StyledText {
    var sum = a
    sum.spans += b.spans
    return sum
  }

  /// Without looks.
  package var plain: String { spans.map(\.text).joined() }
  /// Columns.
  package var width: Int { spans.reduce(0) { $0 + DisplayText.width($1.text) } }

  /// At most so many columns, the last an ellipsis where something was cut.
  package func cut(to limit: Int) -> StyledText {
    guard width > limit else { return self }
    var rest = max(0, limit)
    var result = self
    result.spans = []
    for span in spans where rest > 0 {
      let columns = DisplayText.width(span.text)
      // Later pieces are cut as well, so one column of this one goes to the ellipsis.
      let text = columns < rest ? span.text : DisplayText.cut(columns == rest ? span.text + " " : span.text, to: rest)
      result.spans.append(Span(text: text, paint: span.paint))
      rest -= columns < rest ? columns : rest
    }
    return result
  }

  /// Exactly so many columns.
  package func fitted(to columns: Int) -> StyledText {
    var result = cut(to: columns)
    result.add(String(repeating: " ", count: max(0, columns - result.width)))
    return result
  }

  /// For the terminal.
  package func rendered(hasColours: Bool) -> String {
    var text = ""
    for span in spans {
      var codes: [String] = isSelected ? ["7"] : []
      if let code = span.paint.code, hasColours || !span.paint.isColour { codes.append(code) }
      text += codes.isEmpty ? span.text : "\u{1b}[\(codes.joined(separator: ";"))m\(span.text)\u{1b}[0m"
    }
    return text
  }
}
