import ControlModel
import Core
import Syntax
import TerminalUI

/// `fsmvp bucket create` and `fsmvp bucket list`: they ask the bucket server, at the control plane's socket. No state
/// is kept.
enum BucketVerb {
  /// The most that the server lists at once.
  private struct ListOrder: Encodable { var limit = 1000 }

  static func create(_ name: String, isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let body = try client.bucket("", body: BucketMade.Order(name: name))
    if isJSON { return try output.print(json: body) }
    let made = try APIClient.decode(BucketMade.self, from: body)
    try output.print("\(made.id)\n")
  }

  static func list(isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let body = try client.bucket("/list", body: ListOrder())
    let list = try APIClient.decode(BucketList.self, from: body)
    guard isJSON else { return try output.print(text(list, width: output.width)) }
    guard let json = try? ControlJSON.encode(list.buckets) else {
      throw CommandFailure(.failed, "the buckets cannot be written as JSON")
    }
    try output.print(json: json)
  }

  static func text(_ list: BucketList, width: Int?) -> String {
    guard !list.buckets.isEmpty else { return "There are no buckets; `fsmvp bucket create NAME` makes one.\n" }
    var table = TextTable([.text("BUCKET ID"), .text("NAME", isCuttable: true), .number("VERSION"), .text("CREATED")])
    for bucket in list.buckets { table.add([bucket.id, bucket.name, "\(bucket.height)", bucket.created]) }
    return table.render(width: width)
  }
}
