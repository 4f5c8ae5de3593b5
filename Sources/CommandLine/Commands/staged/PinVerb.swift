import ControlModel
import Core
import Syntax
import TerminalUI

/// `fsmvp pin`, `fsmvp unpin`: they change an item's pin, by the control API, and can wait until it is fetched. No
/// state is kept.
enum PinVerb {
  static func run(_ order: Command.PinOrder, client: APIClient, output: Terminal) throws(CommandFailure) {
    guard let json = try? ControlJSON.encode(PinRequest(pinned: order.isPinned)) else {
      throw CommandFailure(.failed, "the request cannot be written as JSON")
    }
    let waiting = order.isPinned ? "pinning" : "unpinning"
    var body = try ItemAddress.send("PATCH", order.item, body: json, client: client, waiting: waiting)
    var item = try APIClient.decode(StagedItem.self, from: body)
    if order.isWaiting {
      item = try FetchWait.run(for: item, client: client.client)
      guard let json = try? ControlJSON.encode(item) else {
        throw CommandFailure(.failed, "the item cannot be written as JSON")
      }
      body = json
    }
    if order.isJSON { return try output.print(json: body) }
    let word = order.isWaiting ? "fetched and pinned" : order.isPinned ? "pinned" : "unpinned"
    try output.print("\(word) \(DisplayText.printable(item.path))\n")
  }
}
