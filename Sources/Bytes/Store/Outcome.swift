import Core

/// Whether fetching goes on or gave up until the next read, and what readers were told. It is a value in the file's
/// `FetchPlan`.
struct Outcome: Equatable {
  /// A kernel asks once more for what failed, page by page; that has the same answer at once.
  static let memory = Duration.seconds(1)

  /// Gave up until the next read asks again.
  private(set) var isHalted = false
  /// A failure was told, and nothing was written since.
  private(set) var isReported = false
  /// The latest failure, as a sentence; "" before the first.
  private(set) var sentence = ""
  private var told: (ranges: RangeSet, error: Errno, at: Moment)?

  static func == (a: Outcome, b: Outcome) -> Bool {
    (a.isHalted, a.isReported, a.sentence) == (b.isHalted, b.isReported, b.sentence)
      && a.told?.ranges == b.told?.ranges && a.told?.error == b.told?.error && a.told?.at == b.told?.at
  }

  mutating func note(_ sentence: String) { self.sentence = sentence }

  mutating func halt() { isHalted = true }

  /// A failure is told.
  mutating func tell() { isReported = true }

  /// Readers that lacked `ranges` got `error`.
  mutating func remember(_ ranges: [ByteRange], _ error: Errno, _ now: Moment) {
    guard !ranges.isEmpty else { return }
    var all = told.flatMap { now - $0.at < Self.memory && $0.error == error ? $0.ranges : nil } ?? RangeSet()
    for range in ranges { all.insert(range) }
    told = (all, error, now)
  }

  /// The error that was told of the byte at `offset` within the last second.
  mutating func repeated(at offset: Int64, _ now: Moment) -> Errno? {
    guard let told else { return nil }
    guard now - told.at < Self.memory else {
      self.told = nil
      return nil
    }
    return told.ranges.contains(offset) ? told.error : nil
  }

  /// A reader asks afresh.
  mutating func resume() { isHalted = false }

  /// Bytes were written.
  /// - Returns: whether people are to be told that it goes on.
  mutating func wrote() -> Bool {
    guard isReported, !isHalted else { return false }
    isReported = false
    told = nil
    return true
  }
}
