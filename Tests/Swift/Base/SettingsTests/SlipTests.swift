import Core
import MediaHub
import ShimHost
import Testing

@testable import Daemon
@testable import Settings

/// Values as they are copied, or as other systems write them.
struct SlipTests {
  private static let slips: [String] = [
    "s3cret ", " s3cret", "s3cret\n", "s3cret\r\n", "\u{feff}s3cret", "s3cret\u{a0}", "\ts3cret\u{200b}", "\"s3cret\"",
    "'s3cret'\n",
    "\" s3cret \"\r\n",
  ]

  private func load(_ environment: [String: String], file: String? = nil) throws -> Settings {
    let scratch = try Scratch()
    return try file.map { try scratch.load($0, environment) } ?? Settings.load(scratch.inputs(environment))
  }

  @Test("a blank or a line end around a secret in the environment is left out, and said once", arguments: slips)
  func environment(text: String) throws {
    let settings = try load(["FSMVP_CLIENT_SECRET": text, "FSMVP_CLIENT_ID": "me"])
    #expect(settings[\MediaHubSettings.clientSecret].reveal() == "s3cret")
    // A line end alone is what a shell's here-document leaves, and needs no words.
    #expect(settings.warnings.count <= 1 && !settings.warnings.joined().contains("s3cret"))
    if text.hasSuffix(" ") {
      #expect(
        settings.warnings == [
          "FSMVP_CLIENT_SECRET: blanks, line ends or quotes around the value of `client_secret` are left out"
        ])
    }
  }

  @Test("the same in the file, whose quotes are its own, with a byte order mark and line ends of another system")
  func file() throws {
    let settings = try load(
      [:], file: "\u{feff}client_id = \"me \"\r\nclient_secret = \"\\ts3cret\\r\\n\"\r\nlog_level = \"Info\"\r\n")
    #expect(
      settings[\MediaHubSettings.clientID] == "me" && settings[\MediaHubSettings.clientSecret].reveal() == "s3cret"
        && settings[\DaemonSettings.logLevel] == .info)
    #expect(settings.warnings.filter { $0.contains("left out") }.count == 2)
  }

  @Test("a secret of nothing but blanks is none, and every setting of the environment may have a line end")
  func others() throws {
    let settings = try load([
      "FSMVP_CLIENT_SECRET": " \r\n", "FSMVP_CLIENT_ID": "me\n", "FSMVP_API_BASE": "\"https://hub.example/v1\"\r\n",
      "FSMVP_STANDBY": "Off\r\n",
      "FSMVP_CACHE_DIR": "/var/cache/mine\r\n", "FSMVP_STATE_DIR": "/with blank ",
    ])
    #expect(
      !settings.hasCredentials && settings[\MediaHubSettings.clientID] == "me"
        && settings[\MediaHubSettings.base] == "https://hub.example/v1" && !settings[\ShimSettings.standby])
    #expect(settings.bytesFolder == "/var/cache/mine" && settings.stateFolder == "/with blank ")
  }

  @Test("a line end inside a secret is refused by name, without the secret")
  func inside() {
    #expect(throws: SettingsError("FSMVP_CLIENT_SECRET: `client_secret` must be a text in quotes, on one line")) {
      try load(["FSMVP_CLIENT_SECRET": "s3c\nret"])
    }
  }
}
