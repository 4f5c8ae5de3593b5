import Glibc
import Syntax
import TerminalUI

/// A `RecipientPrompt` on the terminal. The value and the screen are the main thread's and end with the call.
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
        FullScreen.Frame(
          lines: Array(lines.prefix(size.rows)), cursor: part.cursor.map { (column: $0.column, row: $0.row + 1) }))
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
