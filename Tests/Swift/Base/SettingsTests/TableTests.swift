import Staging
import Testing

@testable import Daemon
@testable import Settings

/// Keys in tables of the file, beside the same keys above all tables.
struct TableTests {
  @Test(
    "a key of a table is read, however the table is written",
    arguments: [
      ("[staged]\nmax_tiles = 3", 2), ("max_tiles = 3", 1), ("staged.max_tiles = 3", 1),
      ("staged = { max_tiles = 3 }", 1),
      ("workers = 4\n\n[staged]\n# of all\nmax_tiles = 3\nclose_grace = \"1s\"", 5),
      ("max_tiles = \"\"\n[staged]\nmax_tiles = 3", 3),
    ])
  func spellings(toml: String, line: Int) throws {
    let scratch = try Scratch()
    let settings = try scratch.load(toml)
    #expect(settings[\StagedSettings.maxTiles] == 3)
    #expect(settings.source(of: \StagedSettings.maxTiles) == .file(path: scratch.usual, line: line))
    #expect(settings.describe().first { $0.key == "max_tiles" }?.value == "3")
  }

  @Test("every key of `[staged]` is read there, and next to other tables' keys that stay above it")
  func everyKey() throws {
    let settings = try Scratch().load(
      """
      web_port = 8080
      [staged]
      max_tiles = 1
      close_grace = "500ms"
      after_upload = "drop-bytes"
      idle_evict_minutes = 90
      debug_skip_eviction = true
      """)
    #expect((settings[\StagedSettings.maxTiles], settings[\StagedSettings.closeGrace]) == (1, .milliseconds(500)))
    #expect((settings[\StagedSettings.afterUpload], settings[\StagedSettings.idleEvictMinutes]) == (.dropBytes, 90))
    #expect(settings[\StagedSettings.skipsEviction])
  }

  @Test(
    "a key that is given flat and in its table is refused with both lines",
    arguments: [
      (
        "max_tiles = 1\n[staged]\nmax_tiles = 1",
        "3:1: `max_tiles` is given twice: in line 1 and in `[staged]` in line 3; leave one of them out"
      ),
      (
        "staged.close_grace = 1\nworkers = 2\nclose_grace = 2",
        "3:1: `close_grace` is given twice: in `[staged]` in line 1 and in line 3; leave one of them out"
      ),
    ])
  func twice(toml: String, sentence: String) throws { #expect(try Scratch().refusal(toml) == sentence) }

  @Test(
    "wrong tables, and wrong keys and values in them, are refused at their place",
    arguments: [
      ("[stagde]\nmax_tiles = 1", "1:2: unknown key `stagde`; did you mean `[staged]`?"),
      ("[staged]\nmax_tile = 1", "2:1: unknown key `max_tile` in `[staged]`; did you mean `max_tiles`?"),
      ("[staged]\ncolour = 1", "2:1: unknown key `colour` in `[staged]`; `fsmvp config` lists the keys"),
      ("[staged]\nworkers = 1", "2:1: unknown key `workers` in `[staged]`; it has to stand above the first table"),
      ("[staged]\n\nmax_tiles = -1", "3:1: `max_tiles` must be a whole number from 0 to 100000, not -1"),
      (
        "[staged.max_tiles]\na = 1",
        "1:9: `max_tiles` must be a whole number from 0 to 100000, not a table, list or date"
      ),
      ("staged = 3", "1:1: `staged` is a table: its keys stand below a line `[staged]`"),
      ("[[staged]]\nmax_tiles = 1", "1:3: `staged` is a table: its keys stand below a line `[staged]`"),
      ("[staged]\nmax_tiles = 1\nmax_tiles = 2", "3:"),
    ])
  func refusals(toml: String, sentence: String) throws {
    let refusal = try Scratch().refusal(toml)
    #expect(sentence.count > 2 ? refusal == sentence : refusal.hasPrefix(sentence))
  }

  @Test("of several mistakes the first line's is told, in a table or not")
  func first() throws {
    #expect(try Scratch().refusal("zzz = 1\n[staged]\nmax_tiles = -1").hasPrefix("1:1: unknown key `zzz`"))
    #expect(try Scratch().refusal("staged.max_tiles = -1\nzzz = 1").hasPrefix("1:8: `max_tiles`"))
  }

  @Test("environment and flags win over a table")
  func precedence() throws {
    let settings = try Scratch().load("[staged]\nmax_tiles = 1", flags: ["max_tiles": "7"])
    #expect(settings[\StagedSettings.maxTiles] == 7)
    #expect(settings.source(of: \StagedSettings.maxTiles) == .flag("--max-tiles"))
  }

  @Test("a program that knows a part of the settings may ignore the others, but not wrong values of its own")
  func others() throws {
    let scratch = try Scratch()
    try scratch.write(
      ".fuse-stream-mvp/config.toml",
      "runtime_dir = \"/r\"\nworkers = 99\nzzz = 1\n[staged]\nmax_tiles = -1\n[music]\na = 1")
    let settings = try Settings.load([FolderSettings()], scratch.inputs(), ignoresOthers: true)
    #expect(settings.apiSocket == "/r/api.sock")
    #expect(settings.describe().map(\.key) == ["mountpoint", "runtime_dir", "state_dir", "cache_dir", "temp_dir"])
    try scratch.write(".fuse-stream-mvp/config.toml", "runtime_dir = 7")
    #expect(throws: SettingsError.self) { try Settings.load([FolderSettings()], scratch.inputs(), ignoresOthers: true) }
  }
}
