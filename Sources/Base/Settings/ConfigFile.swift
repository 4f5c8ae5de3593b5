import Glibc

/// The configuration file: its path, its bytes, and whether other users can read it. `Settings.load` finds and reads it
/// at the start of a program, and on a worker thread before a reload, because that waits for the disk. The value is a
/// copy of the file at that moment; nothing here writes the file.
struct ConfigFile {
  var path: String
  var text: [UInt8]
  /// Users other than the owner can read or change it.
  var isOpenToOthers: Bool

  /// A longer one is a mistake (a video, a device), not a configuration.
  private static let limit = 1 << 20

  /// The file that was named (`--config`, FSMVP_CONFIG), which must be there, or the first of the usual ones; nil where
  /// there is none.
  static func find(_ inputs: SettingsInputs) throws(SettingsError) -> ConfigFile? {
    let named =
      inputs.configFlag.map { ($0, "--config") }
      ?? inputs.variable("FSMVP_CONFIG").map { (Spelling.unquoted($0), "FSMVP_CONFIG") }
    if let (text, source) = named {
      guard let path = inputs.absolute(text, from: inputs.workingFolder) else {
        throw SettingsError("\(source) must name a file, not \(Spelling.quoted(text))")
      }
      guard let file = try read(path) else {
        throw SettingsError("the config file \(path) of \(source) does not exist")
      }
      return file
    }
    for path in usual(inputs) {
      if let file = try read(path) { return file }
    }
    return nil
  }

  /// In the order in which they are looked for.
  static func usual(_ inputs: SettingsInputs) -> [String] {
    [
      (inputs.home == "/" ? "" : inputs.home) + "/.fuse-stream-mvp/config.toml",
      inputs.xdg("XDG_CONFIG_HOME", ".config") + "/config.toml",
    ]
  }

  /// Nil if it does not exist.
  static func read(_ path: String) throws(SettingsError) -> ConfigFile? {
    // A pipe that no process writes to would keep us waiting for one.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let code = errno
      if code == ENOENT || code == ENOTDIR { return nil }
      throw SettingsError("the config file \(path) cannot be read: \(String(cString: strerror(code)))")
    }
    defer { close(descriptor) }
    var status = stat()
    let isRegular = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    _ = fcntl(descriptor, F_SETFL, O_RDONLY)
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else {
        throw SettingsError("the config file \(path) cannot be read: \(String(cString: strerror(errno)))")
      }
      if count == 0 { break }
      text += buffer[..<count]
      guard text.count <= limit else {
        throw SettingsError("the config file \(path) is larger than 1 MiB, so it is none")
      }
    }
    guard !text.isEmpty || status.st_mode & S_IFMT != S_IFIFO else {
      throw SettingsError("the config file \(path) is a pipe that no program writes to")
    }
    return ConfigFile(path: path, text: text, isOpenToOthers: isRegular && status.st_mode & 0o066 != 0)
  }
}
