import ByteSource
import Core

/// The link a file is fetched by: asked for, there, about to end, refused. It is a pure value: `HTTPSource` makes it,
/// and the file's `FetchPlan` keeps it.
package struct LinkState: AccessState, Equatable {
  package struct Limits: Sendable, Equatable {
    /// A link is replaced so long before it ends, or in the last tenth of its life where that is shorter.
    var renewal = Duration.seconds(60)
    /// Refused younger than this, a new link is tried again instead of being replaced: it may not be known everywhere
    /// yet. Twice as long for each one.
    var fresh = Duration.seconds(5)
    /// The least and the most between two tries of a link that says it is about to end.
    var leastPause: Duration
    var longestPause: Duration

    package init(leastPause: Duration = .milliseconds(500), longestPause: Duration = .seconds(15)) {
      self.leastPause = leastPause
      self.longestPause = longestPause
    }
  }

  package private(set) var phase = AccessPhase.none
  /// The number of the latest link; 0 before the first.
  package private(set) var generation = 0
  /// When to get another before this one ends.
  package private(set) var renewAt: Moment?
  private let limits: Limits
  /// Another link is on its way while this one still works.
  private var isRenewing = false
  private var expires: Moment?
  private var readyAt = Moment(nanoseconds: 0)
  /// Links minted for refusals in a row, without bytes in between.
  private var replaced = 0
  /// Clear refusals of the link that was minted for the first one.
  private var clearAnswers = 0

  package init(_ limits: Limits) { self.limits = limits }

  /// A link is wanted.
  /// - Returns: whether to ask for one.
  package mutating func want(_ now: Moment) -> Bool {
    if let expires, now >= expires, phase == .ready, !isRenewing { phase = .none }
    guard phase == .none else { return false }
    phase = .pending
    return true
  }

  /// Replaces the link in use.
  /// - Returns: whether to ask for one; false also where one is on its way.
  package mutating func replace() -> Bool {
    guard phase == .ready else { return false }
    phase = .pending
    return !isRenewing
  }

  /// Before the link ends, so that nothing is refused: what is in flight goes on under the old one.
  /// - Returns: whether to ask for another now.
  package mutating func renew(_ now: Moment) -> Bool {
    guard let renewAt, now >= renewAt, phase == .ready, !isRenewing else { return false }
    isRenewing = true
    self.renewAt = nil
    return true
  }

  /// - Parameter end: when it stops working, if that is known.
  /// - Returns: whether it is another link than before.
  package mutating func ready(generation new: Int, expires end: Moment?, now: Moment) -> Bool {
    isRenewing = false
    // By a clock that is wrong it may be over at once, and would be replaced before every read.
    expires = end.map { max($0, now + limits.longestPause) }
    renewAt = end.map { end in
      let left = max(.zero, end - now)
      // A clock that is wrong may make every link seem about to end, or over.
      let floor = left > limits.leastPause * 2 ? limits.leastPause : limits.longestPause
      return now + max(left - limits.renewal, .nanoseconds(left.nanoseconds / 10 * 9), floor)
    }
    phase = .ready
    let isNew = new > generation
    if isNew { readyAt = now }
    generation = max(new, generation)
    return isNew
  }

  /// - Returns: whether the old one still works, so that nothing has changed.
  package mutating func failed(_ now: Moment) -> Bool {
    let wasRenewing = isRenewing
    isRenewing = false
    if wasRenewing, phase == .ready, let expires, now < expires {
      renewAt = now + limits.longestPause
      return true
    }
    phase = .none
    return false
  }

  /// A request under the link of `failed` was refused. The first refusal since bytes came is worth a new link at once,
  /// whether the old one had worked, was old or was never good; a link that was just minted is tried again for a while
  /// before the next.
  package mutating func refused(_ failed: Int, isClear: Bool, _ now: Moment) -> AccessRefusal {
    guard failed == generation, phase == .ready else { return .none }
    if replaced == 0 {
      replaced = 1
      return .replace
    }
    // One clear answer under the new link may be a stray one of several requests at once; two are the origin's.
    if isClear {
      clearAnswers += 1
      return clearAnswers > 1 ? .final : .again
    }
    guard now - readyAt >= limits.fresh * (1 << min(6, replaced - 1)) else { return .again }
    replaced += 1
    return .replaceLater
  }

  /// New bytes came under the link of `generation`.
  package mutating func worked(_ generation: Int) { if generation == self.generation { forget() } }

  /// A reader asks afresh.
  package mutating func forget() {
    replaced = 0
    clearAnswers = 0
  }
}
