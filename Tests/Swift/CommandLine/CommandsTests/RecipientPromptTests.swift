import TerminalUI
import Testing

@testable import Commands

@Suite("The prompt for a recipient")
struct RecipientPromptTests {
  private func prompt(_ offered: [String] = ["Ann", "Bob", "Jürgen 日本"]) -> RecipientPrompt {
    var prompt = RecipientPrompt(offered: offered)
    prompt.resize(rows: 10)
    return prompt
  }

  private func steps(_ keys: [Key], _ offered: [String] = ["Ann", "Bob", "Jürgen 日本"]) -> RecipientPrompt.Step {
    var prompt = prompt(offered)
    return keys.reduce(.waiting) { $1 == .control("x") ? $0 : prompt.take($1) }
  }

  @Test(
    "keys lead to an answer",
    arguments: [
      ([.text("Zoe"), .enter], .done("Zoe")), ([.text(" Zoe "), .enter], .done(" Zoe ")),
      ([.down, .enter], .done("Ann")),
      ([.down, .down, .enter], .done("Bob")), ([.down, .down, .down, .down, .enter], .done("Jürgen 日本")),
      ([.tab, .enter], .done("Ann")),
      ([.text("b"), .down, .enter], .done("Bob")), ([.text("B"), .enter], .done("B")),
      // Up out of the list: what was typed counts again.
      ([.text("b"), .down, .up, .enter], .done("b")), ([.down, .text("x"), .enter], .done("x")),
      ([.enter], .waiting), ([.text("   "), .enter], .waiting), ([.text("nobody"), .down, .enter], .done("nobody")),
      ([.escape], .left),
      ([.text("abc"), .escape], .left), ([.down, .end, .enter], .done("Jürgen 日本")),
    ] as [([Key], RecipientPrompt.Step)])
  func answers(keys: [Key], step: RecipientPrompt.Step) { #expect(steps(keys) == step) }

  @Test("nobody to offer")
  func none() {
    #expect(steps([.down, .enter], []) == .waiting)
    #expect(steps([.down, .text("a"), .enter], []) == .done("a"))
    var prompt = prompt([])
    _ = prompt.take(.enter)
    #expect(prompt.lines(columns: 40).lines.last?.plain == "Type who the file is for.")
  }

  @Test("those that come late are offered, and what was typed stays")
  func late() {
    var prompt = prompt([])
    _ = prompt.take(.text("a"))
    prompt.offer(["Ann", "Bob"])
    #expect(prompt.matches == ["Ann"])
    #expect(prompt.lines(columns: 40).lines.map { $0.plain.trimmed } == ["Recipient: a", "  Ann"])
  }

  @Test("a text longer than the terminal shows its end")
  func long() {
    var prompt = prompt()
    _ = prompt.take(.text(String(repeating: "x", count: 100) + "end"))
    let (lines, cursor) = prompt.lines(columns: 30)
    #expect(lines[0].plain.hasSuffix("xend"))
    #expect(lines[0].width == 29)
    #expect(cursor?.column == 29)
  }
}
