import SettingsModel
import Testing
import Transfer

@testable import Daemon
@testable import Settings

/// The client's secret is in no text the program makes of its settings.
struct SecrecyTests {
  private let secret = "hUsh+/9=="

  @Test("describe() has every key with its value and source, and never the secret")
  func describe() throws {
    let scratch = try Scratch()
    let settings = try scratch.load(
      "client_secret = \"\(secret)\"\nclose_grace = 90\nchunk_size = 65536", ["FSMVP_CLIENT_ID": "me"])
    let rows = settings.describe()
    #expect(rows.map(\.key) == SettingsCatalog.groups.flatMap(\.declarations).map(\.name))
    func row(_ key: String) -> Settings.Row? { rows.first { $0.key == key } }
    #expect(
      row("client_secret")
        == .init(key: "client_secret", value: "‹redacted›", source: .file(path: scratch.usual, line: 1)))
    #expect(row("client_id") == .init(key: "client_id", value: "me", source: .environment("FSMVP_CLIENT_ID")))
    #expect(row("close_grace")?.value == "90s")
    #expect(row("chunk_size")?.value == "64 KiB")
    #expect(row("max_tiles") == .init(key: "max_tiles", value: "0", source: .builtIn))
    #expect(row("close_grace")?.source.description == "\(scratch.usual):2")
    #expect(!rows.map { "\($0)" }.joined().contains(secret))
    #expect(try Scratch().load("").describe().first { $0.key == "client_secret" }?.value == "")
  }

  @Test(
    "a proxy's user and password are shown nowhere, the rest of it is",
    arguments: [
      ("http://jane:hUsh@proxy.example:3128", "http://‹redacted›@proxy.example:3128"),
      ("SOCKS5H://hUsh@[::1]:1080/", "socks5h://‹redacted›@[::1]:1080"),
      ("https://proxy.example:443", "https://proxy.example:443"),
    ])
  func proxy(text: String, shown: String) throws {
    let scratch = try Scratch()
    let settings = try scratch.load("proxy = \"\(text)\"")
    #expect(settings.describe().first { $0.key == "proxy" }?.value == shown)
    #expect(settings[\TransferSettings.proxy]?.reveal().contains("hUsh") == text.contains("hUsh"))
    #expect(
      !"\(settings.describe())".contains("hUsh")
        && !"\(String(describing: settings[\TransferSettings.proxy]))".contains("hUsh"))
  }

  @Test("a file with a proxy's password that others can read is warned of")
  func proxyPermissions() throws {
    let scratch = try Scratch()
    let open = try scratch.write(
      "a.toml", "proxy = \"http://jane:hUsh@proxy.example:3128\"\nclient_secret = \"hush\"", mode: 0o644)
    #expect(
      try Settings.load(scratch.inputs(config: open)).warnings
        == ["\(open) holds client_secret and proxy and others can read or change it; run: chmod 600 \(open)"])
    let harmless = try scratch.write("b.toml", "proxy = \"http://proxy.example:3128\"", mode: 0o644)
    #expect(try Settings.load(scratch.inputs(config: harmless)).warnings.isEmpty)
  }

  @Test(
    "no refusal quotes a secret",
    arguments: [
      "proxy = \"http://me:hUsh9==@proxy.example\"", "proxy = \"ftp://me:hUsh@proxy.example:1\"",
      "proxy = \"hUsh@proxy.example:1\"",
      "client_secret = hUsh+/9==", "client_secret = \"hUsh+/9==", "client_secret = hUsh+/9==\nworkers = 1",
      "client_secret = 12hUsh+/9==",
      "client_secret = truehUsh", "client_secret = infhUsh", "client_secret = 0xhUsh",
      "client_secret = [\"hUsh+/9==\"]", "client_secret = \"hUsh\\n+/9==\"",
      "client_secret = \"hUsh+/9==\"\nclient_secret = \"hUsh+/9==\"",
      "api_base = \"https://me:hUsh+/9==@host\"", "client_secret = \"hUsh+/9==\" x",
    ])
  func refusals(toml: String) throws {
    let sentence = try Scratch().refusal(toml)
    #expect(sentence.hasPrefix("1:") || sentence.hasPrefix("2:"))
    #expect(!sentence.contains("hUsh") && !sentence.contains("9=="))
  }
}
