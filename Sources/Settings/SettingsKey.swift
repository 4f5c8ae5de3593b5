/// Every setting there is, as the file spells it; the order is that of `fsmvp config`.
package enum SettingsKey: String, CaseIterable, Sendable {
  case apiBase = "api_base"
  case clientID = "client_id"
  case clientSecret = "client_secret"
  case scope
  case linkAuth = "link_auth"
  case mountpoint
  case runtimeDir = "runtime_dir"
  case stateDir = "state_dir"
  case cacheDir = "cache_dir"
  case tempDir = "temp_dir"
  case fetchMode = "fetch_mode"
  case maxTiles = "max_tiles"
  case closeGrace = "close_grace"
  case afterUpload = "after_upload"
  case idleTimeout = "idle_timeout"
  case stallTimeout = "stall_timeout"
  case maxRangesPerFile = "max_ranges_per_file"
  case maxRanges = "max_ranges"
  case maxDownloadRate = "max_download_rate"
  case proxy
  case noProxy = "no_proxy"
  case caFile = "ca_file"
  case workers
  case standby
  case shimTimeout = "shim_timeout"
  case orphanTimeout = "orphan_timeout"
  case logLevel = "log_level"
  case web
  case webPort = "web_port"
  case minFree = "min_free"
  case maxCache = "max_cache"
  case idleEvictMinutes = "idle_evict_minutes"
  case inhibitSleep = "inhibit_sleep"
  // Of the window mode, `fetch_mode` = "range-lru".
  case chunkSize = "chunk_size"
  case cacheSize = "cache_size"
  case maxConcurrentRequests = "max_concurrent_requests"
  // Of the service's first client. The App Nap one and the FSKit one mean something on macOS only.
  case enableAppNap = "enable_app_nap"
  case debugSkipEviction = "debug_skip_eviction"
  case debugFSKitSingleThread = "debug_fskit_single_thread"

  /// What its values must be like.
  var rule: SettingsRule {
    switch self {
    case .apiBase: .address
    case .clientID, .scope, .noProxy: .text
    case .linkAuth: .choice(["bearer", "hmac"])
    case .proxy: .proxy
    case .clientSecret: .secret
    case .mountpoint, .runtimeDir, .stateDir, .cacheDir, .tempDir, .caFile: .path
    case .fetchMode: .choice(["temp-file", "range-lru"])
    case .maxTiles: .count(0...100_000)
    case .closeGrace: .duration(.zero ... .seconds(86_400))
    case .afterUpload: .choice(["keep", "drop-bytes", "unstage"])
    case .idleTimeout: .duration(.seconds(1) ... .seconds(3600))
    case .stallTimeout: .duration(.seconds(1) ... .seconds(86_400))
    case .maxRangesPerFile: .count(1...16)
    case .maxRanges: .count(1...32)
    case .maxDownloadRate: .bytes(0...(1 << 40))
    case .workers: .count(1...16)
    case .standby: .flag
    case .shimTimeout: .duration(.seconds(1) ... .seconds(300))
    case .orphanTimeout: .duration(.seconds(1) ... .seconds(86_400))
    case .logLevel: .choice(["debug", "info", "warning", "error"])
    case .web: .flag
    case .webPort: .count(0...65_535)
    case .minFree: .bytesOrAuto(0...(1 << 50))
    case .maxCache: .bytes(0...(1 << 50))
    case .idleEvictMinutes: .count(0...525_600)
    case .inhibitSleep: .flag
    case .chunkSize: .bytes(4096...(256 << 20))
    case .cacheSize: .bytes((64 << 10)...(1 << 40))
    case .maxConcurrentRequests: .count(1...64)
    case .enableAppNap, .debugSkipEviction, .debugFSKitSingleThread: .flag
    }
  }

  /// The environment variable that overrides the file; most have none.
  var variable: String? {
    switch self {
    case .apiBase: "FSMVP_API_BASE"
    case .clientID: "FSMVP_CLIENT_ID"
    case .clientSecret: "FSMVP_CLIENT_SECRET"
    case .linkAuth: "FSMVP_LINK_AUTH"
    case .mountpoint: "FSMVP_MOUNTPOINT"
    case .runtimeDir: "FSMVP_RUNTIME_DIR"
    case .stateDir: "FSMVP_STATE_DIR"
    case .cacheDir: "FSMVP_CACHE_DIR"
    case .tempDir: "FSMVP_TEMP_DIR"
    case .fetchMode: "FSMVP_FETCH_MODE"
    case .maxDownloadRate: "FSMVP_MAX_DOWNLOAD_RATE"
    case .standby: "FSMVP_STANDBY"
    case .shimTimeout: "FSMVP_SHIM_TIMEOUT"
    case .orphanTimeout: "FSMVP_ORPHAN_TIMEOUT"
    case .logLevel: "FSMVP_LOG_LEVEL"
    case .web: "FSMVP_WEB"
    case .webPort: "FSMVP_WEB_PORT"
    default: nil
    }
  }

  var isMacOnly: Bool { self == .enableAppNap || self == .debugFSKitSingleThread }

  func defaultValue(_ inputs: SettingsInputs) -> SettingsValue {
    switch self {
    case .apiBase: .text("https://api.xvid.com/v1")
    // `web` left out is neither true nor false.
    case .clientID, .clientSecret, .scope, .tempDir, .proxy, .noProxy, .caFile, .web: .text("")
    case .linkAuth: .text("bearer")
    case .mountpoint: .text(inputs.home == "/" ? "/FuseStream" : inputs.home + "/FuseStream")
    case .runtimeDir: .text(inputs.runtimeFolder)
    case .stateDir: .text(inputs.xdg("XDG_STATE_HOME", ".local/state"))
    case .cacheDir: .text(inputs.xdg("XDG_CACHE_HOME", ".cache"))
    case .fetchMode: .text("temp-file")
    case .maxTiles: .count(0)
    case .closeGrace: .duration(.seconds(5))
    case .afterUpload: .text("keep")
    case .idleTimeout: .duration(.seconds(30))
    case .stallTimeout: .duration(.seconds(60))
    case .maxRangesPerFile: .count(16)
    case .maxRanges: .count(32)
    case .maxDownloadRate: .bytes(0)
    case .workers: .count(2)
    case .standby: .flag(true)
    case .shimTimeout: .duration(.seconds(5))
    case .orphanTimeout: .duration(.seconds(600))
    case .logLevel: .text("info")
    case .webPort: .count(0)
    case .minFree: .text(SettingsRule.auto)
    case .maxCache: .bytes(0)
    case .idleEvictMinutes: .count(0)
    case .inhibitSleep: .flag(true)
    case .chunkSize: .bytes(4 << 20)
    case .cacheSize: .bytes(64 << 20)
    case .maxConcurrentRequests: .count(16)
    case .enableAppNap, .debugSkipEviction, .debugFSKitSingleThread: .flag(false)
    }
  }
}
