import Settings
import SettingsModel
import Syntax

/// The configuration as a verb reads it. It is a value: `load` reads the file anew at each call, and nothing is kept.
package struct ClientSettings {
  /// Every setting of the program.
  let groups: [any SettingGroup]
  /// `--config`.
  let config: String?

  /// - Throws: `usage` for a configuration that cannot be read.
  func load() throws(CommandFailure) -> Settings {
    do {
      return try Settings.load(groups, .process(configFlag: config))
    } catch {
      throw CommandFailure(.usage, error.sentence)
    }
  }
}
