import SettingsModel
import ShimHost
import Testing

@testable import Settings

/// Each mistake is told with line, column and a right value.
struct RefusalTests {
  @Test(
    "a value of the wrong type or out of range is refused at its place",
    arguments: [
      ("\n  workers = 17", "2:3: `workers` must be a whole number from 1 to 16, not 17"),
      (
        "shim_timeout = 0",
        "1:1: `shim_timeout` must be a time from 1s to 5m such as \"5s\" (a bare number is seconds), not 0"
      ),
      (
        "orphan_timeout = \"25h\"",
        "1:1: `orphan_timeout` must be a time from 1s to 24h such as \"5s\" (a bare number is seconds), not \"25h\""
      ),
      ("standby = 1", "1:1: `standby` must be true or false, not 1"),
      ("workers = 0", "1:1: `workers` must be a whole number from 1 to 16, not 0"),
      ("workers = \"4\"", "1:1: `workers` must be a whole number from 1 to 16, not \"4\""),
      ("workers = 4.0", "1:1: `workers` must be a whole number from 1 to 16, not 4.0"),
      ("max_tiles = -1", "1:1: `max_tiles` must be a whole number from 0 to 100000, not -1"),
      (
        "max_tiles = 9223372036854775807",
        "1:1: `max_tiles` must be a whole number from 0 to 100000, not 9223372036854775807"
      ),
      ("max_ranges_per_file = 17", "1:1: `max_ranges_per_file` must be a whole number from 1 to 16, not 17"),
      ("max_ranges = 33", "1:1: `max_ranges` must be a whole number from 1 to 32, not 33"),
      (
        "close_grace = \"soon\"",
        "1:1: `close_grace` must be a time from 0s to 24h such as \"5s\" (a bare number is seconds), not \"soon\""
      ),
      (
        "stall_timeout = 0.5",
        "1:1: `stall_timeout` must be a time from 1s to 24h such as \"5s\" (a bare number is seconds), not 0.5"
      ),
      (
        "chunk_size = 1",
        "1:1: `chunk_size` must be a size from 4 KiB to 256 MiB such as \"64MiB\" (a bare number is bytes), not 1"
      ),
      (
        "min_free = \"some\"",
        "1:1: `min_free` must be \"auto\" or a size from 0 B to 1024 TiB such as \"64MiB\" (a bare number is bytes), "
          + "not \"some\""
      ),
      (
        "max_cache = -1",
        "1:1: `max_cache` must be a size from 0 B to 1024 TiB such as \"64MiB\" (a bare number is bytes), not -1"
      ),
      (
        "max_cache = \"auto\"",
        "1:1: `max_cache` must be a size from 0 B to 1024 TiB such as \"64MiB\" (a bare number is bytes), not \"auto\""
      ),
      ("link_auth = \"token\"", "1:1: `link_auth` must be \"bearer\" or \"hmac\", not \"token\""),
      (
        "max_download_rate = \"fast\"",
        "1:1: `max_download_rate` must be a size from 0 B to 1 TiB such as \"64MiB\" (a bare number is bytes), not "
          + "\"fast\""
      ),
      ("idle_evict_minutes = 525601", "1:1: `idle_evict_minutes` must be a whole number from 0 to 525600, not 525601"),
      (
        "after_upload = \"delete\"",
        "1:1: `after_upload` must be \"keep\" or \"drop-bytes\" or \"unstage\", not \"delete\""
      ),
      ("fetch_mode = \"ram\"", "1:1: `fetch_mode` must be \"temp-file\" or \"range-lru\", not \"ram\""),
      ("debug_skip_eviction = 1", "1:1: `debug_skip_eviction` must be true or false, not 1"),
      ("debug_skip_eviction = \"yes\"", "1:1: `debug_skip_eviction` must be true or false, not \"yes\""),
      (
        "mountpoint = [\"/a\"]",
        "1:1: `mountpoint` must be a path (absolute, relative or ~/...), not a table, list or date"
      ),
      ("mountpoint = \"~other/x\"", "1:1: `mountpoint` must be a path (absolute, relative or ~/...), not \"~other/x\""),
      (
        "mountpoint = \"/a\\u0000b\"",
        "1:1: `mountpoint` must be a path (absolute, relative or ~/...), not \"/a\\x00b\""
      ),
      ("client_id = 7", "1:1: `client_id` must be a text in quotes, on one line, not 7"),
      ("[workers]\na = 1", "1:2: `workers` must be a whole number from 1 to 16, not a table, list or date"),
    ])
  func values(toml: String, sentence: String) throws { #expect(try Scratch().refusal(toml) == sentence) }

  @Test(
    "an unknown key is refused with the nearest one",
    arguments: [
      ("\n\nmountpiont = \"/m\"", "3:1: unknown key `mountpiont`; did you mean `mountpoint`?"),
      ("Client_Secret = \"x\"", "1:1: unknown key `Client_Secret`; did you mean `client_secret`?"),
      ("cachesize = 1", "1:1: unknown key `cachesize`; did you mean `cache_size`?"),
      ("max_range = 1", "1:1: unknown key `max_range`; did you mean `max_ranges`?"),
      ("worker = 1", "1:1: unknown key `worker`; did you mean `workers`?"),
      ("colour = \"red\"", "1:1: unknown key `colour`; `fsmvp config` lists the keys"),
      ("standbyes = true", "1:1: unknown key `standbyes`; did you mean `standby`?"),
      ("[mediahub]\nclient_id = \"a\"", "1:2: unknown key `mediahub`; `fsmvp config` lists the keys"),
      ("\"key\\none\" = 1", "1:1: unknown key `key\\x0aone`; `fsmvp config` lists the keys"),
    ])
  func keys(toml: String, sentence: String) throws { #expect(try Scratch().refusal(toml) == sentence) }

  @Test("of several mistakes the first line's is told")
  func first() throws {
    #expect(try Scratch().refusal("workers = 99\napi_bass = \"\"").hasPrefix("1:1: `workers`"))
    #expect(try Scratch().refusal("zzz = 1\nworkers = 99").hasPrefix("1:1: unknown key `zzz`"))
  }

  @Test(
    "a typo in the TOML is refused with line and column",
    arguments: [
      ("max_tiles = 1\nmountpoint = /mnt\n", "2:14: "), ("max_tiles 1", "1:11: "),
      ("max_tiles = 1\nmax_tiles = 2", "2:"),
      ("mountpoint = \"/m", "1:"), ("a = \u{1}", "1:5: "),
    ])
  func typos(toml: String, place: String) throws {
    let sentence = try Scratch().refusal(toml)
    #expect(sentence.hasPrefix(place))
    #expect(sentence.contains(": this is not TOML: "))
    #expect(!sentence.contains("\n"))
  }

  @Test("bytes that are no text are refused, not a crash")
  func binary() throws {
    for bytes in [[0xff, 0xfe, 0, 1], [0x61, 0x3d, 0x22, 0xc3, 0x28, 0x22], [0]] as [[UInt8]] {
      #expect(throws: TomlDocument.Failure.self) { try TomlDocument(bytes) }
    }
    #expect(throws: TomlDocument.Failure.self) {
      try TomlDocument(Array(("a = " + String(repeating: "[", count: 100_000)).utf8))
    }
    #expect(try TomlDocument([]).keys { _ in true }.isEmpty)
  }

  @Test("variables and flags are refused by their names")
  func elsewhere() throws {
    let scratch = try Scratch()
    #expect(
      scratch.refusal("", ["FSMVP_LOG_LEVEL": "loud"])
        == "FSMVP_LOG_LEVEL: `log_level` must be \"debug\" or \"info\" or \"warning\" or \"error\", not \"loud\"")
    #expect(
      scratch.refusal("", flags: ["workers": "x"])
        == "--workers: `workers` must be a whole number from 1 to 16, not \"x\"")
    #expect(try scratch.load("", flags: ["workers": "3"])[\ShimSettings.workers] == 3)
    #expect(
      scratch.refusal("", flags: ["mountpoint": ""])
        == "--mountpoint must be a path (absolute, relative or ~/...), not empty")
    #expect(scratch.refusal("", flags: ["no_such": "1"]) == "there is no setting for --no-such")
  }

  @Test(
    "a proxy is one of four kinds, with host and port",
    arguments: [
      ("http://proxy.example:3128", "http://proxy.example:3128"), ("HTTPS://P.example:443/", "https://P.example:443"),
      ("socks5://10.0.0.1:1080", "socks5://10.0.0.1:1080"), ("socks5h://[fe80::1]:1080", "socks5h://[fe80::1]:1080"),
      ("http://u:p%40@h:1", "http://u:p%40@h:1"), ("http://u@h:1", "http://u@h:1"),
      ("proxy.example:3128", nil), ("http://proxy.example", nil), ("http://proxy.example:0", nil),
      ("http://proxy.example:65536", nil),
      ("http://proxy.example:+1", nil), ("http://:3128", nil), ("http://@h:1", nil), ("http://a@b@h:1", nil),
      ("socks4://h:1", nil),
      ("http://h:1/path", nil), ("http://h:1?x", nil), ("http://h:1#x", nil), ("http://h h:1", nil),
      ("http://::1:1", nil),
      ("http://[]:1", nil), ("http://[::1:1", nil), ("", nil), ("://h:1", nil), ("http:/h:1", nil),
    ] as [(String, String?)])
  func proxy(text: String, address: String?) { #expect(ProxyAddress.parse(text) == address) }

  @Test(
    "api_base is https, or http to this machine",
    arguments: [
      ("https://api.xvid.com/v1", "https://api.xvid.com/v1"),
      ("HTTPS://a.example:8443/v1///", "https://a.example:8443/v1"),
      ("http://localhost:80/v1", "http://localhost:80/v1"), ("http://127.8.9.1", "http://127.8.9.1"),
      ("http://[::1]:9/x", "http://[::1]:9/x"),
      ("http://api.xvid.com/v1", nil), ("http://127.0.0.1.example/v1", nil), ("http://localhost@evil.example/", nil),
      ("http://127.0.0.1\\@evil.example/", nil), ("https://user:pw@host/", nil), ("ftp://host/", nil),
      ("api.xvid.com/v1", nil),
      ("https://", nil), ("https:///v1", nil), ("https://host:0/", nil), ("https://host:99999/", nil),
      ("https://ho st/", nil),
      ("https://host/v1?x=1", nil), ("https://host/v1#x", nil), ("https://hôst/v1", nil), ("https://[::1/v1", nil),
      ("http://127.1/", nil),
      ("http://127.0.0.+1/", nil),
    ] as [(String, String?)])
  func apiBase(text: String, base: String?) { #expect(APIBase.parse(text) == base) }
}
