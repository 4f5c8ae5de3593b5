import Settings

/// The settings as a verb reads them.
enum ClientSettings {
  /// - Parameter config: `--config`.
  /// - Throws: `usage` for a configuration that cannot be read.
  static func load(config: String?) throws(CommandFailure) -> Settings {
    do {
      return try Settings.load(.process(configFlag: config))
    } catch {
      throw CommandFailure(.usage, error.sentence)
    }
  }
}
