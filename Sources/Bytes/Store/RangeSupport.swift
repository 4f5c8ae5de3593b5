/// Whether the origin answers a range with the range, or with the whole object. It is a value in the file's
/// `FetchPlan`.
struct RangeSupport: Equatable {
  /// The whole object comes for any range: one fetch from 0, nothing else.
  private(set) var isWholeOnly = false
  /// A part not from 0 was answered wrongly by an origin that never answered one rightly: asking from 0 will tell
  /// whether it knows ranges at all.
  private(set) var wantsTrial = false
  /// Being tried; all else waits for what its head says.
  private(set) var trial: Int?
  /// Whole objects in a row that brought nothing new.
  private(set) var emptyWholes = 0
  /// A part was answered as a part.
  private var answersRanges = false
  private var hadTrial = false
  /// The origin answers ranges with the whole object, and this is a window: the file needs another kind of store.
  private(set) var needsFile = false
  /// Whole objects that a window was sent in place of ranges, since a range came.
  private var wholesRefused = 0
  private var broughtBytes = false
  /// Whole objects in place of ranges, since a range came.
  private var wholes = 0

  /// Another access may lead to another server.
  mutating func accessChanged() {
    answersRanges = false
    hadTrial = false
  }

  mutating func answeredPart(ofThisAccess: Bool) {
    if ofThisAccess { answersRanges = true }
    wholesRefused = 0
    wholes = 0
    needsFile = false
  }

  /// The whole object came in place of a range.
  /// - Returns: whether the origin sends nothing else: the first one is stray if a range was answered before.
  mutating func answeredWhole() -> Bool {
    wholes += 1
    return wholes > 1 || !answersRanges
  }

  /// A window was sent the whole object.
  /// - Returns: whether the origin sends nothing else, so that the file needs another kind of store.
  mutating func refusedWhole() -> Bool {
    wholesRefused += 1
    needsFile = wholesRefused > 1 && !answersRanges
    return needsFile
  }

  /// A part not from 0 was answered wrongly.
  /// - Returns: whether to find out.
  mutating func answeredWrongly() -> Bool {
    guard !answersRanges, !hadTrial else { return false }
    hadTrial = true
    wantsTrial = true
    return true
  }

  mutating func trialBegins(_ id: Int?) {
    wantsTrial = false
    trial = id
  }
  mutating func trialEnds(_ id: Int) { if trial == id { trial = nil } }

  /// - Parameter isUnderWay: it is coming.
  mutating func becomeWhole(isUnderWay: Bool) {
    isWholeOnly = true
    broughtBytes = isUnderWay
  }

  mutating func wholeBegins() { broughtBytes = false }
  mutating func wholeEnds(isComplete: Bool) { if isWholeOnly, !broughtBytes, !isComplete { emptyWholes += 1 } }

  /// New bytes came.
  mutating func progressed() {
    broughtBytes = true
    emptyWholes = 0
  }

  /// A reader asks afresh.
  mutating func forget() { emptyWholes = 0 }
}
