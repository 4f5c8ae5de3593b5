import ControlModel
import Core
import Glibc
import Syntax
import TerminalUI

/// A `JobsPicker` on the terminal: its requests go out on threads of their own, so that keys are never waited with. The
/// value is the main thread's, which also owns the screen; answers come to it by a `Mailbox`.
extension JobsPicker {
  /// Results of the requests that run on threads of their own.
  private enum News: Sendable {
    case answer(Query, Result<MediaHubPage, CommandFailure>)
    case recipients([String])
  }

  /// - Parameter search: what to begin with; "": all.
  /// - Returns: nil where the person left it.
  static func run(search: String, client: APIClient) throws(CommandFailure) -> (file: String, recipient: String)? {
    // Before the screen: what fails here fails as with any verb.
    let first = try ask(Query(search: search, start: 0, limit: page), .others("asking MediaHub"), client: client)
    let mailbox = try Mailbox<News>()
    let screen = try FullScreen(bell: mailbox.bell)
    defer { screen.leave() }
    mailbox.start { mailbox in
      mailbox.put(.recipients((try? Recipients.known(client: client, waiting: .silently)) ?? []))
    }
    var picker = JobsPicker(search: search, first: first, size: screen.size)
    let clock = SystemClock()
    var todo: [Effect] = []
    while true {
      for effect in todo {
        switch effect {
        case .load(let query):
          mailbox.start { mailbox in
            do throws(CommandFailure) {
              mailbox.put(.answer(query, .success(try ask(query, .silently, client: client))))
            } catch {
              mailbox.put(.answer(query, .failure(error)))
            }
          }
        case .choose(let output, let recipient): return (output.fileId, recipient)
        case .leave(false): return nil
        case .leave(interrupted: true):
          screen.leave()
          FullScreen.end(by: SIGINT)
        }
      }
      screen.draw(picker.frame)
      let wait = picker.due.map { $0 - clock.now() } ?? .seconds(3600)
      switch screen.next(within: max(.zero, wait)) {
      case .keys(let keys): todo = keys.flatMap { picker.take($0, at: clock.now()) }
      case .resized: todo = picker.resize(screen.size)
      case .woken:
        todo = mailbox.take().flatMap { news -> [Effect] in
          switch news {
          case .answer(let query, let result): return picker.answered(query, result)
          case .recipients(let known):
            picker.offer(known)
            return []
          }
        }
      case .quiet: todo = []
      case .ended(let number):
        screen.leave()
        FullScreen.end(by: number)
      }
      todo += picker.advance(to: clock.now())
    }
  }

  private static func ask(_ query: Query, _ waiting: APIClient.Waiting, client: APIClient) throws(CommandFailure)
    -> MediaHubPage
  {
    var parameters = [("start", "\(query.start)"), ("limit", "\(query.limit)")]
    if !query.search.isEmpty { parameters.append(("search", query.search)) }
    return try APIClient.decode(
      MediaHubPage.self, from: try client.send("GET", ["jobs"], query: parameters, waiting: waiting))
  }
}
