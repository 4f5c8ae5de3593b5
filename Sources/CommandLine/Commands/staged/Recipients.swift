import ControlModel
import Syntax

/// Recipients of earlier staging. They are asked for at the control API, and nothing is kept.
enum Recipients {
  /// Newest first; where the control plane keeps none, those of the items that are staged.
  static func known(client: APIClient, waiting: APIClient.Waiting) throws(CommandFailure) -> [String] {
    do throws(CommandFailure) {
      return try APIClient.decode([String].self, from: try client.send("GET", ["recipients"], waiting: waiting))
    } catch {
      guard error.code != .noControlPlane else { throw error }
    }
    let items = try StagedPages.all(client: client, waiting: waiting)
    var known: [String] = []
    for item in items.reversed() where !known.contains(item.recipient) { known.append(item.recipient) }
    return Array(known.prefix(20))
  }
}
