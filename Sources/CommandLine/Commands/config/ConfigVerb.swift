import ControlModel
import Settings
import Syntax
import TerminalUI

/// `fsmvp config`: needs no control plane. It reads the configuration file and prints it; no state is kept.
enum ConfigVerb {
  static func run(_ settings: ClientSettings, isJSON: Bool, output: Terminal) throws(CommandFailure) {
    let settings = try settings.load()
    for warning in settings.warnings { Terminal.standardError.write("fsmvp: \(DisplayText.printable(warning))\n") }
    let rows = settings.describe()
    guard isJSON else { return try output.print(text(rows, width: output.width)) }
    guard let json = try? ControlJSON.encode(rows.map(SettingEntry.init)) else {
      throw CommandFailure(.failed, "the settings cannot be written as JSON")
    }
    try output.print(json: json)
  }

  static func text(_ rows: [Settings.Row], width: Int?) -> String {
    var table = TextTable([.text("SETTING"), .text("VALUE"), .text("FROM")])
    for row in rows { table.add([row.key, row.value.isEmpty ? "-" : row.value, row.source.description]) }
    return table.render(width: width)
  }
}

extension SettingEntry {
  fileprivate init(_ row: Settings.Row) { self.init(key: row.key, value: row.value, source: row.source.description) }
}
