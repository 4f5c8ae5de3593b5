import Core
import SettingsModel

/// The program's settings: defaults, overridden by the file, the environment and the command line, in this order. Each
/// knows where its value came from. It is a value that does not change once it was loaded.
package struct Settings: Sendable {
  /// The origin of a value.
  package enum Source: Equatable, Sendable, CustomStringConvertible {
    case builtIn
    case file(path: String, line: Int)
    case environment(String)
    case flag(String)

    package var description: String {
      switch self {
      case .builtIn: "default"
      case .file(let path, let line): "\(path):\(line)"
      case .environment(let name): "environment \(name)"
      case .flag(let name): "flag \(name)"
      }
    }
  }

  /// One line of `fsmvp config`.
  package struct Row: Equatable, Sendable {
    package var key: String
    /// The value as the file would have it; a secret is `‹redacted›`, nothing is "".
    package var value: String
    package var source: Source
  }

  struct Entry: Sendable {
    var value: SettingValue
    var source: Source
    /// The source with the column, for sentences.
    var place = ""
  }

  let list: SettingsList
  /// By path; every key of the list has one.
  var entries: [String: Entry] = [:]
  /// The file that was read, if there was one.
  package internal(set) var configFile: String?
  /// The file to write settings to: the one that was read, else the first of the usual ones; absolute.
  package internal(set) var configFileToWrite = ""
  /// One sentence each, printed at the start.
  package internal(set) var warnings: [String] = []

  // MARK: Values

  /// All values, for the modules that declared them.
  package var values: SettingValues { SettingValues(entries.mapValues(\.value)) }

  package subscript<Group: SettingGroup, Value: Sendable>(key: KeyPath<Group, Setting<Value>>) -> Value {
    let setting = Group()[keyPath: key]
    return setting.value(entries[setting.declaration.path]?.value)
  }

  package func source<Group: SettingGroup, Value: Sendable>(of key: KeyPath<Group, Setting<Value>>) -> Source {
    entries[Group()[keyPath: key].declaration.path]?.source ?? .builtIn
  }

  /// Every setting with its value as text and where it came from; no secret.
  package func describe() -> [Row] {
    list.declarations.compactMap { declaration in
      guard let entry = entries[declaration.path] else { return nil }
      return Row(
        key: SettingsList.shown(declaration), value: Self.shown(entry.value, declaration.rule), source: entry.source)
    }
  }

  private static func shown(_ value: SettingValue, _ rule: SettingRule) -> String {
    switch (rule, value) {
    case (.secret, .text(let text)) where !text.isEmpty: Redacted(text).description
    case (.proxy, .text(let text)): ProxyAddress.shown(text)
    default: value.shown
    }
  }

  // MARK: Folders, all absolute, none looked at or made here

  package var mountpoint: String { self[\FolderSettings.mountpoint] }
  package var runtimeFolder: String { self[\FolderSettings.runtimeFolder] }
  /// The control API's Unix socket; `fsmvp run` makes it there.
  package var apiSocket: String { Self.apiSocket(runtimeFolder: runtimeFolder) }
  package static func apiSocket(runtimeFolder: String) -> String { runtimeFolder + "/api.sock" }
  package var stateFolder: String { self[\FolderSettings.stateFolder] }
  /// The folder for files of bytes: `temp_dir` if any source sets it, else `cache_dir`.
  package var bytesFolder: String { self[\FolderSettings.temporaryFolder] ?? self[\FolderSettings.cacheFolder] }
  /// The folders that may hold files of bytes: the one in use, and the one that was used before `temp_dir` was set.
  package var bytesFolders: [String] {
    let other = self[\FolderSettings.cacheFolder]
    return bytesFolder == other ? [other] : [bytesFolder, other]
  }
}
