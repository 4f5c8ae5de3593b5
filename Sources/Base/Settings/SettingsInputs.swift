import FoundationEssentials
import Glibc

/// One sentence about what is wrong with the settings and where ("/home/a/config.toml:3:1: ..."); never holds a secret.
package struct SettingsError: Error, Equatable, CustomStringConvertible {
  package let sentence: String
  package init(_ sentence: String) { self.sentence = sentence }
  package var description: String { sentence }
}

/// Everything `Settings.load` looks at besides files; a test gives its own, the program the process's. It is a value, a
/// copy of the environment at one moment.
package struct SettingsInputs: Sendable {
  /// An empty variable counts as unset.
  package var environment: [String: String]
  /// Settings given on the command line, by key ("mountpoint"); they win over all.
  package var flags: [String: String] = [:]
  /// `--config F`: that file, which must exist.
  package var configFlag: String?
  /// Absolute.
  package var home: String
  /// The base of relative paths in flags and variables; those of a file are relative to its folder.
  package var workingFolder: String
  package var uid: UInt32

  package init(environment: [String: String], home: String, workingFolder: String, uid: UInt32) {
    self.environment = environment
    self.home = home
    self.workingFolder = workingFolder
    self.uid = uid
  }

  /// This process's.
  package static func process(flags: [String: String] = [:], configFlag: String? = nil) -> SettingsInputs {
    let environment = ProcessInfo.processInfo.environment
    var folder = "/"
    if let pointer = getcwd(nil, 0) {
      folder = String(cString: pointer)
      free(pointer)
    }
    var home = environment["HOME"] ?? ""
    if !home.hasPrefix("/"), let entry = getpwuid(getuid()), let directory = entry.pointee.pw_dir {
      home = String(cString: directory)
    }
    var inputs = SettingsInputs(
      environment: environment, home: home.hasPrefix("/") ? home : "/", workingFolder: folder, uid: getuid())
    inputs.flags = flags
    inputs.configFlag = configFlag
    return inputs
  }

  /// A line end behind it is no part of it.
  func variable(_ name: String) -> String? {
    guard var text = environment[name] else { return nil }
    while text.last?.isNewline == true { text.removeLast() }
    return text.isEmpty ? nil : text
  }

  // MARK: Folders

  /// `$NAME/fsmvp`, or `~/otherwise/fsmvp`; relative values are to be ignored, says the XDG base directory
  /// specification.
  func xdg(_ name: String, _ otherwise: String) -> String {
    absoluteVariable(name).map { joined($0, "fsmvp") } ?? joined(joined(home, otherwise), "fsmvp")
  }

  /// `$XDG_RUNTIME_DIR/fsmvp`, or a folder of this user's own in the temporary folder; it is made with mode 0700 and
  /// its owner is checked.
  var runtimeFolder: String {
    absoluteVariable("XDG_RUNTIME_DIR").map { joined($0, "fsmvp") }
      ?? joined(absoluteVariable("TMPDIR") ?? "/tmp", "fsmvp-\(uid)")
  }

  private func absoluteVariable(_ name: String) -> String? { variable(name).flatMap { $0.hasPrefix("/") ? $0 : nil } }

  /// `~` expanded, made absolute from `base`, without empty and `.` components (`..` stays: behind a symbolic link it
  /// is not the parent). Nil for what is no path: nothing, a NUL inside, another user's `~name`.
  func absolute(_ text: String, from base: String) -> String? {
    guard !text.isEmpty, !text.utf8.contains(0) else { return nil }
    var path = text
    if text == "~" || text.hasPrefix("~/") {
      path = home + text.dropFirst()
    } else if text.hasPrefix("~") {
      return nil
    }
    if !path.hasPrefix("/") { path = joined(base, path) }
    return "/" + path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
  }

  private func joined(_ folder: String, _ name: String) -> String {
    folder.hasSuffix("/") ? folder + name : folder + "/" + name
  }
}
