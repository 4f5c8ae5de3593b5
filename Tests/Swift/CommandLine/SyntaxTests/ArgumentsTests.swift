import Testing

@testable import Syntax

@Suite("The command line")
struct ArgumentsTests {
  private static func words(_ line: String) -> [String] { line.split(separator: " ").map(String.init) }

  @Test(
    "a line means one command",
    arguments: [
      ("run", .run(RunArguments())),
      ("run --demo --mountpoint /m --config=c", .run(RunArguments(config: "c", mountpoint: "/m", isDemo: true))),
      ("--config c run", .run(RunArguments(config: "c"))),
      ("jobs", .jobs(.init())),
      (
        "jobs --search a --start=40 --limit 5 --json",
        .jobs(.init(search: "a", start: 40, limit: 5, isJSON: true, isTable: true))
      ),
      ("jobs --search=a=b", .jobs(.init(search: "a=b"))),
      ("jobs --limit 5 --limit 6", .jobs(.init(limit: 6, isTable: true))),
      ("jobs --table", .jobs(.init(isTable: true))),
      ("ui", .ui(isPrinting: false)),
      ("ui --print", .ui(isPrinting: true)),
      ("stage f --recipient a", .stage(.init(file: "f", recipient: "a", isWarm: false, isJSON: false))),
      ("stage --recipient=--x f --json", .stage(.init(file: "f", recipient: "--x", isWarm: false, isJSON: true))),
      ("stage --recipient -x f", .stage(.init(file: "f", recipient: "-x", isWarm: false, isJSON: false))),
      ("stage --recipient ../&#%+/ü f", .stage(.init(file: "f", recipient: "../&#%+/ü", isWarm: false, isJSON: false))),
      ("stage --recipient a -- -f", .stage(.init(file: "-f", recipient: "a", isWarm: false, isJSON: false))),
      ("stage f --recipient a --warm", .stage(.init(file: "f", recipient: "a", isWarm: true, isJSON: false))),
      ("stage f", .stage(.init(file: "f"))),
      ("stage f --recipient a --open --tile", .stage(.init(file: "f", recipient: "a", opens: true, showsTile: true))),
      ("pin i", .pin(.init(item: "i", isPinned: true))),
      ("pin i --wait", .pin(.init(item: "i", isPinned: true, isWaiting: true))),
      ("unpin --json ./x", .pin(.init(item: "./x", isPinned: false, isJSON: true))),
      ("cache", .cache(isJSON: false)),
      ("cache clear --json", .clearCache(isJSON: true)),
      ("staged --json", .staged(isJSON: true)),
      ("unstage i", .unstage(.item("i"), isJSON: false)),
      ("unstage --all --json", .unstage(.all, isJSON: true)),
      ("unstage -- --all", .unstage(.item("--all"), isJSON: false)),
      ("status", .status(isJSON: false)),
      ("status --watch", .watch),
      ("completions zsh", .completions(.zsh)),
      ("man", .man(.fsmvp)),
      ("man fsmvp-tile", .man(.tile)),
      ("trace --json", .trace(isJSON: true)),
      ("stop", .stop(.init())),
      ("stop --forget", .stop(.init(forgets: true))),
      ("stop --yes", .stop(.init(isSure: true))),
      ("stop --force --forget", .stop(.init(forgets: true, isSure: true))),
      ("--config file:///etc/my%20config status", .status(isJSON: false)),
      ("config", .config(isJSON: false)),
      ("shim restart", .shim(.restart, isJSON: false)),
      ("shim --json kill", .shim(.kill, isJSON: true)),
      ("reload", .reload(isJSON: false)),
      ("cache clear --orphans", .clearOrphans(isJSON: false)),
      ("cache --orphans --json clear", .clearOrphans(isJSON: true)),
      ("version", .version(isABI: false)),
      ("version --abi", .version(isABI: true)),
      ("--version", .version(isABI: false)),
      ("shim --help", .help(.shim)),
      ("help", .help(nil)),
      ("--help", .help(nil)),
      ("-h", .help(nil)),
      ("help stage", .help(.stage)),
      ("stage --help", .help(.stage)),
      ("--help stage", .help(.stage)),
      ("jobs --limit nonsense -h", .help(.jobs)),
    ] as [(String, Command)])
  func understands(line: String, command: Command) throws {
    #expect(try Invocation(arguments: Self.words(line)).command == command)
  }

  @Test(
    "a wrong line is refused with code 2 and a sentence with a hint",
    arguments: [
      ("", "say what to do"),
      ("stge f --recipient a", "did you mean `fsmvp stage`?"),
      ("stat", "did you mean `fsmvp status`?"),
      ("unstge", "did you mean `fsmvp unstage`?"),
      ("frobnicate", "`fsmvp help` lists them"),
      ("help bogus", "there is no verb"),
      ("--json jobs", "no flag --json before the verb"),
      ("jobs --serach x", "did you mean --search?"),
      ("jobs --demo", "has no flag --demo"),
      ("jobs -x", "has no flag -x"),
      ("jobs --search", "--search needs a value"),
      ("jobs --search --json", "--search needs a value"),
      ("jobs --json=yes", "--json takes no value"),
      ("jobs --start -1", "--start takes a whole number from 0"),
      ("jobs --start 1.5", "--start takes a whole number"),
      ("jobs --start 99999999999999999999", "--start takes a whole number"),
      ("jobs --limit 0", "--limit takes a whole number from 1 to 5000"),
      ("jobs --limit 5001", "--limit takes a whole number from 1 to 5000"),
      ("jobs --limit=", "--limit takes a whole number"),
      ("jobs extra", "does not know what to do with “extra”"),
      ("stage", "needs FILE_ID"),
      ("stage f --recipient=", "the recipient is empty"),
      ("stage f g --recipient a", "does not know what to do with “g”"),
      ("unstage", "unstage ID|PATH"),
      ("unstage i --all", "not both"),
      ("unstage a b", "does not know what to do with “b”"),
      ("shim", "needs restart|kill"),
      ("shim restrat", "did you mean `fsmvp shim restart`?"),
      ("shim stop", "does not know “stop”; usage: fsmvp shim restart|kill [--json]"),
      ("shim kill kill", "does not know what to do with “kill”"),
      ("relaod", "did you mean `fsmvp reload`?"),
      ("cache --orphans", "fsmvp cache clear --orphans"),
      ("cache clear clear", "does not know what to do with “clear”"),
      ("pin", "needs ID|PATH"),
      ("unpin i --wait", "has no flag --wait"),
      ("status --watch --json", "GET /api/v1/events"),
      ("completions fihs", "did you mean `fsmvp completions fish`?"),
      ("man fsmvp-shim", "does not know “fsmvp-shim”"),
      ("unpin a b", "does not know what to do with “b”"),
      ("cache clera --orphans", "did you mean `fsmvp cache clear`?"),
      ("cache clear --orphan", "did you mean --orphans?"),
      ("run --mountpoint=", "--mountpoint needs the path"),
      ("--config", "--config needs a value"),
      ("--config= status", "--config needs the path"),
    ])
  func refuses(line: String, hint: String) {
    do throws(CommandFailure) {
      let invocation = try Invocation(arguments: Self.words(line))
      Issue.record("was taken for \(invocation)")
    } catch {
      #expect(error.code == .usage)
      #expect(error.message.contains(hint), "\(error.message)")
      #expect(!error.message.contains("\n"))
    }
  }

  @Test("an empty id or recipient is refused")
  func empty() {
    #expect(throws: CommandFailure.self) { try Invocation(arguments: ["stage", "", "--recipient", "a"]) }
    #expect(throws: CommandFailure.self) { try Invocation(arguments: ["stage", "f", "--recipient", ""]) }
    #expect(throws: CommandFailure.self) { try Invocation(arguments: ["unstage", ""]) }
  }

  @Test("--config goes for every verb, before it and behind")
  func config() throws {
    #expect(try Invocation(arguments: Self.words("--config f status")).config == "f")
    #expect(try Invocation(arguments: Self.words("status --config=f")).config == "f")
    #expect(try Invocation(arguments: Self.words("--config f status --config g")).config == "g")
  }

  @Test("every verb's help names every flag and every default", arguments: Verb.allCases)
  func help(verb: Verb) {
    let text = Help.text(verb)
    #expect(text.hasPrefix("usage: fsmvp \(verb.rawValue)"))
    for flag in verb.syntax.flags {
      #expect(text.contains("--\(flag.name)"))
      if let fallback = flag.fallback { #expect(text.contains("(default: \(fallback))")) }
    }
    #expect(Help.text(nil).contains("  \(verb.rawValue) "))
  }

  @Test("errors of the API have the exit codes of the contract")
  func codes() {
    let codes = [
      "invalid", "no_such_item", "no_such_file", "service_unreachable", "service_refused", "service_malformed",
      "failed", "?",
    ]
    #expect(codes.map { ExitCode(api: $0).rawValue } == [2, 4, 4, 5, 5, 5, 1, 1])
  }

  @Test(
    "a path to unstage is made absolute by its text",
    arguments: [
      ("/a/b", "/a/b"), ("a/b", "/w/x/a/b"), ("./a", "/w/x/a"), ("../a", "/w/a"), ("../../../a", "/a"),
      ("/a//b/./c/..", "/a/b"),
      ("..", "/w"),
    ])
  func absolute(path: String, expected: String) { #expect(ItemAddress.absolute(path, from: "/w/x") == expected) }

  @Test(
    "a file URL of another machine, or one that is none, is refused",
    arguments: [
      "file://server/a", "file:a", "file:///a%2", "file:///a%zz", "file:///a%00b", "file:///%ff", "file:", "file://",
    ])
  func refused(text: String) { #expect(throws: CommandFailure.self) { try ItemAddress.path(text) } }
}
