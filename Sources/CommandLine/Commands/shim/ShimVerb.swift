import ControlModel
import Syntax
import TerminalUI

/// `fsmvp shim`: it has the control plane replace or kill the shim that serves, by the API. No state is kept.
enum ShimVerb {
  static func run(_ order: Command.ShimOrder, isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure)
  {
    let body = try client.send("POST", ["shim", order.rawValue], waiting: .others("replacing the shim"))
    if isJSON { return try output.print(json: body) }
    try output.print(text(try APIClient.decode(ShimReply.self, from: body)) + "\n")
  }

  static func text(_ reply: ShimReply) -> String {
    "epoch \(reply.epoch), pid \(reply.pid), outage \(outage(reply.outageMilliseconds) ?? "unknown")"
  }

  /// In milliseconds, one decimal.
  static func outage(_ milliseconds: Double?) -> String? {
    guard let milliseconds, milliseconds.isFinite, (0..<1e12).contains(milliseconds) else { return nil }
    return "\((milliseconds * 10).rounded() / 10) ms"
  }
}
