import SettingsModel

/// Fetched bytes: where they are kept, how they are fetched, and how much room they take. The keys are values: this
/// file declares them and copies them into `FetchBudget.Options`, without state of its own.
package struct StoreSettings: SettingGroup {
  /// The place of fetched bytes: files on disk, or a window in memory.
  package enum FetchMode: String, Sendable, CaseIterable { case tempFile = "temp-file", rangeLRU = "range-lru" }

  package let fetchMode = Setting.choice(
    "fetch_mode", default: FetchMode.tempFile, variable: "FSMVP_FETCH_MODE",
    "`temp-file`: fetched bytes go to files in the cache folder, all of a file. `range-lru`: to a window in memory "
      + "(`cache_size`), nothing to disk. With "
      + "`temp-file` a file streams through the window too if its disk is full and nothing idle can go")
  package let stallTimeout = Setting.duration(
    "stall_timeout", .seconds(1) ... .seconds(86_400), default: .seconds(60),
    "without any progress for so long, waiting readers get an error. A slow transfer that moves is never ended")
  package let retryAfterLimit = Setting.duration(
    "retry_after_limit", .zero ... .seconds(86_400), default: .seconds(300),
    "a server that asks to be left alone (`Retry-After`) is left alone, for so long at most: nothing is sent to it, "
      + "and readers and commands that wait "
      + "for it are told until when. For the service and for the storage; 0: never")
  package let maxRangesPerFile = Setting.count("max_ranges_per_file", 1...16, default: 16, "ranges in flight of a file")
  package let maxRanges = Setting.count("max_ranges", 1...32, default: 32, "ranges in flight of all files")
  /// nil: the smaller of 1 GiB and 5 % of the file system.
  package let minFree = Setting.bytesOrAuto(
    "min_free", 0...(1 << 50),
    "room that the cache leaves free on its disk; `auto`: the smaller of 1 GiB and 5 % of the file system")
  package let maxCache = Setting.bytes(
    "max_cache", 0...(1 << 50), default: 0, "the most bytes the cache may hold; 0: 70 % of the file system")
  package let chunkSize = Setting.bytes(
    "chunk_size", 4096...(256 << 20), default: 4 << 20,
    "of a window: the largest part that is fetched ahead at once; less than 256 KiB is as good as 256 KiB")
  package let cacheSize = Setting.bytesOrChunks(
    "cache_size", (64 << 10)...(1 << 40), of: "chunk_size", default: 64 << 20,
    "bytes of the window in memory, for all files of the mount together; never more than a quarter of the memory that "
      + "machine and control group allow. A "
      + "bare number up to 4096 is read as chunks")
  package let maxConcurrentRequests = Setting.count(
    "max_concurrent_requests", 1...64, default: 16, "with `range-lru`: ranges in flight of a file")

  package init() {}
  package var title: String { "Fetched bytes" }
}

extension FetchBudget.Options {
  /// Takes over what the settings say.
  package mutating func apply(_ settings: SettingValues) {
    rangesPerFile = settings[\StoreSettings.maxRangesPerFile]
    if settings[\StoreSettings.fetchMode] == .rangeLRU {
      rangesPerFile = min(rangesPerFile, settings[\StoreSettings.maxConcurrentRequests])
    }
    rangesInAll = settings[\StoreSettings.maxRanges]
    stallTimeout = settings[\StoreSettings.stallTimeout]
    retryAfterLimit = settings[\StoreSettings.retryAfterLimit]
    cache.maxCache = settings[\StoreSettings.maxCache]
    cache.minFree = settings[\StoreSettings.minFree]
  }
}
