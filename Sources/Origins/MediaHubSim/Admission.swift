import Core

/// Which storage requests are let in, and how many there were at a time. A part of the hub's state.
struct Admission: Sendable {
  private(set) var underWay = 0
  /// When those of the last second came, the oldest first; kept only while there is a limit.
  private var recent: [Moment] = []
  private(set) var peaks = PeakLog()

  /// False where `settings` have no room for one more.
  mutating func enter(_ settings: Behaviour, now: Moment) -> Bool {
    if settings.maxConnections > 0, underWay >= settings.maxConnections { return false }
    if settings.maxRequestsPerSecond > 0 {
      recent.removeFirst(recent.prefix { $0 + .seconds(1) <= now }.count)
      if recent.count >= settings.maxRequestsPerSecond { return false }
      recent.append(now)
    } else {
      recent = []
    }
    underWay += 1
    peaks.note(underWay, now: now)
    return true
  }

  mutating func leave(now: Moment) {
    underWay -= 1
    peaks.note(underWay, now: now)
  }

  /// Forgets the past; requests under way stay counted.
  mutating func restart(now: Moment) {
    recent = []
    peaks = PeakLog()
    peaks.note(underWay, now: now)
  }
}

/// The most there were in each second, from the first note on: what an adapting client made of its limits.
struct PeakLog: Sendable {
  /// An hour; later seconds are not kept.
  private static let length = 3600
  private var start: Moment?
  private var level = 0
  private(set) var seconds: [Int] = []

  mutating func note(_ count: Int, now: Moment) {
    let start = start ?? now
    self.start = start
    let second = Int((now - start).nanoseconds / 1_000_000_000)
    // Seconds without a note had what there was before them, and so begins this one.
    while seconds.count <= second, seconds.count < Self.length { seconds.append(level) }
    if second < seconds.count { seconds[second] = max(seconds[second], count) }
    level = count
  }
}

/// The place of one storage request among those under way. Used by its connection's thread only.
final class Seat {
  private let hub: Hub
  private var isTaken = true

  init(_ hub: Hub) { self.hub = hub }

  /// Harmless the second time.
  func leave() {
    guard isTaken else { return }
    isTaken = false
    let time = hub.now()
    hub.state.withLock { $0.admission.leave(now: time) }
  }
}

extension Hub {
  /// A seat for the request until its answer's end; nil where the limits have none.
  func admit() -> Seat? {
    let time = now()
    return state.withLock { state in
      if state.admission.enter(state.settings, now: time) { return true }
      state.statistics.limited += 1
      return false
    } ? Seat(self) : nil
  }
}
