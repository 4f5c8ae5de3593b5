import SettingsModel
import Store

/// The settings of the Staged volume: the table `[staged]`. The keys are values: this file declares them and copies
/// them into `StagedVolume.Options`, without state of its own.
package struct StagedSettings: SettingGroup {
  package let maxTiles = Setting.count(
    "staged.max_tiles", 0...100_000, default: 0,
    "how many staged items keep their tile; 0: no limit. Beyond it the oldest are let go, never an open one")
  package let closeGrace = Setting.duration(
    "staged.close_grace", .zero ... .seconds(86_400), default: .seconds(5),
    "how long after the last close the bytes of an item without a tile are kept")
  package let afterUpload = Setting.choice(
    "staged.after_upload", default: StagedVolume.AfterUpload.keep,
    "the end of an item, after the grace, once the whole file was read")
  package let idleEvictMinutes = Setting.count(
    "staged.idle_evict_minutes", 0...525_600, default: 0, unit: "minutes",
    "an item that nobody used for so long loses its bytes; 0: never")
  /// For looking at them.
  package let skipsEviction = Setting.flag(
    "staged.debug_skip_eviction", default: false, "bytes of items without a tile are kept")

  package init() {}
  package var title: String { "Staged items" }
}

extension StagedVolume.Options {
  /// Takes over what the settings say.
  package mutating func apply(_ settings: SettingValues) {
    let keepsAll = settings[\StagedSettings.skipsEviction]
    maxTiles = settings[\StagedSettings.maxTiles]
    // A year is as good as for ever.
    closeGrace = keepsAll ? .seconds(365 * 86_400) : settings[\StagedSettings.closeGrace]
    afterUpload = settings[\StagedSettings.afterUpload]
    idleEvict = keepsAll ? .zero : .seconds(60 * settings[\StagedSettings.idleEvictMinutes])
    isWindowed = settings[\StoreSettings.fetchMode] == .rangeLRU
  }
}
