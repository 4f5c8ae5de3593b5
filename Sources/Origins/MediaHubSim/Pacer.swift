import Core

/// A rate as a schedule: each reservation is a slot that ends when its last byte is due, and slots follow one another.
/// A sender that wakes late finds the schedule unchanged, so that lateness does not lower the rate; after a pause there
/// is no credit saved up. It is a value: a body's own rate has one in `BodyStream`, and the rate of all has one in
/// `Hub.State`.
struct Pacer: Sendable {
  /// Lateness up to this is the scheduler's, and is made good; more is a pause of the sender's.
  private static let forgiven = Duration.milliseconds(100)
  private var due = Moment(nanoseconds: 0)

  /// When `count` bytes more may be on their way, at `rate` bytes a second.
  mutating func reserve(_ count: Int, rate: Int64, now: Moment) -> Moment {
    if due + Self.forgiven < now { due = now }
    due = due + .nanoseconds(Int64(count) * 1_000_000_000 / max(1, rate))
    return due
  }

  /// Forgets the slots given away: after a change of the rate they would be of the wrong length.
  mutating func restart() { due = Moment(nanoseconds: 0) }

  /// Bytes to send at once: some 5 ms of the rate, so that many connections take turns finely, and not so few bytes
  /// that calls dominate.
  static func slice(rate: Int64) -> Int { Int(min(max(rate / 200, 1024), 256 << 10)) }
}
