import ControlModel
import Syntax
import TerminalUI

/// `fsmvp unstage`: it unstages an item or all of them, by the control API. No state is kept.
enum UnstageVerb {
  static func run(_ what: Command.Unstaged, isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let items: [StagedItem]
    let body: [UInt8]
    switch what {
    case .all:
      body = try client.send("DELETE", ["staged"], waiting: .others("unstaging"))
      items = try APIClient.decode([StagedItem].self, from: body)
    case .item(let text):
      body = try ItemAddress.send("DELETE", text, client: client, waiting: "unstaging")
      items = [try APIClient.decode(StagedItem.self, from: body)]
    }
    if isJSON { return try output.print(json: body) }
    try output.print(items.map { "unstaged \(DisplayText.printable($0.path))\n" }.joined())
    if items.isEmpty { Terminal.standardError.write("fsmvp: nothing was staged\n") }
  }
}
