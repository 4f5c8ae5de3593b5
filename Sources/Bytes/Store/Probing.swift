import Core

/// The request of a comparison that is on its way: when it was sent, and how often one brought nothing before it. It is
/// a value in the file's `FetchPlan`.
struct Probing: Equatable {
  private(set) var id = 0
  /// When it was sent, or bytes of it came last; nil: none is on its way.
  private(set) var began: Moment?
  /// Requests in a row that were sent once more because they brought nothing.
  private(set) var tries = 0
  /// The last one failed, so its connection may be dead.
  private(set) var failed = false

  mutating func began(_ id: Int, _ now: Moment) { (self.id, began) = (id, now) }

  /// Bytes of it came.
  mutating func heard(_ now: Moment) { if began != nil { began = now } }

  mutating func ended(isComplete: Bool) {
    began = nil
    failed = !isComplete
    if isComplete { tries = 0 }
  }

  mutating func again() {
    began = nil
    tries += 1
  }
}
