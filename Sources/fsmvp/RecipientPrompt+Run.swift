import ControlModel
import Core
import Glibc

/// Who files were staged for before.
enum Recipients {
  /// Newest first; where the control plane keeps none, those of the items that are staged.
  static func known(client: APIClient, waiting: APIClient.Waiting) throws(CommandFailure) -> [String] {
    do throws(CommandFailure) {
      return try APIClient.decode([String].self, from: try client.send("GET", ["recipients"], waiting: waiting))
    } catch {
      guard error.code != .noControlPlane else { throw error }
    }
    let items = try APIClient.decode([StagedItem].self, from: try client.send("GET", ["staged"], waiting: waiting))
    var known: [String] = []
    for item in items.reversed() where !known.contains(item.recipient) { known.append(item.recipient) }
    return Array(known.prefix(20))
  }
}

extension RecipientPrompt {
  /// Asks on the terminal.
  /// - Returns: nil where the person left it.
  static func run(file: String, client: APIClient) throws(CommandFailure) -> String? {
    let known = try Recipients.known(client: client, waiting: .controlPlane)
    let screen = try FullScreen()
    defer { screen.leave() }
    var prompt = RecipientPrompt(offered: known)
    let head = StyledText("For whom is ", .bold) + StyledText("\(file)?")
    while true {
      let size = screen.size
      prompt.resize(rows: size.rows - 4)
      let part = prompt.lines(columns: size.columns)
      let lines = [head] + part.lines + [StyledText(), StyledText("type, or ↑ ↓  Enter stage  Esc leave", .dim)]
      screen.draw(
        FullScreen.Frame(lines: Array(lines.prefix(size.rows)), cursor: part.cursor.map { (column: $0.column, row: $0.row + 1) }))
      switch screen.next(within: .seconds(3600)) {
      case .keys(let keys):
        for key in keys {
          if key == .control("c") {
            screen.leave()
            FullScreen.end(by: SIGINT)
          }
          switch prompt.take(key) {
          case .waiting: break
          case .done(let recipient): return recipient
          case .left: return nil
          }
        }
      case .resized, .woken, .quiet: break
      case .ended(let number):
        screen.leave()
        FullScreen.end(by: number)
      }
    }
  }
}
