import Core

/// A key of the configuration as its module declares it: everything that the file's reader, `fsmvp config` and the
/// documents need to know of it. It is a value that does not change, in its `Setting`.
package struct SettingDeclaration: Sendable {
  /// The value of a key that is set nowhere.
  package enum Default: Sendable {
    case value(SettingValue)
    /// A folder of the user's home.
    case home(String)
    /// The program's folder below an XDG variable's, or below `otherwise` in the user's home.
    case xdg(String, otherwise: String)
    /// The program's folder for sockets.
    case runtime
  }

  /// "workers", or "staged.max_tiles" for the key `max_tiles` of the table `[staged]`; unique.
  package let path: String
  package let rule: SettingRule
  package let fallback: Default
  /// The unit of a bare number, if the rule does not tell it: "minutes".
  package let unit: String?
  /// The environment variable that overrides the file; most have none.
  package let variable: String?
  /// One line for the documents, in Markdown: what the setting does and what 0 means.
  package let help: String
  /// It has a meaning on macOS only, and is read and ignored here.
  package let isMacOnly: Bool

  /// nil: the key stands above all tables.
  package var table: String? { path.firstIndex(of: ".").map { String(path[..<$0]) } }
  /// The key as it is written in its table.
  package var name: String { path.firstIndex(of: ".").map { String(path[path.index(after: $0)...]) } ?? path }

  /// The default as the documents show it, in Markdown; "-" for none.
  package var shownDefault: String {
    switch fallback {
    case .value(let value): value.shown.isEmpty ? "-" : "`\(value.shown)`"
    case .home(let name): "`~/\(name)`"
    case .xdg(let variable, _): "`$\(variable)/fsmvp`"
    case .runtime: "`$XDG_RUNTIME_DIR/fsmvp`, else `fsmvp-<uid>` in the temporary folder"
    }
  }

  /// The allowed values and their unit as the documents show them, in Markdown.
  package var shownValues: String { rule.summary + (unit.map { " \($0)" } ?? "") }
}

extension SettingValue {
  /// The value as the file would have it; secrets are shown as they are.
  package var shown: String {
    switch self {
    case .text(let text): text
    case .count(let number): "\(number)"
    case .bytes(let number): ByteCount.format(number)
    case .duration(let duration): Durations.format(duration)
    case .flag(let flag): "\(flag)"
    }
  }
}
