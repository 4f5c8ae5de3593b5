import ControlModel
import Core
import EventLoop
import Glibc

/// The events of the last moments, numbered, and who listens. A listener is a number in this row and nothing more: one that does not take its
/// bytes falls behind until what it wants is forgotten, and then begins anew with a snapshot. It costs no memory and nobody waits for it.
@DispatchLoop
final class EventHub {
  /// So many bytes are remembered: some ten minutes of an upload, half a minute of thirty.
  private static let room = 4 << 20
  /// A client that hears nothing for so long hears a comment, so that either end finds out about a dead connection.
  private static let heartbeat: Duration = .seconds(15)

  /// Tells this process's numbers from those of the one before.
  let boot: String
  private var entries: [[UInt8]] = []
  /// Of `entries`, those before it are forgotten.
  private var head = 0
  /// The number of the entry at `head`.
  private var first: UInt64 = 1
  private var bytes = 0
  /// In bytes.
  var remembered: Int { bytes }
  private(set) var clients: [ObjectIdentifier: EventClient] = [:]
  private(set) var isEnded = false
  private var heart: LoopTimer?
  /// Encoded, and the number of the event that follows it; as long as it is the newest there is.
  private var snapshot: (bytes: [UInt8], next: UInt64)?
  private var isTakingSnapshot = false
  /// All of it now.
  private let takeSnapshot: () -> ControlSnapshot
  /// Told when somebody listens and when nobody does any more.
  var onAudience: ((Bool) -> Void)?

  /// - Parameter snapshot: called on the loop, and so often only as somebody needs one.
  init(snapshot: @escaping () -> ControlSnapshot) {
    boot = String(UInt64.random(in: .min ... .max), radix: 16)
    takeSnapshot = snapshot
  }

  /// The number of the event that comes next.
  var next: UInt64 { first + UInt64(entries.count - head) }

  // MARK: Publishing

  /// Remembers it; listeners get it with the next `flush`.
  func publish(_ event: ControlEvent) {
    guard !isEnded, let text = Self.text(event, id: "\(boot)-\(next)") else { return }
    snapshot = nil
    entries.append(text)
    bytes += text.count
    while bytes > Self.room, head < entries.count - 1 {
      bytes -= entries[head].count
      entries[head] = []
      head += 1
      first += 1
    }
    if head > 1024, head > entries.count / 2 {
      entries.removeFirst(head)
      head = 0
    }
  }

  /// Lets those who wait for events have them. Never from inside libmicrohttpd.
  func flush() {
    var servers: [ObjectIdentifier: ControlServer] = [:]
    for client in clients.values where client.isWaiting {
      guard isEnded || client.hasSomething else { continue }
      client.resume()
      if let server = client.server { servers[ObjectIdentifier(server)] = server }
    }
    for server in servers.values { server.turn() }
  }

  nonisolated static func text(_ event: ControlEvent, id: String) -> [UInt8]? {
    guard let data = try? event.data() else { return nil }
    return Array("id: \(id)\nevent: \(event.name)\ndata: ".utf8) + data + [UInt8(ascii: "\n"), UInt8(ascii: "\n")]
  }

  // MARK: Listeners

  /// - Parameter lastID: of the last event it had; nil, or one that is not known here any more: it begins with a snapshot.
  func add(_ client: EventClient, after lastID: String?) {
    client.next = number(lastID)
    clients[ObjectIdentifier(client)] = client
    if clients.count == 1 {
      // Nobody has looked since it was taken.
      snapshot = nil
      if heart == nil { heart = try? LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.beat() } } }
      heart?.start(after: Self.heartbeat, every: Self.heartbeat)
      onAudience?(true)
    }
  }

  func remove(_ client: EventClient) {
    guard clients.removeValue(forKey: ObjectIdentifier(client)) != nil, clients.isEmpty else { return }
    heart?.stop()
    onAudience?(false)
  }

  /// Ends all streams.
  func end() {
    isEnded = true
    heart?.close()
    heart = nil
    flush()
  }

  private func beat() {
    for client in clients.values { client.beat() }
    flush()
  }

  private func number(_ lastID: String?) -> UInt64? {
    guard let lastID, lastID.hasPrefix(boot + "-"), let number = UInt64(lastID.dropFirst(boot.count + 1)) else { return nil }
    return number < next ? number + 1 : nil
  }

  /// What a listener is to hear after `number`, whole events up to about `limit` bytes; nil: it has to wait, for a snapshot or for anything at all.
  func events(from number: inout UInt64?, limit: Int) -> [UInt8]? {
    guard let from = number, from >= first else {
      guard let snapshot else {
        prepareSnapshot()
        return nil
      }
      number = snapshot.next
      return snapshot.bytes
    }
    guard from < next else { return nil }
    var text: [UInt8] = []
    var at = from
    while at < next, text.count < limit {
      text += entries[head + Int(at - first)]
      at += 1
    }
    number = at
    return text
  }

  /// Whether `events` has something for it.
  func hasEvents(from number: UInt64?) -> Bool {
    guard let number, number >= first else { return snapshot != nil }
    return number < next
  }

  /// Taken on the loop, written as JSON beside it: of a thousand items that takes a while.
  private func prepareSnapshot() {
    guard !isTakingSnapshot, !isEnded else { return }
    isTakingSnapshot = true
    // Out of libmicrohttpd's callback.
    EventLoop.dispatch.post {
      DispatchLoop.assumeIsolated {
        let number = self.next
        let event = ControlEvent.snapshot(self.takeSnapshot())
        let id = "\(self.boot)-\(number - 1)"
        EventLoop.dispatch.background({ Self.text(event, id: id) }) { text in
          DispatchLoop.assumeIsolated {
            self.isTakingSnapshot = false
            // Events that came meanwhile follow it.
            if let text { self.snapshot = (text, number) }
            self.flush()
          }
        }
      }
    }
  }
}
