import ControlModel
import Core
import Syntax
import TerminalUI

/// `fsmvp staged`: it lists the staged items, as the control API has them. No state is kept.
enum StagedVerb {
  static func run(isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    if isJSON { return try output.print(json: try StagedPages.json(client: client)) }
    try output.print(text(try StagedPages.all(client: client), width: output.width, hasColours: output.hasColours))
  }

  static func text(_ items: [StagedItem], width: Int?, hasColours: Bool = false) -> String {
    guard !items.isEmpty else {
      return "Nothing is staged; `fsmvp jobs` lists files, `fsmvp stage FILE_ID --recipient TAG` stages one.\n"
    }
    var table = TextTable([
      .text("ID"), .text("NAME", isCuttable: true), .text("RECIPIENT", isCuttable: true), .number("SIZE"),
      .number("FETCHED"),
      .number("GIVEN TO KERNEL"), .state, .text("PINNED"), .text("PATH"),
    ])
    for item in items {
      table.add([
        item.id, item.name, item.recipient, ByteCount.format(item.size),
        "\(ByteCount.percent(item.bytesFetched, of: item.size)) %",
        ByteCount.format(item.bytesServed),
        item.state.rawValue, item.pinned ? "yes" : "no", item.path,
      ])
    }
    let failures = items.compactMap { item in
      item.failure.map { "\(DisplayText.printable(item.id)): \(DisplayText.printable($0))\n" }
    }
    return table.render(width: width, hasColours: hasColours) + failures.joined()
  }
}

extension TextTable.Column {
  /// A staged item's.
  fileprivate static var state: TextTable.Column {
    TextTable.Column(heading: "STATE") { state in
      switch StagedItem.State(rawValue: state) {
      case .open, .leaving: .good
      case .failed: .bad
      case .ready, nil: .plain
      }
    }
  }
}
