import ControlModel

/// The search for something to stage: what is typed, and what MediaHub answers, page by page. One question is under way
/// at a time, so that fast typing and slow answers neither pile up nor overtake each other. It is a value in
/// `StagePage`, which sends the questions.
struct JobSearch {
  struct Question: Equatable {
    var text: String
    var start: Int
  }

  /// A file that can be staged, and the job it belongs to.
  struct Choice: Equatable {
    var job: String
    var output: MediaHubOutput
  }

  enum State: Equatable {
    case idle
    case asking
    case failed(String)
  }

  static let page = 50

  private(set) var choices: [Choice] = []
  private(set) var state = State.idle
  /// Jobs that match, on all pages together; nil before the first answer.
  private(set) var total: Int?
  /// The search text that `choices` answer.
  private(set) var shown: String?
  private var wanted = ""
  private var asked: Question?
  /// Jobs of the pages so far, those without a file included.
  private var jobs = 0
  private var seen: Set<String> = []

  /// - Returns: what to ask now; nil: nothing, or nothing yet.
  mutating func typed(_ text: String) -> Question? {
    wanted = text
    guard asked == nil, text != shown || state != .idle else { return nil }
    return ask(Question(text: text, start: 0))
  }

  /// The list is looked at down to its end.
  mutating func reachedEnd() -> Question? {
    guard asked == nil, state == .idle, let total, jobs < total, shown == wanted else { return nil }
    return ask(Question(text: wanted, start: jobs))
  }

  /// Asks anew: the list may have changed, or the last question failed.
  mutating func again() -> Question? {
    guard asked == nil else { return nil }
    return ask(Question(text: wanted, start: 0))
  }

  /// - Returns: the next question, where something else was typed meanwhile.
  mutating func answered(_ page: MediaHubPage) -> Question? {
    guard let question = asked else { return nil }
    asked = nil
    state = .idle
    if question.start == 0 {
      choices = []
      jobs = 0
      seen = []
    }
    shown = question.text
    let new = page.jobs.filter { seen.insert($0.id).inserted }
    jobs = question.start + page.jobs.count
    // A page that brings nothing new is the end, whatever is counted.
    total = new.isEmpty ? question.start : page.total
    for job in new { choices += job.outputs.map { Choice(job: job.name, output: $0) } }
    return typed(wanted)
  }

  mutating func failed(_ sentence: String) -> Question? {
    guard let question = asked else { return nil }
    asked = nil
    state = .failed(sentence)
    return question.text == wanted ? nil : typed(wanted)
  }

  private mutating func ask(_ question: Question) -> Question {
    asked = question
    state = .asking
    return question
  }
}
