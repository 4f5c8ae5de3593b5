import ControlAPI
import ControlModel
import Staging

/// `fsmvp pin`, `fsmvp unpin`
enum PinVerb {
  static func run(_ item: String, isPinned: Bool, isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    guard let json = try? ControlJSON.encode(PinRequest(pinned: isPinned)) else {
      throw CommandFailure(.failed, "the request cannot be written as JSON")
    }
    let body = try ItemAddress.send("PATCH", item, body: json, client: client, waiting: isPinned ? "pinning" : "unpinning")
    if isJSON { return try output.print(json: body) }
    let path = try APIClient.decode(StagedItem.self, from: body).path
    try output.print("\(isPinned ? "pinned" : "unpinned") \(DisplayText.printable(path))\n")
  }
}
