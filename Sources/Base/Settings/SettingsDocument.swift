import SettingsModel

/// The tables of docs/CONFIG.md, made from the declarations: a part for each group of settings. It is a pure function
/// of the text.
package enum SettingsDocument {
  private static let begin =
    "<!-- The tables are made by `make documents`: change the declarations of the modules instead. -->\n"
  private static let end = "<!-- End of the tables. -->\n"

  /// `text` with the tables of `groups` in place of those that it has; nil if it has no place for them.
  package static func replaced(in text: String, with groups: [any SettingGroup]) -> String? {
    guard let head = text.firstRange(of: begin), let tail = text.firstRange(of: end), head.upperBound <= tail.lowerBound
    else { return nil }
    return text[..<head.upperBound] + "\n" + groups.map(part).joined() + text[tail.lowerBound...]
  }

  private static func part(_ group: any SettingGroup) -> String {
    let declarations = group.declarations
    let table = declarations.first?.table.map { ": `[\($0)]`" } ?? ""
    var lines = [
      "## \(group.title)\(table)", "", "| key | values | default | variable | means |", "|---|---|---|---|---|",
    ]
    for setting in declarations {
      let variable = setting.variable.map { "`\($0)` " } ?? ""
      lines.append(
        "| `\(setting.name)` | \(setting.shownValues) | \(setting.shownDefault) | \(variable)| \(setting.help) |")
    }
    return lines.joined(separator: "\n") + "\n\n"
  }
}
