import Glibc

/// Where the control plane's API is.
enum ControlSocket {
  /// - Parameter config: `--config`.
  static func path(config: String?) throws(CommandFailure) -> String { runtimeFolder() + "/api.sock" }

  private static func runtimeFolder() -> String {
    func variable(_ name: String) -> String? {
      guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
      return value
    }
    if let folder = variable("FSMVP_RUNTIME_DIR") { return folder }
    if let folder = variable("XDG_RUNTIME_DIR") { return folder + "/fsmvp" }
    return (variable("TMPDIR") ?? "/tmp") + "/fsmvp-\(getuid())"
  }
}
