import ControlClient
import ControlModel
import Core
import Syntax
import TerminalUI

/// The verbs' client of the control plane: `SocketClient`, with its failures as exit codes and a line on the terminal
/// while it takes long. It is a value that `Program` makes for the verb; a call waits on the main thread, or on the
/// thread that made it.
struct APIClient: Sendable {
  static var version: String { Version.current }

  /// The party that a slow answer may wait for, named on the terminal meanwhile; see `SocketClient.Waiting`.
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
    _ method: String, _ path: [String], query: [(String, String)] = [], body: [UInt8]? = nil,
    waiting: Waiting = .controlPlane
  ) throws(CommandFailure) -> [UInt8] {
    var progress = progress(waiting)
    defer { progress?.clear() }
    let kind =
      if case .controlPlane = waiting { SocketClient.Waiting.controlPlane } else { SocketClient.Waiting.others }
    do throws(ClientFailure) {
      return try client.send(method, path, query: query, body: body, waiting: kind) { progress?.tick($0) }
    } catch {
      throw CommandFailure(error)
    }
  }

  /// The staged items in parts; see `SocketClient.staged`.
  func staged(waiting: Waiting, take: ([UInt8]) throws(ClientFailure) -> Bool) throws(CommandFailure) {
    var progress = progress(waiting)
    defer { progress?.clear() }
    do throws(ClientFailure) {
      try client.staged(tick: { progress?.tick($0) }, take: take)
    } catch {
      throw CommandFailure(error)
    }
  }

  /// An answer of the bucket server; see `SocketClient.bucket`.
  func bucket(_ path: String, body: some Encodable) throws(CommandFailure) -> [UInt8] {
    guard let json = try? ControlJSON.encode(body) else {
      throw CommandFailure(.failed, "the request cannot be written as JSON")
    }
    var progress = progress(.controlPlane)
    defer { progress?.clear() }
    do throws(ClientFailure) {
      return try client.bucket(path, body: json) { progress?.tick($0) }
    } catch {
      throw CommandFailure(error)
    }
  }

  private func progress(_ waiting: Waiting) -> ProgressLine? {
    switch waiting {
    case .controlPlane: ProgressLine("asking the control plane", since: client.clock.now())
    case .others(let whom): ProgressLine(whom, since: client.clock.now())
    case .silently: nil
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
