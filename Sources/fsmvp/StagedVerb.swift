import ControlModel
import Core
import Staging

/// `fsmvp staged`
enum StagedVerb {
  static func run(isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let body = try client.send("GET", ["staged"])
    if isJSON { return try output.print(json: body) }
    try output.print(text(try APIClient.decode([StagedItem].self, from: body), width: output.width))
  }

  static func text(_ items: [StagedItem], width: Int?) -> String {
    guard !items.isEmpty else { return "Nothing is staged; `fsmvp jobs` lists files, `fsmvp stage FILE_ID --recipient TAG` stages one.\n" }
    var table = TextTable([
      .text("ID"), .text("NAME", isCuttable: true), .text("RECIPIENT", isCuttable: true), .number("SIZE"), .number("FETCHED"),
      .number("GIVEN TO KERNEL"), .text("STATE"), .text("PINNED"), .text("PATH"),
    ])
    for item in items {
      table.add([
        item.id, item.name, item.recipient, ByteCount.format(item.size), percent(item), ByteCount.format(item.bytesServed),
        item.state.rawValue, item.pinned ? "yes" : "no", item.path,
      ])
    }
    let failures = items.compactMap { item in
      item.failure.map { "\(DisplayText.printable(item.id)): \(DisplayText.printable($0))\n" }
    }
    return table.render(width: width) + failures.joined()
  }

  /// Never 100 % before the last byte.
  private static func percent(_ item: StagedItem) -> String {
    guard item.bytesFetched < item.size else { return "100 %" }
    return "\(Int(max(0, Double(item.bytesFetched) / Double(item.size) * 100).rounded(.down))) %"
  }
}
