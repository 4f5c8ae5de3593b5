import Daemon
import SettingsModel
import Testing

@testable import Syntax

@Suite("Completions and manual pages")
struct GeneratedTextTests {
  @Test("every verb and flag of the table is in each shell's completions and in the manual")
  func generated() {
    let manual = ManualPage.fsmvp.text(SettingsCatalog.groups)
    let scripts = [BashCompletion.script, ZshCompletion.script, FishCompletion.script]
    for verb in Verb.allCases {
      #expect(manual.contains(".SS \"\(verb.rawValue)\""))
      for flag in verb.syntax.flags {
        #expect(manual.contains(".B \"\\-\\-\(flag.name.replacing("-", with: "\\-"))"))
        #expect(
          scripts[0].contains("--\(flag.name)") && scripts[1].contains("--\(flag.name)")
            && scripts[2].contains("-l \(flag.name) "))
      }
      for script in scripts { #expect(script.contains(verb.rawValue)) }
    }
    for setting in SettingsCatalog.groups.flatMap(\.declarations) {
      #expect(manual.contains(".TP\n.B \"\(setting.name)\""))
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
