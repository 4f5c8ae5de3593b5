import ControlClient
import ControlModel
import Core
import Syntax
import TerminalUI

/// `fsmvp completions`: it prints a shell's script, or asks the control API for the words to complete. No state is
/// kept.
enum CompletionsVerb {
  /// A person waits at the prompt for it.
  private static let patience: Duration = .seconds(1)
  private static let most = 1000

  static func run(_ what: Command.Completions, settings: ClientSettings, output: Terminal) throws(CommandFailure) {
    switch what {
    case .bash: try output.print(BashCompletion.script)
    case .zsh: try output.print(ZshCompletion.script)
    case .fish: try output.print(FishCompletion.script)
    case .items: try output.print(lines(settings, items))
    case .recipients: try output.print(lines(settings, recipients))
    }
  }

  /// One candidate a line. Any failure gives none, because error messages must not appear in a shell's prompt.
  private static func lines(_ settings: ClientSettings, _ ask: (APIClient) throws(CommandFailure) -> [String]) -> String
  {
    do throws(CommandFailure) {
      var client = try APIClient(socket: try settings.load().apiSocket)
      client.client.patience = patience
      return try ask(client).map { DisplayText.printable($0).replacing("\u{FFFD}", with: " ") + "\n" }.joined()
    } catch {
      return ""
    }
  }

  /// The id, a bar, and what it is.
  private static func items(_ client: APIClient) throws(CommandFailure) -> [String] {
    // A shell that is offered more than this shows none of it.
    var items: [StagedItem] = []
    try client.staged(waiting: .controlPlane) { body throws(ClientFailure) in
      items += try SocketClient.decode([StagedItem].self, from: body)
      return items.count < most
    }
    return items.map { "\($0.id)|\($0.name) for \($0.recipient)" }
  }

  private static func recipients(_ client: APIClient) throws(CommandFailure) -> [String] {
    // A candidate takes one line, so a recipient with unprintable characters cannot be offered.
    try Recipients.known(client: client, waiting: .controlPlane).filter { $0 == DisplayText.printable($0) }
  }
}
