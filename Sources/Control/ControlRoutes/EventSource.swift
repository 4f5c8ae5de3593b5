import ControlModel
import Core

/// A module's part of `GET /events`: the server asks it for changes while there are clients, a few times a second. All
/// calls are on the dispatch loop; a source keeps what it told last, and the module's state stays the module's.
@DispatchLoop
package protocol EventSource: AnyObject, Sendable {
  /// This source's part of the event `snapshot`, which every client begins with. Made at once.
  func snapshot() -> [SnapshotPart]
  /// There are clients from now on, after a time without.
  func begin()
  /// Tells a part of the changes since the last look, within one step of the loop.
  /// - Returns: whether there are more: the look goes on with the next call.
  func look(_ sink: EventSink) -> Bool
  /// Tells what changes slowly or takes time to know; once a second, and not again before it has returned.
  func lookSlowly(_ sink: EventSink) async
}

/// Takes the events of a source.
@DispatchLoop
package struct EventSink {
  private let take: ((_ name: String, _ json: [UInt8]) -> Void)?

  /// - Parameter take: nil: no client is told, and no JSON is written.
  package init(_ take: ((_ name: String, _ json: [UInt8]) -> Void)?) { self.take = take }

  package func publish(_ event: ControlEvent) { publish(event.name) { try event.data() } }

  /// An event that `ControlEvent` does not know.
  package func publish(_ name: String, _ value: some Encodable) { publish(name) { try ControlJSON.encode(value) } }

  private func publish(_ name: String, _ write: () throws -> [UInt8]) {
    guard let take, let json = try? write() else { return }
    take(name, json)
  }
}

/// A key of the event `snapshot` and its value.
package struct SnapshotPart: Sendable {
  package enum Value: Sendable {
    case json([UInt8])
    case list(ListSource)
  }

  package let key: String
  package let value: Value

  /// For small values: their JSON is written at once. One that has no JSON is null.
  package init(_ key: String, _ value: some Encodable) {
    self.key = key
    self.value = .json((try? ControlJSON.encode(value)) ?? Array("null".utf8))
  }

  package init(_ key: String, list: ListSource) {
    self.key = key
    value = .list(list)
  }
}
