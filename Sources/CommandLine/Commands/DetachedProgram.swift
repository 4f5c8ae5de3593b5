import CLinux
import Core
import Glibc
import Syntax

/// A program that is started for the person and goes on by itself: in a session of its own, away from this terminal.
/// Nothing is kept of the child, and no code here ends it.
enum DetachedProgram {
  /// - Returns: the path of a program of the PATH; nil where there is none.
  static func find(_ name: String) -> String? {
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    for folder in path.split(separator: ":") where folder.hasPrefix("/") {
      let candidate = "\(folder)/\(name)"
      if access(candidate, X_OK) == 0 { return candidate }
    }
    return nil
  }

  /// Whether windows can be opened at all.
  static var hasDisplay: Bool {
    let names = ["DISPLAY", "WAYLAND_DISPLAY"]
    return names.contains { name in getenv(name).map { $0.pointee != 0 } ?? false }
  }

  /// - Parameter patience: how long it is waited whether it fails.
  /// - Returns: its exit code (128 and the signal, where one ended it), where it ended within that time; nil: it runs.
  static func start(_ path: String, _ arguments: [String], patience: Duration) throws(CommandFailure) -> Int32? {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // POSIX_SPAWN_SETSID, which Swift does not see; and no signal blocked.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(0x80 | POSIX_SPAWN_SETSIGMASK))
    let argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    defer { for text in argv { free(text) } }
    var pid = pid_t()
    let error = posix_spawn(&pid, path, &actions, &attributes, argv, clinux_environment())
    guard error == 0 else {
      throw CommandFailure(.failed, "\(path) cannot be started: \(String(cString: strerror(error)))")
    }
    guard patience > .zero else { return nil }
    let process = clinux_pidfd_open(pid)
    guard process >= 0 else { return nil }
    defer { close(process) }
    var end = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
    guard poll(&end, 1, Int32(clamping: patience.milliseconds)) > 0 else { return nil }
    var status: Int32 = 0
    guard waitpid(pid, &status, 0) == pid else { return nil }
    return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
  }
}
