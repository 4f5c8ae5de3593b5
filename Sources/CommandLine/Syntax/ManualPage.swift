import ControlModel
import SettingsModel

/// The manual pages, made from the table the parser works by, as roff for man(1). It is a plain value, and the text is
/// a pure function of it and of the settings.
package enum ManualPage: String, Sendable, Equatable, CaseIterable {
  case fsmvp
  case tile = "fsmvp-tile"

  /// The flags of `fsmvp-tile`.
  static let tileFlags = [
    FlagSyntax(
      name: "wait", summary: "open the window though no control plane is running, and wait for one",
      fallback: "exit with 3"),
    VerbSyntax.config, VerbSyntax.help, FlagSyntax(name: "version", summary: "print the version"),
  ]

  private static let tileKeys = [
    ("Arrows, Tab", "choose a tile"), ("Ctrl+C", "copies the file and its path"), ("Enter", "opens the tile's menu"),
    ("Del", "removes it"),
    ("Ctrl+F", "searches jobs"),
  ]

  /// - Parameter settings: every setting of the program.
  package func text(_ settings: [any SettingGroup]) -> String {
    var page = Roff(
      title: rawValue.uppercased(), section: 1, source: "FuseStream \(Version.current)", manual: "FuseStream")
    switch self {
    case .fsmvp: Self.writeMain(&page, settings)
    case .tile: Self.writeTile(&page)
    }
    return page.text
  }

  private static func writeMain(_ page: inout Roff, _ settings: [any SettingGroup]) {
    page.section("NAME")
    page.paragraph("fsmvp \\- stage MediaHub videos as files on a mount", isRoff: true)
    page.section("SYNOPSIS")
    page.synopsis(["fsmvp", "[--config F]", "VERB", "[ARGUMENTS]"])
    page.section("DESCRIPTION")
    page.paragraph(
      "fsmvp stages MediaHub videos as files on a mount: drag the path into a browser, and it uploads while it "
        + "downloads. `fsmvp run` is the control "
        + "plane; every other verb asks it through its socket. A first time without credentials: `fsmvp run --demo`, "
        + "then `fsmvp ui`."
    )
    page.paragraph(
      "Flags are --flag VALUE or --flag=VALUE, in any order; of a flag given twice the last counts; -- ends them. A "
        + "value that begins with two "
        + "dashes needs the equals sign.")
    page.section("VERBS")
    for verb in Verb.allCases {
      let syntax = verb.syntax
      page.subsection(verb.rawValue)
      page.synopsis(Help.usageWords(verb))
      page.paragraph(syntax.summary + ".")
      for detail in syntax.details { page.paragraph(detail) }
      for flag in syntax.flags { page.item(Help.spelled(flag), described(flag)) }
      if !syntax.examples.isEmpty {
        page.paragraph("Examples:")
        for example in syntax.examples { page.literal(example) }
      }
    }
    page.section("OPTIONS OF EVERY VERB")
    for flag in [VerbSyntax.config, VerbSyntax.help] { page.item(Help.spelled(flag), described(flag)) }
    writeSettings(&page, settings)
    page.section("OUTPUT")
    page.paragraph(
      "What was asked for goes to standard output, everything else to standard error. A failure is one sentence on "
        + "standard error that says what "
        + "to do. With --json standard output holds the JSON and a line end, or nothing.")
    page.paragraph(
      "On a terminal names are cut so that tables fit its width, and whatever waits for longer than a second says so "
        + "on standard error. Control "
        + "characters in names never reach a terminal.")
    page.section("EXIT STATUS")
    for (code, meaning) in Help.exitCodes { page.item("\(code)", meaning) }
    page.section("ENVIRONMENT")
    for (name, meaning) in Help.variables { page.item(name, meaning) }
    page.section("FILES")
    page.item(
      "~/.fuse-stream-mvp/config.toml, $XDG_CONFIG_HOME/fsmvp/config.toml",
      "The configuration; `fsmvp config` prints every setting.")
    page.item("$XDG_RUNTIME_DIR/fsmvp/api.sock", "The control plane's socket.")
    page.section("SEE ALSO")
    page.paragraph("fsmvp-tile(1)")
  }

  private static func writeSettings(_ page: inout Roff, _ settings: [any SettingGroup]) {
    page.section("SETTINGS")
    page.paragraph(
      "The configuration is TOML: --config F, else $FSMVP_CONFIG, else the first of FILES that is there. A variable of "
        + "the environment wins over it. A key of "
        + "a table such as [staged] stands below a line with its name; sizes are bytes or \"64MiB\", times seconds or "
        + "\"5s\"."
    )
    for group in settings {
      page.subsection(group.title)
      for setting in group.declarations {
        let table = setting.table.map { "in [\($0)]; " } ?? ""
        let variable = setting.variable.map { "; variable: \($0)" } ?? ""
        page.item(
          setting.name,
          "\(setting.help). (\(table)values: \(setting.shownValues); default: \(setting.shownDefault)\(variable))")
      }
    }
  }

  private static func writeTile(_ page: inout Roff) {
    page.section("NAME")
    page.paragraph("fsmvp\\-tile \\- a window with staged files to drag from", isRoff: true)
    page.section("SYNOPSIS")
    page.synopsis(["fsmvp-tile", "[ITEM_ID]", "[--wait]", "[--config F]"])
    page.section("DESCRIPTION")
    page.paragraph(
      "Shows the files that are staged, how far they are and who reads them, live. Each is a thing to drag: what is "
        + "dropped into an upload zone, a "
        + "player or a folder is the real file. With ITEM_ID (or its path) that file alone; `fsmvp staged` lists the "
        + "ids, and `fsmvp stage --tile` opens the "
        + "window at once.")
    page.paragraph("Without ITEM_ID it shows all of them, and stages more: search, choose an output, name a recipient.")
    page.paragraph(
      "It asks the control plane that `fsmvp run` is, and waits for it where it goes and comes back. Uploads go on "
        + "when the window is closed."
    )
    page.section("KEYS")
    for (key, meaning) in tileKeys { page.item(key, meaning) }
    page.section("OPTIONS")
    for flag in tileFlags { page.item(Help.spelled(flag), described(flag)) }
    page.section("EXIT STATUS")
    for (code, meaning) in Help.exitCodes where code < 5 { page.item("\(code)", meaning) }
    page.section("SEE ALSO")
    page.paragraph("fsmvp(1)")
  }

  private static func described(_ flag: FlagSyntax) -> String {
    flag.summary + (flag.fallback.map { " (default: \($0))" } ?? "")
  }
}
