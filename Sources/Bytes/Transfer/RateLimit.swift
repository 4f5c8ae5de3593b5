import Core

/// So many bytes a second and no more, over all ranges together: a token bucket, kept as the time that what came is
/// worth. A pure value.
///
/// A range that is allowed to take may take all it has at once, beyond the bucket's content; the debt is paid before
/// the next may. `Throttle` owns it.
struct RateLimit: Equatable {
  /// The bucket's size; so much may come at once after a rest.
  static let depth = Duration.milliseconds(100)
  /// How far into debt urgent ranges may go: what a reader waits for comes at once, and the others wait for it.
  static let credit = Duration.seconds(1)
  /// A range that was held back goes on only when it may take so much: each turn costs libcurl a copy of the bytes that
  /// it has received and not handed over.
  static let turn = Duration.milliseconds(50)

  /// Bytes a second; more than 0.
  let rate: Int64
  /// The worth of the bytes taken and not paid for at `since`; negative: the bucket held something.
  private var debt = Duration.zero - depth
  private var since: Moment

  init(rate: Int64, now: Moment) {
    precondition(rate > 0, "a limit of nothing")
    self.rate = rate
    since = now
  }

  /// Whether the next bytes may be taken.
  func allows(isUrgent: Bool, now: Moment) -> Bool { debt(now) < (isUrgent ? Self.credit : .zero) }

  mutating func took(_ count: Int, now: Moment) {
    let (seconds, rest) = Int64(count).quotientAndRemainder(dividingBy: rate)
    let nanoseconds = rate.dividingFullWidth(rest.multipliedFullWidth(by: 1_000_000_000)).quotient
    debt = debt(now) + .seconds(seconds) + .nanoseconds(nanoseconds)
    since = now
  }

  /// How long one that was held back has to wait.
  func wait(isUrgent: Bool, now: Moment) -> Duration {
    max(.zero, debt(now) - (isUrgent ? Self.credit : .zero) + Self.turn)
  }

  private func debt(_ now: Moment) -> Duration { max(.zero - Self.depth, debt - (now - since)) }
}
