import Core

/// When the next try may begin: pauses that double from one failure to the next, or as long as the server asked for.
/// Failures of fetches that were begun in the same epoch are one failure. It is a value in the file's `FetchPlan`, as
/// is `ConnectionCap`.
struct Backoff: Equatable {
  struct Limits: Equatable {
    var first = Duration.milliseconds(500)
    var longest = Duration.seconds(15)
    /// More is not believed of a Retry-After.
    var retryAfter = Duration.seconds(60)
  }

  /// Counts the bursts of failures; a fetch remembers in which it was begun.
  private(set) var epoch = 0
  /// In a row, without bytes in between.
  private(set) var failures = 0
  /// Wrong answers (HTML, a wrong Content-Range) among them.
  private(set) var wrongAnswers = 0
  /// No request begins before.
  private(set) var notBefore = Moment(nanoseconds: 0)
  /// The server named a time, and no byte has come since.
  private(set) var hasServerPause = false
  private let limits: Limits
  private var random: UInt64

  /// - Parameter seed: of the jitter; not 0.
  init(_ limits: Limits, seed: UInt64) {
    self.limits = limits
    random = seed == 0 ? 1 : seed
  }

  func isOver(_ now: Moment) -> Bool { now >= notBefore }

  /// The next start not before 0.5 s, 1 s, 2 s ... 15 s, with up to a quarter more so that files do not come back all
  /// at once.
  /// - Parameters:
  ///   - after: what the server asked for.
  ///   - longest: of this pause, if it is less than the usual.
  /// - Returns: until when waiting is no stall of the origin; nil if it is one.
  @discardableResult mutating func failed(_ now: Moment, after: Duration? = nil, longest: Duration? = nil) -> Moment? {
    epoch += 1
    failures += 1
    let doubled = limits.first.seconds * Double(1 << min(20, failures - 1))
    let limit = min(limits.longest, longest ?? limits.longest)
    let delay = Duration.nanoseconds(Int64(min(doubled * jitter(), limit.seconds) * 1e9))
    notBefore = max(notBefore, now + delay)
    return after.flatMap { pause(now, max(delay, $0)) }
  }

  /// The same for an answer that is not the file.
  mutating func wrongAnswer(_ now: Moment, longest: Duration? = nil) {
    wrongAnswers += 1
    failed(now, longest: longest)
  }

  /// The server named a time.
  /// - Returns: until when waiting is no stall; once, or a server could keep a reader for ever.
  mutating func pause(_ now: Moment, _ delay: Duration) -> Moment? {
    let end = now + min(delay, limits.retryAfter)
    notBefore = max(notBefore, end)
    defer { hasServerPause = true }
    return hasServerPause ? nil : end
  }

  /// Everything in flight belongs to the past: its failures count no more.
  mutating func newEpoch() { epoch += 1 }

  /// Fetching gave up: the next reader does not ask at once.
  mutating func gaveUp(_ now: Moment) {
    epoch += 1
    notBefore = max(notBefore, now + limits.first)
  }

  /// Bytes came, for a fetch begun in `epoch`; `isNew`: some that were missing.
  mutating func progressed(_ epoch: Int, isNew: Bool) {
    hasServerPause = false
    guard isNew, epoch == self.epoch else { return }
    failures = 0
    wrongAnswers = 0
  }

  /// A reader asks afresh after what failed was told.
  mutating func forget(_ now: Moment) {
    failures = 0
    wrongAnswers = 0
    if !hasServerPause { notBefore = min(notBefore, now + limits.first) }
  }

  /// From 1 to 1.25.
  private mutating func jitter() -> Double {
    random ^= random << 13
    random ^= random >> 7
    random ^= random << 17
    return 1 + Double(random >> 40) / Double(1 << 24) / 4
  }
}

/// How many connections a file may have: fewer than its limit while the origin refuses more (429, 503); one more is
/// tried from time to time.
struct ConnectionCap: Equatable {
  private static let pause = Duration.seconds(10)

  private(set) var count: Int
  /// When one more is tried.
  private(set) var raise: Moment?
  private let limit: Int

  init(limit: Int) {
    self.limit = max(1, limit)
    count = self.limit
  }

  /// One more than `others` was refused.
  mutating func refused(others: Int, _ now: Moment) {
    guard others > 0 else { return }
    count = min(count, others)
    raise = now + Self.pause
  }

  mutating func tick(_ now: Moment) {
    guard let due = raise, now >= due else { return }
    count = min(limit, count + 1)
    raise = count < limit ? now + Self.pause : nil
  }
}
