/// The help's texts, made from the table the parser works by. These are pure functions.
package enum Help {
  /// - Parameter verb: nil for the whole program.
  package static func text(_ verb: Verb?) -> String { verb.map(of) ?? general }

  private static var general: String {
    var lines = [
      "fsmvp stages MediaHub videos as files on a mount: drag the path into a browser, and it uploads while it "
        + "downloads.",
      "", "usage: fsmvp [--config F] VERB ...", "",
    ]
    lines += columns(Verb.allCases.map { ($0.rawValue, $0.syntax.summary) })
    lines += [
      "",
      "`fsmvp help VERB` tells what a verb takes. Every verb takes --config F and --help; flags are --flag VALUE or "
        + "--flag=VALUE.",
      "",
      "exit codes: " + exitCodes.map { "\($0) \($1)" }.joined(separator: ", "), "",
    ]
    return lines.joined(separator: "\n")
  }

  static let exitCodes = [
    (0, "done"), (1, "failed"), (2, "usage"), (3, "no control plane running"), (4, "no such thing"),
    (5, "the service refused or is unreachable"),
  ]

  static let variables = [
    ("FSMVP_CONFIG", "The configuration file; see --config."),
    ("FSMVP_RUNTIME_DIR", "Where the control plane's socket is; a verb talks to the control plane of its own."),
    (
      "FSMVP_MOUNTPOINT, FSMVP_STATE_DIR, FSMVP_CACHE_DIR and others",
      "Settings of the control plane; `fsmvp config` shows each."
    ),
    ("NO_COLOR", "Where it is set and not empty, nothing has colours."),
  ]

  private static func of(_ verb: Verb) -> String {
    let syntax = verb.syntax
    var lines = [usage(verb), "", syntax.summary + "."]
    for detail in syntax.details { lines += ["", detail] }
    lines += [""]
    lines += columns(
      verb.allFlags.map { flag in
        (spelled(flag), flag.summary + (flag.fallback.map { " (default: \($0))" } ?? ""))
      })
    if !syntax.examples.isEmpty { lines += ["", "examples:"] + syntax.examples.map { "  " + $0 } }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The line that shows how a verb is written.
  static func usage(_ verb: Verb) -> String { "usage: " + usageWords(verb).joined(separator: " ") }

  static func usageWords(_ verb: Verb) -> [String] {
    let syntax = verb.syntax
    var words = ["fsmvp", verb.rawValue]
    if verb == .unstage {
      words += ["\(syntax.positionals)|--all", "[--json]"]
    } else {
      if !syntax.positionals.isEmpty { words.append(syntax.positionals) }
      words += syntax.flags.map { "[\(spelled($0))]" }
    }
    return words
  }

  static func spelled(_ flag: FlagSyntax) -> String { "--\(flag.name)" + (flag.value.map { " \($0)" } ?? "") }

  private static func columns(_ rows: [(String, String)]) -> [String] {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { "  " + $0.0 + String(repeating: " ", count: width - $0.0.count + 2) + $0.1 }
  }
}
