/// The help's texts, made from the table the parser works by.
enum Help {
  /// - Parameter verb: nil for the whole program.
  static func text(_ verb: Verb?) -> String { verb.map(of) ?? general }

  private static var general: String {
    var lines = [
      "fsmvp stages MediaHub videos as files on a mount: drag the path into a browser, and it uploads while it downloads.",
      "", "usage: fsmvp [--config F] VERB ...", "",
    ]
    lines += columns(Verb.allCases.map { ($0.rawValue, $0.syntax.summary) })
    lines += [
      "", "`fsmvp help VERB` tells what a verb takes. Every verb takes --config F and --help; flags are --flag VALUE or --flag=VALUE.", "",
      "exit codes: 0 done, 1 failed, 2 usage, 3 no control plane running, 4 no such thing, 5 the service refused or is unreachable", "",
    ]
    return lines.joined(separator: "\n")
  }

  private static func of(_ verb: Verb) -> String {
    let syntax = verb.syntax
    let takesConfig = verb != .version && verb != .help
    let flags = syntax.flags + (takesConfig ? [VerbSyntax.config] : []) + [VerbSyntax.help]
    var lines = [usage(verb), "", syntax.summary + "."]
    for detail in syntax.details { lines += ["", detail] }
    lines += [""]
    lines += columns(
      flags.map { flag in
        (spelled(flag), flag.summary + (flag.fallback.map { " (default: \($0))" } ?? ""))
      })
    if !syntax.examples.isEmpty { lines += ["", "examples:"] + syntax.examples.map { "  " + $0 } }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The line that shows how a verb is written.
  static func usage(_ verb: Verb) -> String {
    let syntax = verb.syntax
    var words = ["usage: fsmvp", verb.rawValue]
    if verb == .unstage {
      words.append("\(syntax.positionals)|--all [--json]")
    } else {
      if !syntax.positionals.isEmpty { words.append(syntax.positionals) }
      words += syntax.flags.map { $0.isRequired ? spelled($0) : "[\(spelled($0))]" }
    }
    return words.joined(separator: " ")
  }

  private static func spelled(_ flag: FlagSyntax) -> String { "--\(flag.name)" + (flag.value.map { " \($0)" } ?? "") }

  private static func columns(_ rows: [(String, String)]) -> [String] {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { "  " + $0.0 + String(repeating: " ", count: width - $0.0.count + 2) + $0.1 }
  }
}
