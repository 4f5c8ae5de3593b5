import Core

/// The program's settings: defaults, overridden by the file, the environment and the command line, in this order. Each knows where its value
/// came from.
package struct Settings: Sendable {
  /// Where a value came from.
  package enum Source: Equatable, Sendable, CustomStringConvertible {
    case builtIn
    case file(path: String, line: Int)
    case environment(String)
    case flag(String)

    package var description: String {
      switch self {
      case .builtIn: "default"
      case .file(let path, let line): "\(path):\(line)"
      case .environment(let name): "environment \(name)"
      case .flag(let name): "flag \(name)"
      }
    }
  }

  /// One line of `fsmvp config`.
  package struct Row: Equatable, Sendable {
    package var key: String
    /// As the file would have it; a secret is `‹redacted›`, nothing is "".
    package var value: String
    package var source: Source
  }

  package enum AfterUpload: String, Sendable, CaseIterable { case keep, unstage, dropBytes = "drop-bytes" }
  package enum LogLevel: String, Sendable, CaseIterable { case debug, info, warning, error }
  /// How links are asked for: with a token, or with a signature of the client's secret.
  package enum LinkAuth: String, Sendable, CaseIterable { case bearer, hmac }
  /// Where fetched bytes go: to files on disk, or to a window in memory.
  package enum FetchMode: String, Sendable, CaseIterable { case tempFile = "temp-file", rangeLRU = "range-lru" }

  struct Entry: Sendable {
    var value: SettingsValue
    var source: Source
  }

  /// Every key has one.
  var entries: [SettingsKey: Entry]
  /// The file that was read, if there was one.
  package internal(set) var configFile: String?
  /// The file to write settings to: the one that was read, else the first of the usual ones; absolute.
  package internal(set) var configFileToWrite = ""
  /// One sentence each, for the person who starts the program.
  package internal(set) var warnings: [String] = []

  // MARK: The service

  /// Without trailing slash.
  package var apiBase: String { text(.apiBase) }
  /// Empty: not set. Without both there is the demo.
  package var clientID: String { text(.clientID) }
  package var clientSecret: Redacted<String> { Redacted(text(.clientSecret)) }
  package var hasCredentials: Bool { !text(.clientID).isEmpty && !text(.clientSecret).isEmpty }
  package var scope: String? { optional(.scope) }
  package var linkAuth: LinkAuth { LinkAuth(rawValue: text(.linkAuth)) ?? .bearer }

  // MARK: The way there

  /// May hold user and password; nil: as the environment says.
  package var proxy: Redacted<String>? { optional(.proxy).map { Redacted($0) } }
  /// Comma-separated; nil: as the environment says.
  package var noProxy: String? { optional(.noProxy) }
  /// A PEM bundle to trust besides the system's; absolute.
  package var caFile: String? { optional(.caFile) }
  /// Bytes a second over all ranges together; 0: no limit.
  package var maxDownloadRate: Int64 { bytes(.maxDownloadRate) }

  // MARK: Folders, all absolute, none looked at or made here

  package var mountpoint: String { text(.mountpoint) }
  package var runtimeFolder: String { text(.runtimeDir) }
  /// The control API's Unix socket; `fsmvp run` makes it there.
  package var apiSocket: String { Self.apiSocket(runtimeFolder: runtimeFolder) }
  package static func apiSocket(runtimeFolder: String) -> String { runtimeFolder + "/api.sock" }
  package var stateFolder: String { text(.stateDir) }
  /// Where files of bytes go: `temp_dir` where it is set, whoever set it, else `cache_dir`.
  package var bytesFolder: String { optional(.tempDir) ?? text(.cacheDir) }
  /// Where files of bytes are now, or were before `temp_dir` was set.
  package var bytesFolders: [String] {
    let other = text(.cacheDir)
    return bytesFolder == other ? [other] : [bytesFolder, other]
  }

  // MARK: Staging and fetching

  package var fetchMode: FetchMode { FetchMode(rawValue: text(.fetchMode)) ?? .tempFile }
  /// 0: no limit.
  package var maxTiles: Int { count(.maxTiles) }
  package var closeGrace: Duration { duration(.closeGrace) }
  package var afterUpload: AfterUpload { AfterUpload(rawValue: text(.afterUpload)) ?? .keep }
  /// A connection that brings no byte for so long is given up and made anew.
  package var idleTimeout: Duration { duration(.idleTimeout) }
  /// Without progress for so long, readers that wait get an error.
  package var stallTimeout: Duration { duration(.stallTimeout) }
  package var maxRangesPerFile: Int { count(.maxRangesPerFile) }
  package var maxRanges: Int { count(.maxRanges) }
  /// Bytes that the cache leaves free on its file system; nil: the smaller of 1 GiB and 5 % of it.
  package var minFree: Int64? {
    if case .bytes(let number) = entries[.minFree]?.value { return number }
    return nil
  }
  /// Bytes that the cache may hold; 0: 70 % of its file system.
  package var maxCache: Int64 { bytes(.maxCache) }
  /// An item that nobody used for so many minutes loses its bytes; 0: never.
  package var idleEvictMinutes: Int { count(.idleEvictMinutes) }
  /// The machine is kept from going to sleep by itself while files are open.
  package var inhibitsSleep: Bool { flag(.inhibitSleep) }
  /// Bytes are kept although nobody needs them; for looking at them.
  package var skipsEviction: Bool { flag(.debugSkipEviction) }

  // MARK: Processes

  /// Threads of a shim that read /dev/fuse.
  package var workers: Int { count(.workers) }
  /// Whether a second shim waits beside the active one.
  package var keepsStandby: Bool { flag(.standby) }
  /// A shim that does nothing for so long with requests in its hands is taken for hung and replaced.
  package var shimTimeout: Duration { duration(.shimTimeout) }
  /// How long shims whose control plane is gone keep readers waiting for the next one.
  package var orphanTimeout: Duration { duration(.orphanTimeout) }
  package var logLevel: LogLevel { LogLevel(rawValue: text(.logLevel)) ?? .info }

  // MARK: The page

  /// Whether 127.0.0.1 is listened to; nil: from the first time that somebody asks for the page.
  package var web: Bool? {
    if case .flag(let flag) = entries[.web]?.value { return flag }
    return nil
  }
  /// 0: the last one that was used, where it is free, else any.
  package var webPort: Int { count(.webPort) }

  // MARK: Window mode

  /// Bytes of the largest part that is asked for at once.
  package var chunkSize: Int64 { bytes(.chunkSize) }
  /// Bytes of all files together that are kept in memory.
  package var cacheSize: Int64 { bytes(.cacheSize) }
  /// Ranges in flight for a file.
  package var maxConcurrentRequests: Int { count(.maxConcurrentRequests) }

  // MARK: Looking

  package func source(of key: SettingsKey) -> Source { entries[key]?.source ?? .builtIn }

  /// Every setting with its value as text and where it came from; no secret.
  package func describe() -> [Row] {
    SettingsKey.allCases.compactMap { key in
      guard let entry = entries[key] else { return nil }
      return Row(key: key.rawValue, value: shown(entry.value, key.rule), source: entry.source)
    }
  }

  private func shown(_ value: SettingsValue, _ rule: SettingsRule) -> String {
    switch value {
    case .text(let text):
      if case .secret = rule, !text.isEmpty { return Redacted(text).description }
      if case .proxy = rule { return ProxyAddress.shown(text) }
      return text
    case .count(let number): return "\(number)"
    case .bytes(let number): return ByteCount.format(number)
    case .duration(let duration): return Durations.format(duration)
    case .flag(let flag): return "\(flag)"
    }
  }

  // MARK: Typed look-up; a key's rule made its value's case, so that the last resorts are never taken

  private func text(_ key: SettingsKey) -> String {
    if case .text(let text) = entries[key]?.value { return text }
    return ""
  }

  private func optional(_ key: SettingsKey) -> String? {
    let text = text(key)
    return text.isEmpty ? nil : text
  }

  private func count(_ key: SettingsKey) -> Int {
    if case .count(let number) = entries[key]?.value { return number }
    return 1
  }

  private func bytes(_ key: SettingsKey) -> Int64 {
    if case .bytes(let number) = entries[key]?.value { return number }
    return 0
  }

  private func duration(_ key: SettingsKey) -> Duration {
    if case .duration(let duration) = entries[key]?.value { return duration }
    return .zero
  }

  private func flag(_ key: SettingsKey) -> Bool {
    if case .flag(let flag) = entries[key]?.value { return flag }
    return false
  }
}
