import Core

/// A line that a person types, on a terminal. Typing goes to its end. It is a value in the prompt that shows it.
package struct LineField: Equatable {
  package private(set) var text: String
  /// In bytes; what would not fit is not taken.
  package let limit: Int

  package init(_ text: String = "", limit: Int) {
    self.text = text
    self.limit = limit
  }

  /// - Returns: whether the text is another one now.
  package mutating func take(_ key: Key) -> Bool {
    let before = text
    switch key {
    case .text(let typed), .paste(let typed): add(typed)
    case .backspace, .delete: if !text.isEmpty { text.removeLast() }
    case .control("u"): text = ""
    case .control("w"):
      while text.last?.isWhitespace == true { text.removeLast() }
      while let last = text.last, !last.isWhitespace { text.removeLast() }
    default: break
    }
    return text != before
  }

  private mutating func add(_ typed: String) {
    // A pasted line end is a space: names have none.
    let line = String(typed.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : Character($0) })
    if text.utf8.count + line.utf8.count <= limit { text += line }
  }
}
