import Core

/// The state of one engine's access to a source: asked for, there, about to end, refused. A pure value of the source's
/// own kind, which decides when another access is asked for; the engine's plan keeps it and tells it what happened. It
/// is used on the transfer loop and touches nothing.
package protocol AccessState: Sendable {
  var phase: AccessPhase { get }
  /// The number of the latest access; 0 before the first.
  var generation: Int { get }
  /// When to get another before this one ends; nil: never.
  var renewAt: Moment? { get }

  /// An access is wanted.
  /// - Returns: whether to ask for one.
  mutating func want(_ now: Moment) -> Bool
  /// Replaces the access in use.
  /// - Returns: whether to ask for one; false also if one is on its way.
  mutating func replace() -> Bool
  /// Before the access ends, so that nothing is refused: what is in flight goes on under the old one.
  /// - Returns: whether to ask for another now.
  mutating func renew(_ now: Moment) -> Bool
  /// - Parameter end: when it stops working, if that is known.
  /// - Returns: whether it is another access than before.
  mutating func ready(generation new: Int, expires end: Moment?, now: Moment) -> Bool
  /// No access could be had.
  /// - Returns: whether the old one still works, so that nothing has changed.
  mutating func failed(_ now: Moment) -> Bool
  /// A request under the access of generation `failed` was refused.
  /// - Parameter isClear: the refusal speaks of the object too (it is gone).
  mutating func refused(_ failed: Int, isClear: Bool, _ now: Moment) -> AccessRefusal
  /// New bytes came under the access of `generation`.
  mutating func worked(_ generation: Int)
  /// A reader asks afresh.
  mutating func forget()
}

extension AccessState {
  package var isReady: Bool { phase == .ready }
}

package enum AccessPhase: Sendable, Equatable { case none, pending, ready }

/// The remedy for an access that was refused.
package enum AccessRefusal: Sendable, Equatable {
  /// Get another one and go on at once.
  case replace
  /// The same after a pause.
  case replaceLater
  /// The same access again after a pause.
  case again
  /// A new access was answered as clearly as the one before, twice.
  case final
  /// It is not the access in use: another one is there, or on its way.
  case none
}

/// The state of an access that is given at once and never ends. A refusal is final, because asking once more gives the
/// same access.
package struct AlwaysOpen: AccessState {
  package private(set) var phase = AccessPhase.none
  package private(set) var generation = 0
  package var renewAt: Moment? { nil }

  package init() {}

  package mutating func want(_ now: Moment) -> Bool {
    guard phase == .none else { return false }
    phase = .pending
    return true
  }

  package mutating func ready(generation new: Int, expires end: Moment?, now: Moment) -> Bool {
    defer { (phase, generation) = (.ready, new) }
    return new > generation
  }

  package mutating func failed(_ now: Moment) -> Bool {
    phase = .none
    return false
  }

  package mutating func replace() -> Bool { false }
  package mutating func renew(_ now: Moment) -> Bool { false }
  package mutating func refused(_ failed: Int, isClear: Bool, _ now: Moment) -> AccessRefusal { .final }
  package mutating func worked(_ generation: Int) {}
  package mutating func forget() {}
}
