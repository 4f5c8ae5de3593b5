import ControlModel
import Staging
import Testing

@testable import fsmvp

@Suite("Lines with looks, and other texts")
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
      (8, "ab日本cd"), (9, "ab日本cd"), (7, "ab日本…"), (6, "ab日…"), (5, "ab日…"), (4, "ab…"), (3, "ab…"), (2, "a…"), (1, "…"), (0, ""),
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
      (0, 100, "░░░░"), (1, 100, "▏░░░"), (7, 100, "▎░░░"), (50, 100, "██░░"), (99, 100, "███▉"), (100, 100, "████"), (0, 0, "████"),
      (1, Int64.max, "▏░░░"),
      (Int64.max - 1, Int64.max, "███▉"), (-5, 100, "░░░░"),
    ])
  func bars(done: Int64, total: Int64, bar: String) { #expect(ProgressBar.text(done, of: total, columns: 4) == bar) }

  @Test("tables and status have colours where they may, and the same text")
  func colours() {
    let items = [StagedItem.example(id: "i1")]
    let coloured = StagedVerb.text(items, width: 100, hasColours: true)
    #expect(coloured.contains("\u{1b}["))
    #expect(stripped(coloured) == StagedVerb.text(items, width: 100))
    let status = StatusVerb.text(.example, hasColours: true)
    #expect(status.contains("\u{1b}[32mserving"))
    #expect(stripped(status) == StatusVerb.text(.example))
  }

  private func stripped(_ text: String) -> String {
    text.replacing(/\u{1b}\[[0-9;]*m/, with: "").split(separator: "\n", omittingEmptySubsequences: false).map { String($0).trimmed }.joined(
      separator: "\n")
  }

  @Test("the page that sends a browser on holds the link as text")
  func loginPage() {
    let page = LoginPage.text("http://127.0.0.1:1/login?code=a&b=\"><script>")
    #expect(page.contains("content=\"0; url=http://127.0.0.1:1/login?code=a&amp;b=&quot;&gt;&lt;script&gt;\""))
    #expect(!page.contains("<script"))
  }

  @Test("every verb and flag of the table is in each shell's completions and in the manual")
  func generated() {
    let manual = ManualPage.fsmvp.text
    let scripts = [BashCompletion.script, ZshCompletion.script, FishCompletion.script]
    for verb in Verb.allCases {
      #expect(manual.contains(".SS \"\(verb.rawValue)\""))
      for flag in verb.syntax.flags {
        #expect(manual.contains(".B \"\\-\\-\(flag.name.replacing("-", with: "\\-"))"))
        #expect(scripts[0].contains("--\(flag.name)") && scripts[1].contains("--\(flag.name)") && scripts[2].contains("-l \(flag.name) "))
      }
      for script in scripts { #expect(script.contains(verb.rawValue)) }
    }
  }

  @Test("roff takes text as it is")
  func roff() {
    var page = Roff(title: "A", section: 1, source: "s", manual: "m")
    page.paragraph(".so /etc/passwd \\fB -x 'it' “ü” a,b")
    page.paragraph("'quoted")
    page.item("a \"b\"", "c")
    #expect(page.text.contains("\n\\&.so /etc/passwd \\(rsfB \\-x \\(aqit\\(aq \\[u201C]\\[u00FC]\\[u201D] a,\\:b\n"))
    #expect(page.text.contains("\n\\(aqquoted\n"))
    #expect(page.text.contains(".B \"a \\(dqb\\(dq\"\n"))
  }
}
