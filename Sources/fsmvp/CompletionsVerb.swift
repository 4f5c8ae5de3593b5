import ControlModel
import Core

/// `fsmvp completions`
enum CompletionsVerb {
  /// A person waits at the prompt for it.
  private static let patience: Duration = .seconds(1)

  static func run(_ what: Command.Completions, config: String?, output: Terminal) throws(CommandFailure) {
    switch what {
    case .bash: try output.print(BashCompletion.script)
    case .zsh: try output.print(ZshCompletion.script)
    case .fish: try output.print(FishCompletion.script)
    case .items: try output.print(lines(config: config, items))
    case .recipients: try output.print(lines(config: config, recipients))
    }
  }

  /// Whatever fails, there is nothing to offer: a shell's prompt is no place for sentences.
  private static func lines(config: String?, _ ask: (APIClient) throws(CommandFailure) -> [String]) -> String {
    do throws(CommandFailure) {
      var client = try APIClient(socket: try ClientSettings.load(config: config).apiSocket)
      client.client.patience = patience
      return try ask(client).map { DisplayText.printable($0).replacing("\u{FFFD}", with: " ") + "\n" }.joined()
    } catch {
      return ""
    }
  }

  /// The id, a bar, and what it is.
  private static func items(_ client: APIClient) throws(CommandFailure) -> [String] {
    let items = try APIClient.decode([StagedItem].self, from: try client.send("GET", ["staged"], waiting: .controlPlane))
    return items.map { "\($0.id)|\($0.name) for \($0.recipient)" }
  }

  private static func recipients(_ client: APIClient) throws(CommandFailure) -> [String] {
    // One that does not stand on a line cannot be offered as one.
    try Recipients.known(client: client, waiting: .controlPlane).filter { $0 == DisplayText.printable($0) }
  }
}

extension FlagSyntax {
  /// Whether a shell has to wait for a word behind it.
  var takesValue: Bool { value != nil }
}

/// Words between single quotes, as all three shells understand them.
enum ShellQuoting {
  static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: #"'\''"#) + "'" }
}
