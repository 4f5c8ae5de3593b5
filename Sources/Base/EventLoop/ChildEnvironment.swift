import CLinux
import Glibc

/// The environment of child processes: a short list of variables. Anything else may hold a secret (`https_proxy` with
/// its password, the client secret) or speak for this process to the service manager. The functions read the
/// environment of this process, change nothing and keep nothing.
package enum ChildEnvironment {
  /// To find programs, to say times and errors as the person has them, and what debuggers and sanitizers read.
  private static let names: Set<String> = [
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LANGUAGE", "TZ", "LD_PRELOAD", "LD_LIBRARY_PATH",
    "ASAN_OPTIONS", "LSAN_OPTIONS",
    "TSAN_OPTIONS", "UBSAN_OPTIONS", "ASAN_SYMBOLIZER_PATH",
  ]
  /// The prefixes of variables of locales, and of this project's tests.
  private static let prefixes = ["LC_", "FSMVP_KILL_", "FSMVP_FAULT", "FSMVP_TEST_"]
  private static let forbidden = [
    "PROXY", "SECRET", "TOKEN", "PASSW", "CREDENTIAL", "AUTH", "COOKIE", "KEY", "NOTIFY", "WATCHDOG", "FSMVP_",
  ]

  /// Whether a child gets the variable.
  /// - Parameter isPreloading: LD_PRELOAD is set. A preloaded library has variables of its own, so then everything that
  ///   can be no secret is kept.
  package static func keeps(_ name: String, value: String, isPreloading: Bool) -> Bool {
    if names.contains(name) || prefixes.contains(where: { name.hasPrefix($0) }) { return true }
    guard isPreloading else { return false }
    let upper = name.uppercased()
    // An address with a user in it may have a password there.
    return !forbidden.contains { upper.contains($0) } && !(value.contains("@") && value.contains("://"))
  }

  /// `NAME=value`, as pointers into this process's own environment, and nil at the end: for posix_spawn.
  package static func pointers() -> [UnsafeMutablePointer<CChar>?] {
    var all: [UnsafeMutablePointer<CChar>] = []
    var next = clinux_environment()
    while let text = next?.pointee {
      all.append(text)
      next = next?.advanced(by: 1)
    }
    let isPreloading = all.contains { strncmp($0, "LD_PRELOAD=", 11) == 0 }
    return all.filter { text in
      guard let sign = strchr(text, 0x3d) else { return false }
      let name = String(decoding: UnsafeRawBufferPointer(start: text, count: sign - text), as: UTF8.self)
      return keeps(name, value: String(cString: sign + 1), isPreloading: isPreloading)
    } + [nil]
  }
}
