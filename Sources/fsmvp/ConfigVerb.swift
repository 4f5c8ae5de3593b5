import ControlAPI
import ControlModel
import Settings

/// `fsmvp config`: needs no control plane.
enum ConfigVerb {
  private struct Entry: Encodable {
    var key: String
    var value: String
    var source: String
  }

  static func run(config: String?, isJSON: Bool, output: Terminal) throws(CommandFailure) {
    let settings = try ClientSettings.load(config: config)
    for warning in settings.warnings { Terminal.standardError.write("fsmvp: \(DisplayText.printable(warning))\n") }
    let rows = settings.describe()
    guard isJSON else { return try output.print(text(rows, width: output.width)) }
    let entries = rows.map { Entry(key: $0.key, value: $0.value, source: $0.source.description) }
    guard let json = try? ControlJSON.encode(entries) else { throw CommandFailure(.failed, "the settings cannot be written as JSON") }
    try output.print(json: json)
  }

  static func text(_ rows: [Settings.Row], width: Int?) -> String {
    var table = TextTable([.text("SETTING"), .text("VALUE"), .text("FROM")])
    for row in rows { table.add([row.key, row.value.isEmpty ? "-" : row.value, row.source.description]) }
    return table.render(width: width)
  }
}
