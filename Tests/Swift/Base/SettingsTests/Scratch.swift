import FoundationEssentials
import Glibc
import Support

@testable import Daemon
@testable import Settings

extension Settings {
  /// With all settings of the program.
  static func load(_ inputs: SettingsInputs) throws(SettingsError) -> Settings {
    try load(SettingsCatalog.groups, inputs)
  }
}

/// A home folder of a test's own; gone with the value.
final class Scratch {
  let home: String

  init() throws {
    home = try TestFolder.make("settings")
  }

  deinit { try? FileManager.default.removeItem(atPath: home) }

  /// Writes `name` below the home, its folders too, and gives the path.
  @discardableResult func write(_ name: String, _ text: String, mode: mode_t = 0o600) throws -> String {
    let path = home + "/" + name
    let folder = String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.endIndex))
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(filePath: path))
    chmod(path, mode)
    return path
  }

  func inputs(_ environment: [String: String] = [:], flags: [String: String] = [:], config: String? = nil)
    -> SettingsInputs
  {
    var inputs = SettingsInputs(environment: environment, home: home, workingFolder: "/somewhere", uid: 1234)
    inputs.flags = flags
    inputs.configFlag = config
    return inputs
  }

  /// Settings with this text as the usual file.
  func load(_ toml: String, _ environment: [String: String] = [:], flags: [String: String] = [:]) throws -> Settings {
    try write(".fuse-stream-mvp/config.toml", toml)
    return try Settings.load(inputs(environment, flags: flags))
  }

  var usual: String { home + "/.fuse-stream-mvp/config.toml" }

  /// The sentence that refuses this text as the file, with the file's path cut off.
  func refusal(_ toml: String, _ environment: [String: String] = [:], flags: [String: String] = [:]) -> String {
    do {
      _ = try load(toml, environment, flags: flags)
      return "accepted"
    } catch let error as SettingsError {
      return error.sentence.hasPrefix(usual + ":") ? String(error.sentence.dropFirst(usual.count + 1)) : error.sentence
    } catch {
      return "\(error)"
    }
  }
}
