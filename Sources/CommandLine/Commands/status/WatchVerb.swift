import ControlClient
import ControlModel
import Core
import Glibc
import Syntax
import TerminalUI

/// `fsmvp status --watch`: on a terminal a screen that follows, else a line a change. Ends by a key, a signal, or a
/// reader that goes. The main thread owns the `Watch` and the screen; for a screen the events are followed on a thread
/// of their own.
enum WatchVerb {
  static func run(client: APIClient, output: Terminal) throws(CommandFailure) {
    // The first answer decides whether there is anything to watch.
    _ = try client.send("GET", ["status"])
    if FullScreen.isPossible { try onScreen(client.client) } else { try inLines(client.client, output: output) }
  }

  private static func inLines(_ client: SocketClient, output: Terminal) throws(CommandFailure) {
    var watch = Watch()
    var stream = EventStream(client)
    var failure: CommandFailure?
    stream.follow { sign in
      let lines = watch.hear(sign, at: client.clock.now())
      // The loop ends if no process reads the output: a write would find out, but the next line may be long in coming.
      guard !lines.isEmpty else { return output.hasReader }
      do throws(CommandFailure) {
        try output.print(lines.map { DisplayText.printable($0) + "\n" }.joined())
        return true
      } catch {
        failure = error
        return false
      }
    }
    if let failure { throw failure }
  }

  /// Drawn at most so often.
  private static let period: Duration = .milliseconds(100)

  private static func onScreen(_ client: SocketClient) throws(CommandFailure) {
    let mailbox = try Mailbox<EventStream.Sign>()
    let screen = try FullScreen(bell: mailbox.bell)
    defer { screen.leave() }
    mailbox.start { mailbox in
      var stream = EventStream(client)
      stream.follow { sign in
        if case .quiet = sign { return true }
        mailbox.put(sign)
        return true
      }
    }
    let clock = client.clock
    var watch = Watch()
    watch.size = screen.size
    var drawn = clock.now()
    var isStale = true
    while true {
      let since = clock.now() - drawn
      if isStale, since >= period {
        screen.draw(watch.frame(at: clock.now()))
        (drawn, isStale) = (clock.now(), false)
      }
      switch screen.next(within: isStale ? max(.zero, period - since) : .seconds(1)) {
      case .keys(let keys):
        for key in keys {
          switch watch.take(key) {
          case .none: break
          case .scrolled: isStale = true
          case .leave: return
          case .interrupt:
            screen.leave()
            FullScreen.end(by: SIGINT)
          }
        }
      case .resized:
        watch.size = screen.size
        isStale = true
      case .woken:
        for sign in mailbox.take() { _ = watch.hear(sign, at: clock.now()) }
        isStale = true
      // Seconds that pass are to be seen.
      case .quiet: isStale = true
      case .ended(let number):
        screen.leave()
        FullScreen.end(by: number)
      }
    }
  }
}
