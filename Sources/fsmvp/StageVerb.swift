import ControlAPI
import ControlModel
import Staging

/// `fsmvp stage`
enum StageVerb {
  static func run(_ request: StageRequest, isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    guard let json = try? ControlJSON.encode(request) else { throw CommandFailure(.failed, "the request cannot be written as JSON") }
    let body = try client.send("POST", ["staged"], body: json, waiting: .others("asking MediaHub"))
    if isJSON { return try output.print(json: body) }
    let path = try APIClient.decode(StagedItem.self, from: body).path
    // For a program the path as it is; it stands alone on the line.
    try output.print((output.isTerminal ? DisplayText.printable(path) : path) + "\n")
  }
}
