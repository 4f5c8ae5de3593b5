import ControlClient
import ControlModel
import Core

/// The verbs' door to the control plane: `SocketClient`, with its failures as exit codes and a line on the terminal while it takes long.
struct APIClient: Sendable {
  static var version: String { Version.current }

  /// Whom a request may have to wait for; see `SocketClient.Waiting`.
  enum Waiting {
    case controlPlane
    /// The text is for people.
    case others(String)
    /// The same, with nothing said meanwhile: the terminal shows something else.
    case silently
  }

  var client: SocketClient

  /// - Throws: `usage` for a path that no socket can have.
  init(socket: String) throws(CommandFailure) {
    do throws(ClientFailure) {
      client = try SocketClient(socket: socket)
    } catch {
      throw CommandFailure(error)
    }
  }

  /// The JSON of a successful answer; a failure is the sentence of the API's error.
  func send(
    _ method: String, _ path: [String], query: [(String, String)] = [], body: [UInt8]? = nil, waiting: Waiting = .controlPlane
  ) throws(CommandFailure) -> [UInt8] {
    var kind = SocketClient.Waiting.others
    var progress: ProgressLine?
    switch waiting {
    case .controlPlane:
      kind = .controlPlane
      progress = ProgressLine("asking the control plane", since: client.clock.now())
    case .others(let whom): progress = ProgressLine(whom, since: client.clock.now())
    case .silently: break
    }
    defer { progress?.clear() }
    do throws(ClientFailure) {
      return try client.send(method, path, query: query, body: body, waiting: kind) { progress?.tick($0) }
    } catch {
      throw CommandFailure(error)
    }
  }

  /// The same, decoded; for tables.
  static func decode<Value: Decodable>(_ type: Value.Type, from body: [UInt8]) throws(CommandFailure) -> Value {
    do throws(ClientFailure) {
      return try SocketClient.decode(type, from: body)
    } catch {
      throw CommandFailure(error)
    }
  }
}
