import ControlClient
import ControlModel
import Syntax

/// The staged items as verbs ask for them: in parts, to the end. No state is kept between two calls.
enum StagedPages {
  static func all(
    client: APIClient, waiting: APIClient.Waiting = .controlPlane, where isWanted: (StagedItem) -> Bool = { _ in true }
  ) throws(CommandFailure) -> [StagedItem] {
    var items: [StagedItem] = []
    try client.staged(waiting: waiting) { body throws(ClientFailure) in
      items += try SocketClient.decode([StagedItem].self, from: body).filter(isWanted)
      return true
    }
    return items
  }

  /// All of them as one JSON array, the elements as they came.
  static func json(client: APIClient) throws(CommandFailure) -> [UInt8] {
    var parts: [[UInt8]] = []
    try client.staged(waiting: .controlPlane) { body in
      if body.count > 2 { parts.append(Array(body[1..<(body.count - 1)])) }
      return true
    }
    return [UInt8(ascii: "[")] + parts.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "]")]
  }
}
