import Settings

/// Where the control plane's API is.
enum ControlSocket {
  /// The socket in a runtime folder; `fsmvp run` makes it there.
  static func path(runtimeFolder: String) -> String { runtimeFolder + "/api.sock" }

  /// - Parameter config: `--config`.
  /// - Throws: `usage` for a configuration that cannot be read.
  static func path(config: String?) throws(CommandFailure) -> String {
    path(runtimeFolder: try settings(config: config).runtimeFolder)
  }

  static func settings(config: String?) throws(CommandFailure) -> Settings {
    do {
      return try Settings.load(.process(configFlag: config))
    } catch {
      throw CommandFailure(.usage, error.sentence)
    }
  }
}
