import Core

/// A command line taken apart by the table of its verb: which flags with which values, which positional arguments. Says
/// nothing yet about what the values are worth. It is a value of one parse.
struct Arguments: Equatable {
  var verb: Verb
  var positionals: [String] = []
  /// Values of flags that have one; the last wins.
  var values: [String: String] = [:]
  /// Flags without a value that were given.
  var switches: Set<String> = []

  /// - Parameter words: without the program's name.
  init(_ words: [String]) throws(CommandFailure) {
    var rest = words[...]
    var config: String?
    var asksHelp = false
    // Flags before the verb: `--help`, `--version` and `--config` only.
    while let word = rest.first, word.hasPrefix("-") {
      rest.removeFirst()
      switch word {
      case "--help", "-h": asksHelp = true
      case "--version": rest = ["version"]
      default:
        guard word == "--config" || word.hasPrefix("--config=") else {
          throw CommandFailure(.usage, "there is no flag \(Self.name(of: word)) before the verb; see `fsmvp help`")
        }
        config = try Self.value(of: VerbSyntax.config, word: word, rest: &rest)
      }
    }
    guard let word = rest.popFirst() else {
      guard asksHelp else {
        throw CommandFailure(.usage, "say what to do: \(Self.listed(Verb.allCases.map(\.rawValue))); see `fsmvp help`")
      }
      verb = .help
      return
    }
    guard let verb = Verb(rawValue: word) else { throw Self.unknown(verb: word) }
    self.verb = verb
    values["config"] = config
    if asksHelp { switches.insert("help") }
    try parse(rest)
  }

  private mutating func parse(_ words: ArraySlice<String>) throws(CommandFailure) {
    let flags = verb.syntax.flags + [VerbSyntax.config, VerbSyntax.help]
    var rest = words
    var isPastFlags = false
    while let word = rest.popFirst() {
      if isPastFlags || word == "-" || !word.hasPrefix("-") {
        positionals.append(word)
        continue
      }
      if word == "--" {
        isPastFlags = true
        continue
      }
      let name = word == "-h" ? "--help" : Self.name(of: word)
      guard let flag = flags.first(where: { "--" + $0.name == name }) else {
        let nearest = NearestName.of(name, in: flags.map { "--" + $0.name })
        let hint = nearest.map { "did you mean \($0)?" } ?? "see `fsmvp help \(verb.rawValue)`"
        throw CommandFailure(.usage, "`fsmvp \(verb.rawValue)` has no flag \(name); \(hint)")
      }
      if flag.value != nil {
        values[flag.name] = try Self.value(of: flag, word: word, rest: &rest)
      } else {
        guard !word.contains("=") else { throw CommandFailure(.usage, "--\(flag.name) takes no value") }
        switches.insert(flag.name)
      }
    }
    guard !switches.contains("help") else { return }
    let arity = verb.syntax.arity
    if positionals.count > arity.upperBound {
      throw CommandFailure(
        .usage,
        "`fsmvp \(verb.rawValue)` does not know what to do with “\(positionals[arity.upperBound])”; \(Help.usage(verb))"
      )
    }
    if positionals.count < arity.lowerBound {
      throw CommandFailure(.usage, "`fsmvp \(verb.rawValue)` needs \(verb.syntax.positionals); \(Help.usage(verb))")
    }
  }

  /// The value of a flag: behind its equals sign, or the next word.
  private static func value(of flag: FlagSyntax, word: String, rest: inout ArraySlice<String>) throws(CommandFailure)
    -> String
  {
    if let equals = word.firstIndex(of: "=") { return String(word[word.index(after: equals)...]) }
    // A word with two dashes is the next flag; a value like that is written with the equals sign.
    guard let next = rest.first, !next.hasPrefix("--") else {
      throw CommandFailure(.usage, "--\(flag.name) needs a value: --\(flag.name) \(flag.value ?? "")")
    }
    rest.removeFirst()
    return next
  }

  private static func name(of word: String) -> String { String(word.prefix { $0 != "=" }) }

  private static func listed(_ words: [String]) -> String { words.joined(separator: ", ") }

  static func unknown(verb: String) -> CommandFailure {
    let nearest = NearestName.of(verb, in: Verb.allCases.map(\.rawValue))
    let hint = nearest.map { "did you mean `fsmvp \($0)`?" } ?? "`fsmvp help` lists them"
    return CommandFailure(.usage, "there is no verb “\(verb)”; \(hint)")
  }
}
