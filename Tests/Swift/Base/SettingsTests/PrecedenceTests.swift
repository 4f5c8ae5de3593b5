import MediaHub
import ShimHost
import Staging
import Store
import Testing
import Transfer

@testable import Daemon
@testable import Settings

/// Defaults < file < environment < flags, for each combination.
struct PrecedenceTests {
  @Test("each level wins over those below it, and `source` names it")
  func levels() throws {
    let scratch = try Scratch()
    let toml = "\nmountpoint = \"/file\"\n"
    let variable = ["FSMVP_MOUNTPOINT": "/variable"]
    let flag = ["mountpoint": "/flag"]
    let file = Settings.Source.file(path: scratch.usual, line: 2)
    let table:
      [(toml: String, environment: [String: String], flags: [String: String], value: String, source: Settings.Source)] =
        [
          ("", [:], [:], scratch.home + "/FuseStream", .builtIn),
          (toml, [:], [:], "/file", file),
          ("", variable, [:], "/variable", .environment("FSMVP_MOUNTPOINT")),
          (toml, variable, [:], "/variable", .environment("FSMVP_MOUNTPOINT")),
          ("", [:], flag, "/flag", .flag("--mountpoint")),
          (toml, variable, flag, "/flag", .flag("--mountpoint")),
          (toml, ["FSMVP_MOUNTPOINT": ""], [:], "/file", file),
          ("mountpoint = \"\"", [:], [:], scratch.home + "/FuseStream", .builtIn),
        ]
    for row in table {
      let settings = try scratch.load(row.toml, row.environment, flags: row.flags)
      #expect(settings.mountpoint == row.value)
      #expect(settings.source(of: \FolderSettings.mountpoint) == row.source)
    }
  }

  @Test("every variable of the manual reaches its setting")
  func variables() throws {
    let scratch = try Scratch()
    let settings = try Settings.load(
      scratch.inputs([
        "FSMVP_RUNTIME_DIR": "/r", "FSMVP_STATE_DIR": "/s", "FSMVP_CACHE_DIR": "/c", "FSMVP_MOUNTPOINT": "m",
        "FSMVP_TEMP_DIR": "~/t",
        "FSMVP_API_BASE": "http://127.0.0.1:8080/v1//", "FSMVP_CLIENT_ID": "me", "FSMVP_CLIENT_SECRET": "hush",
        "FSMVP_FETCH_MODE": "temp-file", "FSMVP_LOG_LEVEL": "debug",
      ]))
    #expect(settings.runtimeFolder == "/r")
    #expect(settings.stateFolder == "/s")
    #expect(settings.bytesFolder == scratch.home + "/t")
    #expect(settings.mountpoint == "/somewhere/m")
    #expect(settings[\MediaHubSettings.base] == "http://127.0.0.1:8080/v1")
    #expect(settings[\MediaHubSettings.clientID] == "me")
    #expect(settings[\MediaHubSettings.clientSecret].reveal() == "hush")
    #expect(settings.hasCredentials)
    #expect(settings[\DaemonSettings.logLevel] == .debug)
  }

  @Test("every key of the file is read")
  func everyKey() throws {
    let scratch = try Scratch()
    let settings = try scratch.load(
      """
      api_base = "https://example.org/v1/"
      client_id = "me"
      client_secret = "hush"
      scope = "mediahub_read,autograph"
      mountpoint = "~/m"
      runtime_dir = "/r"
      state_dir = "/s"
      cache_dir = "./c"
      fetch_mode = "temp-file"
      max_tiles = 1
      close_grace = "500ms"
      after_upload = "drop-bytes"
      stall_timeout = 90
      max_ranges_per_file = 2
      max_ranges = 3
      workers = 16
      standby = false
      shim_timeout = "2500ms"
      orphan_timeout = "2m"
      log_level = "warning"
      chunk_size = 65536
      cache_size = "64MiB"
      max_concurrent_requests = 5
      enable_app_nap = true
      debug_skip_eviction = true
      debug_fskit_single_thread = false
      temp_dir = ""
      """)
    #expect(settings[\MediaHubSettings.base] == "https://example.org/v1")
    #expect(settings[\MediaHubSettings.scope] == "mediahub_read,autograph")
    #expect(settings.mountpoint == scratch.home + "/m")
    #expect((settings.runtimeFolder, settings.stateFolder) == ("/r", "/s"))
    #expect(settings.bytesFolder == scratch.home + "/.fuse-stream-mvp/c")
    #expect(
      (
        settings[\StagedSettings.maxTiles], settings[\StoreSettings.maxRangesPerFile],
        settings[\StoreSettings.maxRanges],
        settings[\ShimSettings.workers]
      ) == (1, 2, 3, 16))
    #expect(
      (settings[\StagedSettings.closeGrace], settings[\StoreSettings.stallTimeout]) == (
        .milliseconds(500), .seconds(90)
      ))
    #expect(
      (settings[\ShimSettings.standby], settings[\ShimSettings.shimTimeout], settings[\ShimSettings.orphanTimeout]) == (
        false, .milliseconds(2500), .seconds(120)
      ))
    #expect(settings[\StagedSettings.afterUpload] == .dropBytes)
    #expect(settings[\DaemonSettings.logLevel] == .warning)
    #expect(
      (
        settings[\StoreSettings.chunkSize], settings[\StoreSettings.cacheSize],
        settings[\StoreSettings.maxConcurrentRequests]
      ) == (
        65536, 64 << 20, 5
      ))
    #expect(settings[\StagedSettings.skipsEviction])
    #expect(
      settings.warnings == [
        "\(scratch.usual):24:1: `enable_app_nap` works on macOS only and is ignored",
        "\(scratch.usual):26:1: `debug_fskit_single_thread` works on macOS only and is ignored",
      ])
  }

  @Test("the shims' settings have variables, and defaults that keep a standby")
  func shims() throws {
    let scratch = try Scratch()
    let usual = try scratch.load("")
    #expect(
      (usual[\ShimSettings.standby], usual[\ShimSettings.shimTimeout], usual[\ShimSettings.orphanTimeout]) == (
        true, .seconds(5), .seconds(600)
      ))
    let set = try scratch.load(
      "standby = true\nshim_timeout = 7",
      ["FSMVP_STANDBY": "no", "FSMVP_SHIM_TIMEOUT": "9s", "FSMVP_ORPHAN_TIMEOUT": "1h"])
    #expect(
      (set[\ShimSettings.standby], set[\ShimSettings.shimTimeout], set[\ShimSettings.orphanTimeout]) == (
        false, .seconds(9), .seconds(3600)
      )
    )
    #expect(set.source(of: \ShimSettings.shimTimeout) == .environment("FSMVP_SHIM_TIMEOUT"))
  }

  @Test("the window mode is chosen by file or variable, and has its defaults")
  func windowMode() throws {
    let scratch = try Scratch()
    let usual = try scratch.load("")
    #expect(usual[\StoreSettings.fetchMode] == .tempFile)
    #expect(
      (usual[\StoreSettings.chunkSize], usual[\StoreSettings.cacheSize], usual[\StoreSettings.maxConcurrentRequests])
        == (
          4 << 20, 64 << 20, 16
        ))
    #expect(try scratch.load("fetch_mode = \"range-lru\"")[\StoreSettings.fetchMode] == .rangeLRU)
    #expect(try scratch.load("", ["FSMVP_FETCH_MODE": "range-lru"])[\StoreSettings.fetchMode] == .rangeLRU)
  }

  @Test("the cache's bounds: what is not set is automatic, and zero is a value")
  func cacheBounds() throws {
    let scratch = try Scratch()
    let usual = try scratch.load("")
    #expect(
      (usual[\StoreSettings.minFree], usual[\StoreSettings.maxCache], usual[\StagedSettings.idleEvictMinutes]) == (
        nil, 0, 0
      ))
    #expect(usual.describe().first { $0.key == "min_free" }?.value == "auto")
    let set = try scratch.load("min_free = \"2GiB\"\nmax_cache = \"100GiB\"\nidle_evict_minutes = 90")
    #expect(
      (set[\StoreSettings.minFree], set[\StoreSettings.maxCache], set[\StagedSettings.idleEvictMinutes]) == (
        2 << 30, 100 << 30, 90
      ))
    #expect(set.describe().first { $0.key == "min_free" }?.value == "2 GiB")
    #expect(try scratch.load("min_free = 0")[\StoreSettings.minFree] == 0)
    #expect(try scratch.load("min_free = \"auto\"")[\StoreSettings.minFree] == nil)
  }

  @Test("the way to the service: as it comes, or as it is set")
  func way() throws {
    let scratch = try Scratch()
    let usual = try scratch.load("")
    #expect((usual[\MediaHubSettings.linkAuth], usual[\TransferSettings.maxDownloadRate]) == (.bearer, 0))
    #expect(
      usual[\TransferSettings.proxy] == nil && usual[\TransferSettings.noProxy] == nil
        && usual[\TransferSettings.caFile] == nil)
    let set = try scratch.load(
      """
      link_auth = "hmac"
      max_download_rate = "8MiB"
      proxy = "http://proxy.example:3128/"
      no_proxy = "intra.example, 10.0.0.0/8"
      ca_file = "ca.pem"
      """)
    #expect((set[\MediaHubSettings.linkAuth], set[\TransferSettings.maxDownloadRate]) == (.hmac, 8 << 20))
    #expect(
      set[\TransferSettings.proxy]?.reveal() == "http://proxy.example:3128"
        && set[\TransferSettings.noProxy] == "intra.example, 10.0.0.0/8"
    )
    #expect(set[\TransferSettings.caFile] == scratch.home + "/.fuse-stream-mvp/ca.pem")
    let variables = ["FSMVP_LINK_AUTH": "bearer", "FSMVP_MAX_DOWNLOAD_RATE": "1000"]
    let loaded = try scratch.load("link_auth = \"hmac\"", variables)
    #expect((loaded[\MediaHubSettings.linkAuth], loaded[\TransferSettings.maxDownloadRate]) == (.bearer, 1000))
  }

  @Test("every folder that may hold bytes is known once")
  func bytesFolders() throws {
    let scratch = try Scratch()
    #expect(try scratch.load("cache_dir = \"/c\"").bytesFolders == ["/c"])
    #expect(try scratch.load("cache_dir = \"/c\"\ntemp_dir = \"/t\"").bytesFolders == ["/t", "/c"])
    #expect(try scratch.load("cache_dir = \"/c\"\ntemp_dir = \"/c\"").bytesFolders == ["/c"])
  }

  @Test("temp_dir takes the place of the cache folder, whichever of the two was set where")
  func tempDir() throws {
    let scratch = try Scratch()
    #expect(try scratch.load("cache_dir = \"/c\"").bytesFolder == "/c")
    #expect(try scratch.load("temp_dir = \"/t\"", ["FSMVP_CACHE_DIR": "/c"]).bytesFolder == "/t")
    #expect(
      try scratch.load("temp_dir = \"/t\"", ["FSMVP_CACHE_DIR": "/c", "FSMVP_TEMP_DIR": "/e"]).bytesFolder == "/e")
  }

  @Test("folders default to the XDG ones, and a relative XDG variable is ignored")
  func folders() throws {
    let scratch = try Scratch()
    let bare = try Settings.load(scratch.inputs(["TMPDIR": "/var/tmp", "XDG_STATE_HOME": "relative"]))
    #expect(bare.runtimeFolder == "/var/tmp/fsmvp-1234")
    #expect(bare.stateFolder == scratch.home + "/.local/state/fsmvp")
    #expect(bare.bytesFolder == scratch.home + "/.cache/fsmvp")
    let xdg = try Settings.load(
      scratch.inputs(["XDG_RUNTIME_DIR": "/run/user/1", "XDG_STATE_HOME": "/s/", "XDG_CACHE_HOME": "/c"]))
    #expect((xdg.runtimeFolder, xdg.stateFolder, xdg.bytesFolder) == ("/run/user/1/fsmvp", "/s/fsmvp", "/c/fsmvp"))
  }

  @Test("cache_size of at most 4096 counts chunks, with a warning; more, or with a unit, is bytes")
  func chunks() throws {
    let scratch = try Scratch()
    let counted = try scratch.load("cache_size = 8\nchunk_size = \"1MiB\"")
    #expect(counted[\StoreSettings.cacheSize] == 8 << 20)
    #expect(counted.warnings == ["\(scratch.usual):1:1: `cache_size` = 8 is read as 8 chunks of 1 MiB; write \"8MiB\""])
    #expect(try scratch.load("cache_size = 4096\nchunk_size = \"256MiB\"")[\StoreSettings.cacheSize] == 1 << 40)
    let bytes = try scratch.load("cache_size = 65536")
    #expect(bytes[\StoreSettings.cacheSize] == 65536 && bytes.warnings.isEmpty)
    #expect(scratch.refusal("cache_size = 4097").hasPrefix("1:1: `cache_size` must be a size from 64 KiB to 1 TiB"))
    #expect(scratch.refusal("cache_size = 0").hasPrefix("1:1: `cache_size` must be a size from 64 KiB to 1 TiB"))
  }

  @Test("the process's own inputs are absolute folders and its environment")
  func process() {
    let inputs = SettingsInputs.process(flags: ["mountpoint": "/m"], configFlag: "f")
    #expect(inputs.home.hasPrefix("/") && inputs.workingFolder.hasPrefix("/"))
    #expect(inputs.environment["PATH"] != nil)
    #expect(inputs.flags == ["mountpoint": "/m"] && inputs.configFlag == "f")
  }
}
