import ControlRoutes
import Core
import EventLoop

/// The events of the last moments, numbered, and their clients. A client is a number in this row and nothing more:
/// one that does not take its bytes falls behind until its next event is forgotten, and then begins anew with a
/// snapshot. A slow client therefore costs no memory and delays no other. `ControlServer` owns it; all of it is memory,
/// on the dispatch loop.
@DispatchLoop
final class EventHub {
  /// So many bytes are remembered: some ten minutes of an upload, half a minute of thirty.
  private static let room = 4 << 20
  /// A client that hears nothing for so long hears a comment, so that either end finds out about a dead connection.
  private static let heartbeat: Duration = .seconds(15)

  /// Tells this process's numbers from those of the one before.
  let boot: String
  private var entries: [[UInt8]] = []
  /// Index in `entries`; the ones before it are forgotten.
  private var head = 0
  /// The number of the entry at `head`.
  private var first: UInt64 = 1
  private var bytes = 0
  /// In bytes.
  var remembered: Int { bytes }
  private(set) var clients: [ObjectIdentifier: EventClient] = [:]
  private(set) var isEnded = false
  private var heart: LoopTimer?
  private let sources: [any EventSource]
  /// Called with true for the first client and with false after the last.
  var onAudience: ((Bool) -> Void)?

  init(sources: [any EventSource]) {
    boot = String(UInt64.random(in: .min ... .max), radix: 16)
    self.sources = sources
  }

  /// The number of the event that comes next.
  var next: UInt64 { first + UInt64(entries.count - head) }

  // MARK: Publishing

  /// Remembers it; clients get it with the next `flush`.
  func publish(_ name: String, _ json: [UInt8]) {
    guard !isEnded else { return }
    let text = Self.head(name, id: "\(boot)-\(next)") + json + [UInt8(ascii: "\n"), UInt8(ascii: "\n")]
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

  /// Resumes clients that have something to send. Never from inside libmicrohttpd.
  func flush() {
    var listeners: [ObjectIdentifier: Listener] = [:]
    for client in clients.values where client.isWaiting {
      guard isEnded || client.hasSomething else { continue }
      client.resume()
      if let listener = client.listener { listeners[ObjectIdentifier(listener)] = listener }
    }
    for listener in listeners.values { listener.turn() }
  }

  private nonisolated static func head(_ name: String, id: String) -> [UInt8] {
    Array("id: \(id)\nevent: \(name)\ndata: ".utf8)
  }

  // MARK: Clients

  /// - Parameter lastID: of the last event it had; nil, or one that is not known here any more: it begins with a
  ///   snapshot.
  func add(_ client: EventClient, after lastID: String?) {
    client.next = number(lastID)
    clients[ObjectIdentifier(client)] = client
    if clients.count == 1 {
      if heart == nil {
        heart = try? LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.beat() } }
      }
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
    guard let lastID, lastID.hasPrefix(boot + "-"), let number = UInt64(lastID.dropFirst(boot.count + 1)) else {
      return nil
    }
    return number < next ? number + 1 : nil
  }

  /// Whether the event of that number, or all before it, is remembered; false: only a snapshot makes up for what was
  /// missed.
  func knows(_ number: UInt64?) -> Bool { number.map { $0 >= first } ?? false }

  /// Whole events from `number` on, up to about `limit` bytes; nil: there are none yet.
  func events(from number: inout UInt64?, limit: Int) -> [UInt8]? {
    guard let from = number, from >= first, from < next else { return nil }
    var text: [UInt8] = []
    var at = from
    while at < next, text.count < limit {
      text += entries[head + Int(at - first)]
      at += 1
    }
    number = at
    return text
  }

  /// Whether there is something to hear: an event, or a snapshot.
  func hasEvents(from number: UInt64?) -> Bool {
    guard let number, knows(number) else { return true }
    return number < next
  }

  /// The event `snapshot` of this moment, made while it is sent: an object of the parts of all sources, by key.
  /// Elements of lists are taken a slice at a time: what changes meanwhile is an event after it.
  func makeSnapshot() -> ListBody {
    var sections: [ListBody.Section] = [.text(Self.head("snapshot", id: "\(boot)-\(next - 1)"))]
    for (index, part) in sources.flatMap({ $0.snapshot() }).sorted(by: { $0.key < $1.key }).enumerated() {
      let key = Array("\(index == 0 ? "{" : ",")\"\(part.key)\":".utf8)
      switch part.value {
      case .json(let json): sections.append(.text(key + json))
      case .list(let source): sections += [.text(key + [UInt8(ascii: "[")]), .list(source), .text([UInt8(ascii: "]")])]
      }
    }
    sections.append(.text(Array((sections.count == 1 ? "{}\n\n" : "}\n\n").utf8)))
    return ListBody(sections)
  }
}
