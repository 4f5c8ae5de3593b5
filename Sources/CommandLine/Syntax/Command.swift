import ControlModel
import Core

/// A parsed command line; every value in it is checked. It is a value, which `Program` runs.
package enum Command: Equatable {
  package struct JobsQuery: Equatable {
    package var search: String?
    package var start = 0
    package var limit = JobsPaging.defaultLimit
    package var isJSON = false
    /// The table was asked for, or a part of the list, so the terminal shows no list to choose from.
    package var isTable = false
  }

  package struct StageOrder: Equatable {
    package var file: String
    /// Nil: the terminal asks for one.
    package var recipient: String?
    package var isWarm = false
    package var opens = false
    package var showsTile = false
    package var isJSON = false

    package init(
      file: String, recipient: String? = nil, isWarm: Bool = false, opens: Bool = false, showsTile: Bool = false,
      isJSON: Bool = false
    ) {
      (self.file, self.recipient) = (file, recipient)
      (self.isWarm, self.opens, self.showsTile, self.isJSON) = (isWarm, opens, showsTile, isJSON)
    }
  }

  package struct PinOrder: Equatable {
    /// An item's id or path, as given.
    package var item: String
    package var isPinned: Bool
    package var isWaiting = false
    package var isJSON = false
  }

  package enum Completions: String, Equatable, CaseIterable {
    case bash, zsh, fish
    /// The lists that the completion scripts themselves request.
    case items, recipients
  }

  package enum Unstaged: Equatable {
    /// An id or a path, as given.
    case item(String)
    case all
  }

  package struct StopOrder: Equatable {
    /// Also drops the list of staged items.
    package var forgets = false
    /// Without a question, though files are open.
    package var isSure = false
  }

  package enum ShimOrder: String, Equatable, CaseIterable {
    case restart, kill
  }

  case run(RunArguments)
  case jobs(JobsQuery)
  case ui(isPrinting: Bool)
  case stage(StageOrder)
  case staged(isJSON: Bool)
  case unstage(Unstaged, isJSON: Bool)
  case pin(PinOrder)
  case status(isJSON: Bool)
  case watch
  case trace(isJSON: Bool)
  case shim(ShimOrder, isJSON: Bool)
  case reload(isJSON: Bool)
  case stop(StopOrder)
  case cache(isJSON: Bool)
  case clearCache(isJSON: Bool)
  case clearOrphans(isJSON: Bool)
  case makeBucket(name: String, isJSON: Bool)
  case buckets(isJSON: Bool)
  case config(isJSON: Bool)
  case completions(Completions)
  case man(ManualPage)
  case version(isABI: Bool)
  case help(Verb?)
}

/// A command and what goes for all of them.
package struct Invocation: Equatable {
  /// `--config`, as given.
  package var config: String?
  package var command: Command

  /// - Parameter words: the command line without the program's name.
  package init(arguments words: [String]) throws(CommandFailure) {
    var arguments = try Arguments(words)
    for flag in ["config", "mountpoint"] {
      if let value = arguments.values[flag] { arguments.values[flag] = try ItemAddress.path(value) }
    }
    config = arguments.values["config"]
    if let config, config.isEmpty { throw CommandFailure(.usage, "--config needs the path of a file") }
    command = try Command(arguments)
  }
}

extension Command {
  init(_ arguments: Arguments) throws(CommandFailure) {
    if arguments.switches.contains("help") {
      self = .help(arguments.verb == .help ? nil : arguments.verb)
      return
    }
    let isJSON = arguments.switches.contains("json")
    switch arguments.verb {
    case .run:
      let mountpoint = arguments.values["mountpoint"]
      if mountpoint == "" { throw CommandFailure(.usage, "--mountpoint needs the path of a folder") }
      self = .run(
        RunArguments(
          config: arguments.values["config"], mountpoint: mountpoint, isDemo: arguments.switches.contains("demo"),
          isDemoWithoutCredentials: arguments.switches.contains("demo-without-credentials")))
    case .jobs:
      let search = arguments.values["search"] ?? ""
      guard search.utf8.count <= 1024 else { throw CommandFailure(.usage, "--search takes at most 1024 bytes") }
      self = .jobs(
        JobsQuery(
          search: search.isEmpty ? nil : search,
          start: try Self.number("start", arguments, in: JobsPaging.starts, default: 0),
          limit: try Self.number("limit", arguments, in: JobsPaging.limits, default: JobsPaging.defaultLimit),
          isJSON: isJSON,
          isTable: arguments.switches.contains("table") || arguments.values["start"] != nil
            || arguments.values["limit"] != nil))
    case .ui: self = .ui(isPrinting: arguments.switches.contains("print"))
    case .stage:
      let file = arguments.positionals[0]
      guard !file.isEmpty else { throw CommandFailure(.usage, "the file's id is empty; `fsmvp jobs` lists them") }
      guard file.utf8.count <= 1024 else {
        throw CommandFailure(.usage, "this is too long for a file's id; `fsmvp jobs` lists them")
      }
      if let recipient = arguments.values["recipient"] {
        guard !recipient.isEmpty else {
          throw CommandFailure(
            .usage, "the recipient is empty; say who the file is for: fsmvp stage FILE_ID --recipient TAG")
        }
        guard recipient.utf8.count <= 4096 else { throw CommandFailure(.usage, "the recipient is too long") }
      }
      self = .stage(
        StageOrder(
          file: file, recipient: arguments.values["recipient"], isWarm: arguments.switches.contains("warm"),
          opens: arguments.switches.contains("open"), showsTile: arguments.switches.contains("tile"), isJSON: isJSON))
    case .staged: self = .staged(isJSON: isJSON)
    case .unstage:
      switch (arguments.positionals.first, arguments.switches.contains("all")) {
      case (nil, true): self = .unstage(.all, isJSON: isJSON)
      case (let item?, false) where !item.isEmpty: self = .unstage(.item(item), isJSON: isJSON)
      case (_?, true): throw CommandFailure(.usage, "`fsmvp unstage` takes either an id or path, or --all, not both")
      default: throw CommandFailure(.usage, "say what to unstage: fsmvp unstage ID|PATH, or fsmvp unstage --all")
      }
    case .pin, .unpin:
      let item = arguments.positionals[0]
      guard !item.isEmpty else { throw CommandFailure(.usage, "the item's id is empty; `fsmvp staged` lists them") }
      self = .pin(
        PinOrder(
          item: item, isPinned: arguments.verb == .pin, isWaiting: arguments.switches.contains("wait"), isJSON: isJSON))
    case .status:
      guard arguments.switches.contains("watch") else {
        self = .status(isJSON: isJSON)
        return
      }
      guard !isJSON else {
        throw CommandFailure(.usage, "--watch is for people; programs follow `GET /api/v1/events` (docs/API.md)")
      }
      self = .watch
    case .trace: self = .trace(isJSON: isJSON)
    case .shim:
      let word = arguments.positionals[0]
      guard let order = ShimOrder(rawValue: word) else {
        throw Self.unknown(word, behind: .shim, among: ShimOrder.allCases.map(\.rawValue))
      }
      self = .shim(order, isJSON: isJSON)
    case .reload: self = .reload(isJSON: isJSON)
    case .stop:
      self = .stop(
        StopOrder(
          forgets: arguments.switches.contains("forget"),
          isSure: arguments.switches.contains("yes") || arguments.switches.contains("force")))
    case .cache:
      let isOfOrphans = arguments.switches.contains("orphans")
      guard let word = arguments.positionals.first else {
        guard !isOfOrphans else {
          throw CommandFailure(.usage, "--orphans goes with `clear`: fsmvp cache clear --orphans")
        }
        self = .cache(isJSON: isJSON)
        return
      }
      guard word == "clear" else { throw Self.unknown(word, behind: .cache, among: ["clear"]) }
      self = isOfOrphans ? .clearOrphans(isJSON: isJSON) : .clearCache(isJSON: isJSON)
    case .bucket: self = try Self.bucket(arguments, isJSON: isJSON)
    case .config: self = .config(isJSON: isJSON)
    case .completions:
      let word = arguments.positionals[0]
      guard let what = Completions(rawValue: word) else {
        throw Self.unknown(word, behind: .completions, among: Completions.allCases.map(\.rawValue))
      }
      self = .completions(what)
    case .man:
      let word = arguments.positionals.first ?? ManualPage.fsmvp.rawValue
      guard let page = ManualPage(rawValue: word) else {
        throw Self.unknown(word, behind: .man, among: ManualPage.allCases.map(\.rawValue))
      }
      self = .man(page)
    case .version: self = .version(isABI: arguments.switches.contains("abi"))
    case .help:
      guard let word = arguments.positionals.first else {
        self = .help(nil)
        return
      }
      guard let verb = Verb(rawValue: word) else { throw Arguments.unknown(verb: word) }
      self = .help(verb)
    }
  }

  private static func bucket(_ arguments: Arguments, isJSON: Bool) throws(CommandFailure) -> Command {
    let words = arguments.positionals
    switch (words[0], words.count) {
    case ("list", 1): return .buckets(isJSON: isJSON)
    case ("list", _): throw CommandFailure(.usage, "`fsmvp bucket list` takes no name; it lists all buckets")
    case ("create", 2):
      guard !words[1].isEmpty else { throw CommandFailure(.usage, "the bucket's name is empty") }
      return .makeBucket(name: words[1], isJSON: isJSON)
    case ("create", _): throw CommandFailure(.usage, "say what the bucket is called: fsmvp bucket create NAME")
    default: throw unknown(words[0], behind: .bucket, among: ["create", "list"])
    }
  }

  /// The refusal of a second word that a verb does not know.
  private static func unknown(_ word: String, behind verb: Verb, among words: [String]) -> CommandFailure {
    let nearest = NearestName.of(word, in: words)
    let hint = nearest.map { "did you mean `fsmvp \(verb.rawValue) \($0)`?" } ?? Help.usage(verb)
    return CommandFailure(.usage, "`fsmvp \(verb.rawValue)` does not know “\(word)”; \(hint)")
  }

  private static func number(
    _ name: String, _ arguments: Arguments, in range: ClosedRange<Int>, default fallback: Int
  ) throws(CommandFailure) -> Int {
    guard let text = arguments.values[name] else { return fallback }
    guard let value = Int(text), range.contains(value) else {
      throw CommandFailure(
        .usage, "--\(name) takes a whole number from \(range.lowerBound) to \(range.upperBound), not “\(text)”")
    }
    return value
  }
}
