import Core

/// The connections of a listener that processes of other users can reach, and how long each may take for what: a
/// connection that does not come to its point gives way, so that no number of them keeps others out. A value: it
/// returns the connections to cut, and the caller cuts them. Its `Listener` owns it.
struct WebClients: Sendable {
  struct Limits: Sendable {
    /// Connections at once; past it, the one that has been silent longest goes.
    var count = 128
    /// For a request, from the connection (or the answer before) to the end of its body.
    var asking: Duration = .seconds(15)
    /// For taking an answer, unless it is a stream.
    var answering: Duration = .seconds(60)
  }

  typealias ID = UInt

  enum Phase: Sendable {
    /// Nothing of a request has come.
    case silent
    /// A part of it has.
    case asking
    /// The operation runs, or events go out: takes what it takes.
    case served
    case answering
  }

  private struct Client {
    var phase = Phase.silent
    var since: Moment
    /// Has been cut, and will go.
    var isCut = false
  }

  let limits: Limits
  private var clients: [ID: Client] = [:]

  init(_ limits: Limits) { self.limits = limits }

  var isEmpty: Bool { clients.isEmpty }

  /// - Returns: the connection to cut, to make room for it.
  mutating func came(_ id: ID, at now: Moment) -> ID? {
    clients[id] = Client(since: now)
    guard clients.values.count(where: { !$0.isCut }) > limits.count else { return nil }
    // Silent connections go first; one with a part of a request goes only if none is silent, the new one never.
    let rank: (Client) -> Int = { $0.phase == .silent ? 0 : 1 }
    let candidates = clients.filter {
      $0.key != id && !$0.value.isCut && ($0.value.phase == .silent || $0.value.phase == .asking)
    }
    let oldest = candidates.min { (rank($0.value), $0.value.since) < (rank($1.value), $1.value.since) }?.key
    if let oldest { clients[oldest]?.isCut = true }
    return oldest
  }

  mutating func went(_ id: ID) { clients[id] = nil }

  mutating func turned(_ phase: Phase, _ id: ID, at now: Moment) {
    guard let before = clients[id]?.phase, before != phase else { return }
    clients[id]?.phase = phase
    clients[id]?.since = now
  }

  /// - Returns: those whose time is over.
  mutating func overdue(at now: Moment) -> [ID] {
    let late = clients.filter { _, client in
      switch client.phase {
      case _ where client.isCut, .served: false
      case .silent, .asking: now - client.since > limits.asking
      case .answering: now - client.since > limits.answering
      }
    }.keys.sorted()
    for id in late { clients[id]?.isCut = true }
    return late
  }
}
