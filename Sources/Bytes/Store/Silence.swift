import Core

/// How long connections have brought nothing, and how long they may: the origin's own pace, the turns, and the bytes
/// given up. It is a value in the file's `FetchPlan`.
struct Silence: Equatable {
  struct Limits: Equatable {
    /// A fetch that a reader waits for and that brings nothing for so long, while others do, is begun again on another
    /// connection.
    var hedge = Duration.seconds(3)
    /// A fetch that has brought nothing for so long gives its connection to a waiter that has none; longer if the
    /// origin takes its time.
    var silence = Duration.seconds(1)
    /// While all fetches are silent, the least that passes before one is begun once more, beside the old one; longer
    /// where the origin takes its time.
    var patience = Duration.milliseconds(1500)
    /// The same after the network has changed or the machine was suspended.
    var shaken = Duration.milliseconds(500)
    /// The most between two such tries.
    var longest = Duration.seconds(5)
    /// Without progress for so long, waiters get an error.
    var stall = Duration.seconds(60)
    /// The longest rest of a store that made way.
    var rest = Duration.seconds(15)
  }

  let limits: Limits
  /// When bytes came last, were written last, or the time until which waiting is no stall.
  private(set) var lastProgress = Moment(nanoseconds: 0)
  /// When bytes came last, of any fetch.
  private(set) var lastHeard = Moment(nanoseconds: 0)
  private var pace = Pace()
  private var shakenAt: Moment?
  /// Hedges in a row, without a byte in between.
  private var hedges = 0
  private var limit: Duration
  /// Fetches ended for their silence since bytes came last, or since it was given more time.
  private var yields = 0
  /// The bytes that waiters lacked of fetches that were ended for their silence, and how often; until they come.
  private var givenUp: [Int64: Int] = [:]
  /// How long this file's waiters may hold frames while no bytes arrive. After that other files go first (`stepBack`).
  private var turn: Duration
  private var turnBegan = Moment(nanoseconds: 0)
  /// Having made way, they do not come back before.
  private(set) var restsUntil = Moment(nanoseconds: 0)

  init(_ limits: Limits) {
    self.limits = limits
    limit = limits.silence
    turn = limits.silence
  }

  // MARK: Signs of life

  var hasHeard: Bool { lastHeard.nanoseconds > 0 }

  mutating func progressed(_ now: Moment) { lastProgress = max(lastProgress, now) }

  /// `range` came, after `gap` without a byte; `isFirst`: since the fetch began.
  mutating func heard(_ range: ByteRange, after gap: Duration, isFirst: Bool, _ now: Moment) {
    pace.note(gap, isFirst: isFirst, now)
    lastProgress = now
    lastHeard = now
    hedges = 0
    limit = max(limits.silence, gap * 2)
    yields = 0
    turn = limit
    turnBegan = now
    if !givenUp.isEmpty { givenUp = givenUp.filter { !range.contains($0.key) } }
  }

  /// The network changed, or the machine slept: connections from before may be dead.
  mutating func shaken(_ now: Moment) { shakenAt = now }

  // MARK: Patience

  /// When a fetch that has been silent since `lastBytes` is begun once more, while nothing comes at all.
  /// - Parameters:
  ///   - isFirst: it has brought nothing yet.
  ///   - hedged: when that was done last.
  func hedge(_ lastBytes: Moment, isFirst: Bool, hedged: Moment?) -> Moment {
    let since = max(lastBytes, lastHeard)
    let patience = patience(isFirst: isFirst)
    let isShaken = shakenAt.map { $0 >= since } ?? false
    if let hedged {
      let next = isShaken ? min(patience, limits.shaken) : patience
      return hedged + max(next, min(next * (1 << min(8, hedges)), limits.longest))
    }
    return min(since + patience, isShaken ? (shakenAt ?? since) + limits.shaken : since + patience)
  }

  /// How long a connection may bring nothing before its bytes are asked for once more.
  func patience(isFirst: Bool) -> Duration {
    let usual = pace.usual(isFirst: isFirst).map { max(limits.patience, $0 * 4) }
    return min(usual ?? (isFirst ? limits.hedge : limits.patience), limits.stall / 2)
  }

  mutating func hedged() { hedges += 1 }

  /// Until when a fetch may bring nothing while a waiter has no connection.
  func end(_ lastBytes: Moment, timesGivenUp: Int) -> Moment {
    end(lastBytes, limit, usual: limits.silence, timesGivenUp)
  }

  /// Until when it may bring nothing while others bring something.
  func endOfHedge(_ lastBytes: Moment, timesGivenUp: Int) -> Moment {
    end(lastBytes, limits.hedge, usual: limits.hedge, timesGivenUp)
  }

  private func end(_ lastBytes: Moment, _ patience: Duration, usual: Duration, _ timesGivenUp: Int) -> Moment {
    lastBytes + max(patience, min(usual * (1 << min(3, timesGivenUp)), limits.stall))
  }

  // MARK: Giving up

  /// How often what is lacked of `range` was given up before.
  func timesGivenUp(in range: ByteRange) -> Int {
    givenUp.lazy.filter { range.contains($0.key) }.map(\.value).max() ?? 0
  }

  /// A fetch that had been given up `times` before ended for its silence. `offset`: that of the first byte
  /// that a waiter lacks of it.
  mutating func gaveUp(_ offset: Int64?, times: Int) {
    guard let offset else { return }
    // Fetches whose readers have left are not told apart.
    if givenUp.count >= 64 { givenUp = [:] }
    givenUp[offset] = times + 1
  }

  /// So many gave their connections to waiters: an origin that says nothing, though each of `waiters` has had a turn,
  /// is given more time.
  mutating func yielded(_ count: Int, waiters: Int) {
    yields += count
    guard yields > waiters else { return }
    limit = min(limit * 2, limits.stall)
    yields = 0
  }

  // MARK: Making way

  mutating func turnBegins(_ now: Moment) { turnBegan = now }
  func isTurnOver(_ now: Moment) -> Bool { turnBegan + turn <= now }

  /// The waiters leave, and come again after a rest, for twice the time.
  mutating func makeWay(_ now: Moment) {
    restsUntil = now + min(turn, limits.rest)
    turn = max(turn, min(turn * 2, limits.stall / 2))
  }
}

/// The longest silences of healthy connections in the last one or two periods: before the first bytes, and between two.
private struct Pace: Equatable {
  private static let period = Duration.seconds(60)

  private var first: [Duration?] = [nil, nil]
  private var between: [Duration?] = [nil, nil]
  private var began = Moment(nanoseconds: 0)

  func usual(isFirst: Bool) -> Duration? { (isFirst ? first : between).lazy.compactMap(\.self).max() }

  mutating func note(_ gap: Duration, isFirst: Bool, _ now: Moment) {
    if now - began >= Self.period {
      first = [nil, first[0] ?? first[1]]
      between = [nil, between[0] ?? between[1]]
      began = now
    }
    if isFirst { first[0] = max(first[0] ?? .zero, gap) } else { between[0] = max(between[0] ?? .zero, gap) }
  }
}
