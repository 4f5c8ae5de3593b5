import Testing

@testable import TerminalUI

@Suite("Lines with looks, and bars")
struct StyledTextTests {
  private static let line = StyledText("ab", .bold) + StyledText("日本", .good) + StyledText("cd")

  @Test("looks are codes around text, and colours can be left out")
  func looks() {
    #expect(Self.line.rendered(hasColours: true) == "\u{1b}[1mab\u{1b}[0m\u{1b}[32m日本\u{1b}[0mcd")
    #expect(Self.line.rendered(hasColours: false) == "\u{1b}[1mab\u{1b}[0m日本cd")
    var selected = Self.line
    selected.isSelected = true
    #expect(selected.rendered(hasColours: false) == "\u{1b}[7;1mab\u{1b}[0m\u{1b}[7m日本\u{1b}[0m\u{1b}[7mcd\u{1b}[0m")
    #expect(StyledText("a\u{1b}[2J\nb").rendered(hasColours: true) == "a\u{fffd}[2J\u{fffd}b")
  }

  @Test(
    "cut at a column, with an ellipsis for what is missing",
    arguments: [
      (8, "ab日本cd"), (9, "ab日本cd"), (7, "ab日本…"), (6, "ab日…"), (5, "ab日…"), (4, "ab…"), (3, "ab…"), (2, "a…"), (1, "…"),
      (0, ""),
    ])
  func cut(columns: Int, expected: String) {
    let cut = Self.line.cut(to: columns)
    #expect(cut.plain == expected)
    #expect(cut.width <= columns)
    #expect(Self.line.fitted(to: columns).width == columns)
  }

  @Test(
    "a bar shows the first byte and never the last too early",
    arguments: [
      (0, 100, "░░░░"), (1, 100, "▏░░░"), (7, 100, "▎░░░"), (50, 100, "██░░"), (99, 100, "███▉"), (100, 100, "████"),
      (0, 0, "████"),
      (1, Int64.max, "▏░░░"),
      (Int64.max - 1, Int64.max, "███▉"), (-5, 100, "░░░░"),
    ])
  func bars(done: Int64, total: Int64, bar: String) { #expect(ProgressBar.text(done, of: total, columns: 4) == bar) }
}
