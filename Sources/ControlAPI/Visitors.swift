import Core

/// The connections of a door that strangers can knock at, and how long each may take for what: a connection that does not come to its point gives way,
/// so that any number of them keep nobody else out. A value: what is to be cut is its answer, cutting is the caller's.
struct Visitors: Sendable {
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

  private struct Visitor {
    var phase = Phase.silent
    var since: Moment
    /// Has been cut, and will go.
    var isCut = false
  }

  let limits: Limits
  private var visitors: [ID: Visitor] = [:]

  init(_ limits: Limits) { self.limits = limits }

  var isEmpty: Bool { visitors.isEmpty }

  /// - Returns: who is to make room for it.
  mutating func came(_ id: ID, at now: Moment) -> ID? {
    visitors[id] = Visitor(since: now)
    guard visitors.values.count(where: { !$0.isCut }) > limits.count else { return nil }
    // Somebody who has begun to ask only where nobody is silent; the new one itself never.
    let rank: (Visitor) -> Int = { $0.phase == .silent ? 0 : 1 }
    let candidates = visitors.filter { $0.key != id && !$0.value.isCut && ($0.value.phase == .silent || $0.value.phase == .asking) }
    let oldest = candidates.min { (rank($0.value), $0.value.since) < (rank($1.value), $1.value.since) }?.key
    if let oldest { visitors[oldest]?.isCut = true }
    return oldest
  }

  mutating func went(_ id: ID) { visitors[id] = nil }

  mutating func turned(_ phase: Phase, _ id: ID, at now: Moment) {
    guard let before = visitors[id]?.phase, before != phase else { return }
    visitors[id]?.phase = phase
    visitors[id]?.since = now
  }

  /// - Returns: those whose time is over.
  mutating func overdue(at now: Moment) -> [ID] {
    let late = visitors.filter { _, visitor in
      switch visitor.phase {
      case _ where visitor.isCut, .served: false
      case .silent, .asking: now - visitor.since > limits.asking
      case .answering: now - visitor.since > limits.answering
      }
    }.keys.sorted()
    for id in late { visitors[id]?.isCut = true }
    return late
  }
}
