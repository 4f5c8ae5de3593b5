import ControlModel
import Testing

@testable import TerminalUI

@Suite("Text from outside, on a terminal")
struct DisplayTextTests {
  @Test(
    "text has the width a terminal gives it",
    arguments: [
      ("abc", 3), ("", 0), ("ü", 1), ("u\u{308}", 1), ("日本", 4), ("ﾊ", 1), ("Ａ", 2), ("한", 2), ("👨‍👩‍👧", 2), ("🇩🇪", 2),
      ("a\u{200b}b", 2),
      ("❤️", 2),
    ])
  func width(text: String, columns: Int) { #expect(DisplayText.width(text) == columns) }

  @Test(
    "what would steer a terminal is replaced",
    arguments: [
      ("a\u{1b}[31mred", "a\u{fffd}[31mred"), ("a\nb\tc\r\n", "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}"),
      ("\u{7f}\u{9b}2J", "\u{fffd}\u{fffd}2J"),
      ("a\u{202e}4pm.exe", "a\u{fffd}4pm.exe"), ("日本 ü 👨‍👩‍👧", "日本 ü 👨‍👩‍👧"), ("a\u{0}b", "a\u{fffd}b"),
    ])
  func printable(text: String, expected: String) { #expect(DisplayText.printable(text) == expected) }

  @Test("JSON keeps its meaning where a terminal is protected from it")
  func printableJSON() throws {
    let json = String(decoding: try ControlJSON.encode(["a\u{9b}\u{7f}\u{202e}\u{1b}"]), as: UTF8.self)
    let shown = DisplayText.printableJSON(json)
    #expect(
      !shown.unicodeScalars.contains { $0.value < 0x20 || (0x7f..<0xa0).contains($0.value) || $0.value == 0x202e })
    #expect(try ControlJSON.decode([String].self, from: Array(shown.utf8)) == ["a\u{9b}\u{7f}\u{202e}\u{1b}"])
  }

  @Test("text is cut at a column, never in a character")
  func cut() {
    #expect(DisplayText.cut("abcdef", to: 6) == "abcdef")
    #expect(DisplayText.cut("abcdefg", to: 6) == "abcde…")
    #expect(DisplayText.cut("日本語", to: 4) == "日…")
    #expect(DisplayText.cut("abc", to: 1) == "…")
  }
}
