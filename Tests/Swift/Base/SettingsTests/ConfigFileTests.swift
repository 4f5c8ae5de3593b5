import Staging
import Testing

@testable import Settings

/// The choice of the file, and the check that other users cannot read it.
struct ConfigFileTests {
  @Test("the file is --config, else FSMVP_CONFIG, else the first usual one that is there")
  func order() throws {
    let scratch = try Scratch()
    #expect(try Settings.load(scratch.inputs()).configFile == nil)
    let dotConfig = try scratch.write(".config/fsmvp/config.toml", "max_tiles = 1")
    #expect(try Settings.load(scratch.inputs()).configFile == dotConfig)
    let xdg = try scratch.write("xdg/fsmvp/config.toml", "max_tiles = 2")
    let inXDG = ["XDG_CONFIG_HOME": scratch.home + "/xdg"]
    #expect(try Settings.load(scratch.inputs(inXDG)).configFile == xdg)
    try scratch.write(".fuse-stream-mvp/config.toml", "max_tiles = 3")
    #expect(try Settings.load(scratch.inputs(inXDG)).configFile == scratch.usual)
    try scratch.write("variable.toml", "max_tiles = 4")
    let variable = ["FSMVP_CONFIG": "~/variable.toml"]
    #expect(try Settings.load(scratch.inputs(variable))[\StagedSettings.maxTiles] == 4)
    let flag = try scratch.write("flag.toml", "max_tiles = 5")
    #expect(try Settings.load(scratch.inputs(variable, config: flag))[\StagedSettings.maxTiles] == 5)
  }

  @Test("a file that was named must be there; a folder is none")
  func named() throws {
    let scratch = try Scratch()
    let missing = scratch.home + "/none.toml"
    #expect(throws: SettingsError("the config file \(missing) of --config does not exist")) {
      try Settings.load(scratch.inputs(config: missing))
    }
    #expect(throws: SettingsError("the config file /somewhere/none.toml of FSMVP_CONFIG does not exist")) {
      try Settings.load(scratch.inputs(["FSMVP_CONFIG": "none.toml"]))
    }
    #expect(throws: SettingsError("the config file \(scratch.home) cannot be read: Is a directory")) {
      try Settings.load(scratch.inputs(config: scratch.home))
    }
    #expect(throws: SettingsError("--config must name a file, not \"\"")) {
      try Settings.load(scratch.inputs(config: ""))
    }
  }

  @Test("a file of a megabyte and more is refused, not read")
  func large() throws {
    let scratch = try Scratch()
    let path = try scratch.write("large.toml", String(repeating: "#\n", count: 600_000))
    #expect(throws: SettingsError("the config file \(path) is larger than 1 MiB, so it is none")) {
      try Settings.load(scratch.inputs(config: path))
    }
  }

  @Test("a file with the secret that others can read or write is warned of, with the command to run")
  func permissions() throws {
    let scratch = try Scratch()
    let secret = "client_secret = \"hush\""
    for mode in [0o600, 0o400, 0o700] as [UInt32] {
      #expect(
        try Settings.load(scratch.inputs(config: try scratch.write("a.toml", secret, mode: mode))).warnings.isEmpty)
    }
    for mode in [0o640, 0o604, 0o620, 0o644] as [UInt32] {
      let path = try scratch.write("it's mine.toml", secret, mode: mode)
      let warning =
        "\(path) holds client_secret and others can read or change it; run: chmod 600 '\(scratch.home)/it'\\''s "
        + "mine.toml'"
      #expect(try Settings.load(scratch.inputs(config: path)).warnings == [warning])
    }
    let harmless = try scratch.write("b.toml", "client_id = \"me\"\nclient_secret = \"\"", mode: 0o644)
    #expect(try Settings.load(scratch.inputs(config: harmless)).warnings.isEmpty)
  }
}
