import Core

/// One client to the events: its place in their row. It hears a snapshot first, unless it comes back with a number that
/// is still known. The request's `Exchange` makes it, and `EventHub` has it in its list while the connection stands; it
/// runs on the dispatch loop.
@DispatchLoop
final class EventClient: BodySource {
  private static let portion = 32 << 10
  private static let comment: [UInt8] = Array(":\n\n".utf8)

  private let hub: EventHub
  /// The number of the event it is to get next; nil: a snapshot first.
  var next: UInt64?
  private var snapshot: ListBody?
  private var wantsBeat = false
  weak var pump: BodyPump?

  init(hub: EventHub) { self.hub = hub }

  var listener: Listener? { pump?.listener }
  var isWaiting: Bool { pump?.isWaiting ?? false }
  /// A snapshot says by itself when it goes on.
  var hasSomething: Bool { snapshot == nil && (wantsBeat || hub.hasEvents(from: next)) }

  /// A comment for a connection on which nothing goes.
  func beat() { wantsBeat = isWaiting }

  func resume() { pump?.resume() }

  func end() {
    snapshot?.end()
    snapshot = nil
    hub.remove(self)
  }

  func piece() -> BodyPiece {
    if hub.isEnded { return .end }
    if snapshot == nil, !hub.knows(next) {
      // Events from here on follow it: what changes while it is taken is told again.
      next = hub.next
      let list = hub.makeSnapshot()
      list.ready = { [weak self] in self?.pump?.wake() }
      snapshot = list
    }
    if let snapshot {
      let piece = snapshot.piece()
      guard piece == .end else { return piece }
      self.snapshot = nil
    }
    defer { wantsBeat = false }
    if let text = hub.events(from: &next, limit: Self.portion) { return .bytes(text) }
    return wantsBeat ? .bytes(Self.comment) : .later
  }
}
