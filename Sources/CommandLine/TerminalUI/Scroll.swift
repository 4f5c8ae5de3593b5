/// A place in a long list, of which a screen shows a part. It is a value in the list's owner.
package struct Scroll: Equatable {
  /// The row that is chosen.
  package private(set) var index = 0
  /// The first one that is shown.
  package private(set) var top = 0
  package private(set) var count = 0
  package private(set) var rows = 1

  package init() {}

  /// The part of the list that the screen shows.
  package var shown: Range<Int> { top..<min(count, top + rows) }

  /// - Parameters:
  ///   - count: of the list.
  ///   - rows: of the screen's part.
  package mutating func fit(count: Int, rows: Int) {
    self.count = max(0, count)
    self.rows = max(1, rows)
    move(to: index)
  }

  package mutating func move(to index: Int) {
    self.index = min(max(0, index), max(0, count - 1))
    top = min(max(top, self.index - rows + 1), self.index)
    // No empty rows below while there is something above.
    top = max(0, min(top, count - rows))
  }

  /// - Returns: whether the key moves.
  package mutating func take(_ key: Key) -> Bool {
    switch key {
    case .up, .control("p"): move(to: index - 1)
    case .down, .control("n"): move(to: index + 1)
    case .pageUp: move(to: index - rows)
    case .pageDown: move(to: index + rows)
    case .home: move(to: 0)
    case .end: move(to: count - 1)
    default: return false
    }
    return true
  }
}
