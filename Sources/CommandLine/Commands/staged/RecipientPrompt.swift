import TerminalUI

/// Asks for a file's recipient and offers those of earlier staging. Keys go in, the answer comes out. It is a value,
/// which `JobsPicker` or `RecipientPrompt.run` owns; it knows no terminal and never waits.
struct RecipientPrompt: Equatable {
  enum Step: Equatable {
    case waiting
    case done(String)
    case left
  }

  private static let limit = 4096
  private static let mostRows = 20

  private(set) var field = LineField(limit: limit)
  /// Newest first.
  private(set) var offered: [String]
  private(set) var list = Scroll()
  /// Whether the list's row is meant, not the field.
  private(set) var isInList = false
  private var note: String?
  private var rows = 1

  init(offered: [String]) {
    self.offered = offered
    fit()
  }

  /// The offered recipients that contain the typed text.
  var matches: [String] {
    let wanted = field.text.lowercased()
    return wanted.isEmpty ? offered : offered.filter { $0.lowercased().contains(wanted) }
  }

  mutating func offer(_ recipients: [String]) {
    offered = recipients
    fit()
  }

  mutating func resize(rows: Int) {
    self.rows = min(rows, Self.mostRows)
    fit()
  }

  private mutating func fit() {
    list.fit(count: matches.count, rows: rows)
    if matches.isEmpty { isInList = false }
  }

  mutating func take(_ key: Key) -> Step {
    note = nil
    switch key {
    case .escape: return .left
    case .enter: return answer()
    // From the field into the list, and at its top back.
    case .down, .control("n"), .tab:
      if !isInList, !matches.isEmpty {
        isInList = true
        list.move(to: 0)
        return .waiting
      }
    case .up, .control("p"):
      if list.index == 0 {
        isInList = false
        return .waiting
      }
    default: break
    }
    if isInList, list.take(key) { return .waiting }
    if field.take(key) {
      isInList = false
      fit()
    }
    return .waiting
  }

  private mutating func answer() -> Step {
    if isInList, matches.indices.contains(list.index) { return .done(matches[list.index]) }
    // A recipient needs a character that is no blank.
    guard field.text.contains(where: { !$0.isWhitespace }) else {
      note = offered.isEmpty ? "Type who the file is for." : "Type who the file is for, or choose with ↓."
      return .waiting
    }
    return .done(field.text)
  }

  // MARK: Screen

  /// - Parameter rows: of the part of the screen that is its.
  func lines(columns: Int) -> (lines: [StyledText], cursor: (column: Int, row: Int)?) {
    let label = "Recipient: "
    var lines = [StyledText(label, .bold) + StyledText(field.text)]
    // Its end is where typing goes.
    let room = max(1, columns - label.count - 1)
    if DisplayText.width(field.text) > room {
      lines = [StyledText(label, .bold) + StyledText(Self.tail(field.text, columns: room))]
    }
    let cursor = isInList ? nil : (column: lines[0].width, row: 0)
    let matches = matches
    for row in list.shown {
      var line = StyledText("  ") + StyledText(matches[row])
      if isInList, row == list.index {
        line = (StyledText("> ") + StyledText(matches[row])).fitted(to: columns)
        line.isSelected = true
      }
      lines.append(line)
    }
    if let note { lines.append(StyledText(note, .warning)) }
    return (lines, cursor)
  }

  /// The last columns of a text.
  static func tail(_ text: String, columns: Int) -> String {
    var result = ""
    var used = 0
    for character in text.reversed() {
      used += DisplayText.width(String(character))
      guard used <= columns else { break }
      result.insert(character, at: result.startIndex)
    }
    return result
  }
}
