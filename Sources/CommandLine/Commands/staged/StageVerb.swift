import ControlClient
import ControlModel
import Core
import Glibc
import Syntax
import TerminalUI

/// `fsmvp stage`: it stages a file for a recipient, by the control API, and opens what shows it if that is wanted. No
/// state is kept.
enum StageVerb {
  static func run(_ order: Command.StageOrder, config: String?, client: APIClient, output: Terminal)
    throws(CommandFailure)
  {
    // The programs are looked for first: nothing is staged if it could not be shown afterwards.
    let opener = order.opens ? try opener() : nil
    let tile = order.showsTile ? try tile() : nil
    let request = StageRequest(
      file: order.file, recipient: try recipient(order, client: client), warm: order.isWarm ? true : nil)
    guard let json = try? ControlJSON.encode(request) else {
      throw CommandFailure(.failed, "the request cannot be written as JSON")
    }
    let body = try client.send("POST", ["staged"], body: json, waiting: .others("asking MediaHub"))
    let item = try APIClient.decode(StagedItem.self, from: body)
    if order.isJSON {
      try output.print(json: body)
    } else {
      // For a program the path as it is; it stands alone on the line.
      try output.print((output.isTerminal ? DisplayText.printable(item.path) : item.path) + "\n")
    }
    if let opener { try start(opener, [item.path], "opens it") }
    if let tile { try start(tile, (config.map { ["--config", $0] } ?? []) + [item.id], "shows it") }
  }

  /// The recipient given on the command line, or typed at the terminal.
  private static func recipient(_ order: Command.StageOrder, client: APIClient) throws(CommandFailure) -> String {
    if let recipient = order.recipient { return recipient }
    guard FullScreen.isPossible, !order.isJSON else {
      throw CommandFailure(.usage, "say who the file is for: fsmvp stage FILE_ID --recipient TAG")
    }
    guard let recipient = try RecipientPrompt.run(file: order.file, client: client) else {
      throw CommandFailure(.failed, "nothing was staged, as nobody was named to stage it for")
    }
    return recipient
  }

  private static func opener() throws(CommandFailure) -> String {
    guard DetachedProgram.hasDisplay else {
      throw CommandFailure(.failed, "--open needs a display (DISPLAY or WAYLAND_DISPLAY); nothing was staged")
    }
    guard let path = DetachedProgram.find("xdg-open") else {
      throw CommandFailure(.failed, "--open needs `xdg-open` (Debian has it in xdg-utils); nothing was staged")
    }
    return path
  }

  /// Beside this program, as they are installed together.
  private static func tile() throws(CommandFailure) -> String {
    let path = Installation.folder + "/fsmvp-tile"
    guard access(path, X_OK) == 0 else {
      throw CommandFailure(
        .failed, "--tile needs the program `fsmvp-tile` beside this one, and there is no \(path); nothing was staged")
    }
    return path
  }

  private static func start(_ program: String, _ arguments: [String], _ what: String) throws(CommandFailure) {
    // A program that fails ends soon; any other runs on.
    guard let code = try DetachedProgram.start(program, arguments, patience: .seconds(1)), code != 0 else { return }
    let name = program.split(separator: "/").last.map(String.init) ?? program
    throw CommandFailure(
      .failed, "it is staged, but nothing \(what): `\(name)` ended with code \(code); start it by hand to see why")
  }
}
