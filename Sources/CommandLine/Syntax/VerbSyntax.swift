/// The verbs of the command line, in the order of the help.
package enum Verb: String, CaseIterable, Sendable {
  case run, ui, jobs, stage, staged, unstage, pin, unpin, status, trace
  case shim, reload, stop, cache, bucket, config, completions, man, version, help
}

/// The kind of a word of the command line, for the shells' completions.
enum WordKind: Sendable, Equatable {
  /// Anything: there is nothing to offer.
  case text
  case file
  case folder
  case choice([String])
  /// A staged item's id, or its path.
  case item
  /// A recipient of an earlier staging.
  case recipient
}

/// A flag as parser and help know it.
struct FlagSyntax: Sendable {
  /// Without dashes.
  var name: String
  /// How the help names its value; nil for a flag without one.
  var value: String?
  var summary: String
  /// The value that applies if the flag is left out, for the help.
  var fallback: String?
  /// The kind of its value.
  var kind = WordKind.text

  /// Whether a shell has to wait for a word behind it.
  var takesValue: Bool { value != nil }
}

/// A verb's arguments and help: the one table for the parser, the help, the completions and the manual page. It is a
/// constant, without state.
struct VerbSyntax: Sendable {
  var summary: String
  /// How the help names the positional arguments.
  var positionals: String = ""
  /// How many there may be.
  var arity: ClosedRange<Int> = 0...0
  /// The kind of the positional arguments.
  var kind = WordKind.text
  var flags: [FlagSyntax] = []
  var details: [String] = []
  var examples: [String] = []

  static let config = FlagSyntax(
    name: "config", value: "F", summary: "read this configuration file",
    fallback: "$FSMVP_CONFIG, ~/.fuse-stream-mvp/config.toml, $XDG_CONFIG_HOME/fsmvp/config.toml", kind: .file)
  static let help = FlagSyntax(name: "help", summary: "print this help")
  static func json(_ what: String) -> FlagSyntax {
    FlagSyntax(name: "json", summary: "print \(what) as JSON, for programs", fallback: "a table for people")
  }
}

extension Verb {
  /// With those of every verb.
  var allFlags: [FlagSyntax] {
    // These make no request and read no settings.
    let takesConfig = ![.man, .version, .help].contains(self)
    return syntax.flags + (takesConfig ? [VerbSyntax.config] : []) + [VerbSyntax.help]
  }

  var syntax: VerbSyntax {
    switch self {
    case .run:
      VerbSyntax(
        summary: "Run the control plane in the foreground: mount, serve, fetch",
        flags: [
          FlagSyntax(
            name: "mountpoint", value: "D", summary: "mount here; the folder is made if it is missing",
            fallback: "$FSMVP_MOUNTPOINT, `mountpoint` of the configuration, ~/FuseStream", kind: .folder),
          FlagSyntax(
            name: "demo", summary: "serve generated videos of an embedded MediaHub instead of the real one",
            fallback: "off"),
          FlagSyntax(
            name: "demo-without-credentials",
            summary: "the same, but only where no credentials are set; `make run` says so",
            fallback: "off"),
        ],
        details: [
          "Prints one line `ready mount=PATH socket=PATH` on standard output when the mount is usable; the log goes to "
            + "standard error.",
          "SIGINT, SIGTERM or SIGHUP unmounts, removes the temporary files and ends with code 0; a second signal "
            + "detaches the mount and ends at once.",
          "When it dies otherwise, its shims keep the mount: the next `fsmvp run` takes them over, and uploads go on.",
        ],
        examples: ["fsmvp run --demo", "fsmvp run --config ~/mediahub.toml --mountpoint ~/Videos"])
    case .ui:
      VerbSyntax(
        summary: "Open the page in a browser, signed in",
        flags: [
          FlagSyntax(
            name: "print", summary: "print the link alone and open nothing", fallback: "it goes to the browser, too")
        ],
        details: [
          "The link is good once, for five minutes; the browser stays signed in for 30 days. It is a secret: it stands "
            + "in no argument list.",
          "`web` = false in the configuration switches the page off.",
        ])
    case .jobs:
      VerbSyntax(
        summary: "List finished jobs of MediaHub; on a terminal, choose one and stage it",
        flags: [
          FlagSyntax(name: "search", value: "T", summary: "only jobs whose name contains T", fallback: "all jobs"),
          FlagSyntax(name: "start", value: "N", summary: "skip the first N jobs", fallback: "0"),
          FlagSyntax(name: "limit", value: "N", summary: "list at most N jobs, 1 to 5000", fallback: "20"),
          FlagSyntax(
            name: "table", summary: "print the table also on a terminal",
            fallback: "a list to choose from, where there is a terminal"),
          VerbSyntax.json(#"{"jobs","total","start","limit"}"#),
        ],
        details: [
          "On a terminal: arrows, Page Up and Down, Home and End move, typing searches, Enter chooses: an output where "
            + "there are several, then for "
            + "whom. The file is staged and its path printed. Escape goes back, and leaves.",
          "With --start or --limit, or where input or output is no terminal: the table, a line a file.",
        ],
        examples: ["fsmvp jobs", "fsmvp jobs --search holiday", "fsmvp jobs --start 20"])
    case .stage:
      VerbSyntax(
        summary: "Stage a file for a recipient and print its path on the mount",
        positionals: "FILE_ID", arity: 1...1,
        flags: [
          FlagSyntax(
            name: "recipient", value: "TAG", summary: "who the file is for",
            fallback: "asked for on a terminal, required elsewhere",
            kind: .recipient),
          FlagSyntax(
            name: "warm", summary: "start fetching now, both ends first", fallback: "fetching begins at the first open"),
          FlagSyntax(name: "open", summary: "open the file with the program the desktop has for it (`xdg-open`)"),
          FlagSyntax(name: "tile", summary: "show it in a small window to drag it from (`fsmvp-tile`)"),
          FlagSyntax(name: "json", summary: "print the staged item as JSON, for programs", fallback: "the path alone"),
        ],
        details: [
          "FILE_ID is the id of a file, or of a job with exactly one output (`fsmvp jobs` lists both).",
          "Staging the same file for the same recipient again gives the same path.",
          "Warm bytes wait for an open until 10 minutes after the last of them came; then they are as any that nobody "
            + "uses.",
        ],
        examples: ["fsmvp stage 5f0c1e8f2d3a4b5c6d7e8f90 --recipient alice@example.com"])
    case .staged:
      VerbSyntax(
        summary: "List what is staged",
        flags: [VerbSyntax.json("an array of items")],
        details: [
          "GIVEN TO KERNEL counts the bytes handed to the kernel, its read-ahead included: a reader may have got fewer."
        ])
    case .unstage:
      VerbSyntax(
        summary: "Take a staged item, or all, off the mount",
        positionals: "ID|PATH", arity: 0...1, kind: .item,
        flags: [
          FlagSyntax(name: "all", summary: "unstage everything, instead of ID or PATH"),
          FlagSyntax(
            name: "json", summary: "print what was unstaged as JSON, for programs", fallback: "a line an item"),
        ],
        details: ["Whoever has the file open reads on; its bytes go after the last close."],
        examples: ["fsmvp unstage ~/FuseStream/Staged/3f2a/video.mp4", "fsmvp unstage --all"])
    case .pin:
      VerbSyntax(
        summary: "Fetch a staged item fully now, and keep its bytes",
        positionals: "ID|PATH", arity: 1...1, kind: .item,
        flags: [
          FlagSyntax(name: "wait", summary: "return once all of it is here", fallback: "at once"),
          FlagSyntax(name: "json", summary: "print the item as JSON, for programs", fallback: "a line"),
        ],
        details: [
          "Its bytes stay until it is unpinned or unstaged: they are dropped neither for room nor when unused, nor by "
            + "`cache clear`, nor after an upload.",
          "It does not count towards `max_tiles`. Pinned already, it tries again what failed.",
        ],
        examples: ["fsmvp pin ~/FuseStream/Staged/3f2a/video.mp4"])
    case .unpin:
      VerbSyntax(
        summary: "Let the bytes of a pinned item be dropped again",
        positionals: "ID|PATH", arity: 1...1, kind: .item,
        flags: [FlagSyntax(name: "json", summary: "print the item as JSON, for programs", fallback: "a line")])
    case .status:
      VerbSyntax(
        summary: "Show the control plane, its shim and their counters",
        flags: [
          FlagSyntax(
            name: "watch", summary: "follow it live, with what is staged, how far it is and who reads it",
            fallback: "once"),
          VerbSyntax.json(#"{"pid","shim":{...},"mount","uptimeSeconds",...counters}"#),
        ],
        details: ["--watch fills a terminal until q, Escape or Ctrl-C; elsewhere it prints a line a change."])
    case .trace:
      VerbSyntax(
        summary: "Show how long requests of the kernel took, by operation and segment",
        flags: [VerbSyntax.json(#"{"ops":[{"op","segments":[...]}]}"#)])
    case .shim:
      VerbSyntax(
        summary: "Replace the shim that serves the mount, without harm to open files",
        positionals: "restart|kill", arity: 1...1, kind: .choice(Command.ShimOrder.allCases.map(\.rawValue)),
        flags: [VerbSyntax.json(#"{"epoch","pid","outageMilliseconds"}"#)],
        details: [
          "restart: the shim finishes what it has in hand and hands over to a fresh one.",
          "kill: the rude one, for trying it out: SIGKILL, and the standby takes over.",
          "Either returns when the successor serves, and prints its epoch, its pid and how long nobody served.",
        ],
        examples: ["fsmvp shim restart", "fsmvp shim kill"])
    case .reload:
      VerbSyntax(
        summary: "Replace the running programs by those on disk: the upgrade, during which uploads go on",
        flags: [VerbSyntax.json(#"{"pid","version","reload":{...},"shim":{...}}"#)],
        details: [
          "The control plane executes its program anew, with the same pid, command line and environment, adopts its "
            + "shims and replaces them in turn.",
          "Refused, with nothing harmed, where the programs on disk do not run or speak another protocol than the "
            + "running ones.",
          "Returns when everything is new, or after 30 s with code 1.",
        ])
    case .stop:
      VerbSyntax(
        summary: "Stop the control plane: unmount, delete the fetched bytes",
        flags: [
          FlagSyntax(
            name: "forget", summary: "also drop the list of staged items",
            fallback: "the list is kept for the next start"),
          FlagSyntax(
            name: "yes", summary: "do not ask, even if files are open", fallback: "a person at a terminal is asked"),
          FlagSyntax(name: "force", summary: "the same as --yes"),
        ],
        details: [
          "If files are open, it says which programs read them and asks, provided that input and output are a "
            + "terminal. Scripts are not asked.",
          "Returns when the control plane has ended.",
        ])
    case .cache:
      VerbSyntax(
        summary: "Show the fetched bytes that are here, or drop those nobody uses",
        positionals: "[clear]", arity: 0...1, kind: .choice(["clear"]),
        flags: [
          FlagSyntax(
            name: "orphans",
            summary: "with `clear`: the bytes of other fsmvp instances that are no longer running",
            fallback: "those of this one's items"),
          VerbSyntax.json(
            #"{"folder","bytes","reserved","limit","free","minFree",...,"items":[...]}, of `clear` {"items","bytes"},"#
          ),
        ],
        details: [
          "clear: drops the bytes of all items that are neither open nor pinned; they stay staged. Returns when the "
            + "space is free.",
          "clear --orphans: looks into `cache_dir` and `temp_dir` of the settings; needs no control plane. What "
            + "somebody uses, or what is not ours, "
            + "is not touched.",
        ],
        examples: ["fsmvp cache", "fsmvp cache clear", "fsmvp cache clear --orphans"])
    case .bucket:
      VerbSyntax(
        summary: "Make a bucket, or list those that are there",
        positionals: "create NAME|list", arity: 1...2, kind: .choice(["create", "list"]),
        flags: [
          VerbSyntax.json(#"{"bucket_id","name","created_at"}, of `list` an array with "height" besides,"#)
        ],
        details: [
          "A bucket holds files and folders, which programs put there and get by HTTP at the control plane's socket, or "
            + "at `bucket_listen`.",
          "create: prints the id of the new bucket. Two buckets may have the same name; the id is its own.",
        ],
        examples: ["fsmvp bucket create docs", "fsmvp bucket list"])
    case .config:
      VerbSyntax(
        summary: "Print every setting, its value and where it came from",
        flags: [VerbSyntax.json("an array of settings")])
    case .completions:
      VerbSyntax(
        summary: "Print a shell's completions for fsmvp and fsmvp-tile",
        positionals: "bash|zsh|fish", arity: 1...1, kind: .choice(["bash", "zsh", "fish"]),
        details: [
          "`make install` puts them where the shells look. By hand: `source <(fsmvp completions bash)`, `fsmvp "
            + "completions zsh` into a file "
            + "`_fsmvp` of the fpath, `fsmvp completions fish | source`.",
          "`fsmvp completions items` and `recipients` print what the scripts offer: a line each, nothing where no "
            + "control plane runs.",
        ])
    case .man:
      VerbSyntax(
        summary: "Print a manual page, for man(1)",
        positionals: "[fsmvp|fsmvp-tile]", arity: 0...1, kind: .choice(ManualPage.allCases.map(\.rawValue)),
        examples: ["fsmvp man | man -l -"])
    case .version:
      VerbSyntax(
        summary: "Print the version",
        flags: [FlagSyntax(name: "abi", summary: "print the number of the protocol between the two programs instead")])
    case .help:
      VerbSyntax(
        summary: "Print help, of a verb where one is given", positionals: "[VERB]", arity: 0...1,
        kind: .choice(Verb.allCases.map(\.rawValue)))
    }
  }
}
