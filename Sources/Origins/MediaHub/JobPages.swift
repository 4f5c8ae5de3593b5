/// A page of jobs, asked for in smaller ones and joined: the service may give fewer rows than asked for, a page's
/// answer may be too long to be kept, and a list that changes meanwhile repeats rows. It ends with the first answer
/// that brings nothing new. A pure value. `MediaHubClient` has one for each question.
struct JobPages {
  /// Rows asked for at once.
  private static let mostRows = 500
  /// Answers for one page: more mean that the service gives a few rows at a time, and what is here is as good as a
  /// shorter page.
  private static let mostAnswers = 100

  private let wanted: Range<Int>
  /// The row at which the next answer begins: one past the last row that came.
  private var position: Int
  private var rows = mostRows
  private var answers = 0
  private var isOver = false
  private var seen: Set<String> = []

  private(set) var jobs: [JobRecord] = []
  /// The number of rows on all pages, as the service counts them.
  private(set) var total = 0
  /// Rows in which no job could be read.
  private(set) var unreadable = 0

  init(start: Int, limit: Int) {
    wanted = start..<start + limit
    position = start
  }

  /// Which rows to ask for; nil: that was all.
  var next: Range<Int>? {
    isOver || position >= wanted.upperBound ? nil : position..<min(wanted.upperBound, position + rows)
  }

  mutating func took(_ answer: JobsAnswer) {
    guard let asked = next else { return }
    answers += 1
    total = Int(clamping: answer.rows == 0 ? answer.total : max(answer.total, Int64(position + answer.rows)))
    let before = (jobs.count, unreadable)
    for job in answer.jobs.prefix(wanted.upperBound - position) where job.id.isEmpty || seen.insert(job.id).inserted {
      jobs.append(job)
    }
    unreadable += max(0, answer.rows - answer.jobs.count)
    position += answer.rows
    let isNew = (jobs.count, unreadable) != before
    // Without a total, fewer rows than asked for are the last ones.
    let isLast = position >= total || (answer.total == 0 && answer.rows < asked.count)
    isOver = !isNew || isLast || answers >= Self.mostAnswers
  }

  /// The answer was longer than is kept.
  /// - Returns: false if a single row is.
  mutating func tooLong() -> Bool {
    guard let asked = next, asked.count > 1 else { return false }
    rows = asked.count / 2
    return true
  }
}
