import ControlModel
import Core
import Syntax
import TerminalUI

/// Chooses a file and its recipient among thousands of jobs, as a value: keys and answers go in, requests and the
/// choice come out, and `frame` is the screen. It knows no terminal and never waits. `JobsPicker.run` owns the value.
struct JobsPicker {
  /// A request for jobs to MediaHub.
  struct Query: Equatable, Sendable {
    /// "": all.
    var search: String
    var start: Int
    var limit: Int
  }

  enum Effect: Equatable {
    case load(Query)
    case choose(MediaHubOutput, recipient: String)
    /// - Parameter interrupted: by Ctrl-C.
    case leave(interrupted: Bool)
  }

  enum Stage: Equatable {
    case jobs
    case outputs(MediaHubJob)
    case recipient(MediaHubJob, MediaHubOutput)
  }

  /// A search is sent after so long without a key.
  static let debounce: Duration = .milliseconds(180)
  /// Asked for at once; aligned.
  static let page = 100
  /// Most requests under way: more than one, so that a search that hangs does not block the next.
  private static let mostAsked = 4

  private(set) var stage = Stage.jobs
  private(set) var search: LineField
  /// The answers to the latest answered search: its text, its total, and the rows loaded so far.
  private(set) var found = (search: "", total: 0, rows: [Int: MediaHubJob]())
  /// Rows of `found` that match the field, shown until its own search is answered.
  private var here: [MediaHubJob] = []
  private(set) var list = Scroll()
  private(set) var outputs = Scroll()
  private(set) var prompt = RecipientPrompt(offered: [])
  private(set) var asked: [Query] = []
  /// Places of `found` from which MediaHub was asked already. A place is asked from once, so that a total larger than
  /// the list ends the asking.
  private var tried: Set<Int> = [0]
  /// A sentence, for the line below the list.
  private(set) var note: String?
  private(set) var noteIsFailure = false
  /// When the search goes out.
  private(set) var due: Moment?
  private(set) var size: Terminal.Size

  /// - Parameter first: the first page, already here.
  init(search: String, first: MediaHubPage, size: Terminal.Size) {
    self.search = LineField(search, limit: 1024)
    self.size = size
    found = (search, max(first.total, first.jobs.count), [:])
    for (index, job) in first.jobs.enumerated() { found.rows[index] = job }
    fit()
  }

  // MARK: The list

  /// Whether the list is MediaHub's answer to what stands in the field; else what is here of the last one, looked
  /// through.
  var isAnswered: Bool { found.search == search.text }

  /// The job at an index of the list; nil: not loaded yet.
  func job(at index: Int) -> MediaHubJob? {
    isAnswered ? found.rows[index] : here.indices.contains(index) ? here[index] : nil
  }

  private mutating func lookThroughWhatIsHere() {
    let wanted = search.text.lowercased()
    here =
      isAnswered
      ? [] : found.rows.sorted { $0.key < $1.key }.map(\.value).filter { $0.name.lowercased().contains(wanted) }
  }

  private mutating func fit() {
    list.fit(count: isAnswered ? found.total : here.count, rows: size.rows - JobsPicker.furniture)
    if case .outputs(let job) = stage { outputs.fit(count: job.outputs.count, rows: size.rows - JobsPicker.furniture) }
    prompt.resize(rows: size.rows - JobsPicker.furniture - 1)
  }

  // MARK: Events

  mutating func resize(_ size: Terminal.Size) -> [Effect] {
    self.size = size
    fit()
    return missing()
  }

  mutating func offer(_ recipients: [String]) { prompt.offer(recipients) }

  /// Sends the search if its time has come.
  mutating func advance(to now: Moment) -> [Effect] {
    guard let due, due <= now, asked.count < Self.mostAsked else { return [] }
    self.due = nil
    return isAnswered ? [] : load(Query(search: search.text, start: 0, limit: Self.page))
  }

  mutating func answered(_ query: Query, _ result: Result<MediaHubPage, CommandFailure>) -> [Effect] {
    asked.removeAll { $0 == query }
    // The text has changed since, so the answer is dropped.
    guard query.search == search.text else { return [] }
    switch result {
    case .failure(let failure):
      (note, noteIsFailure) = (failure.message, true)
      tried.remove(query.start)
    case .success(let page):
      if noteIsFailure { note = nil }
      if found.search != query.search {
        found = (query.search, 0, [:])
        tried = [query.start]
        list.move(to: 0)
      }
      found.total = max(page.total, page.start + page.jobs.count)
      // The list is alive: what a page lacks has gone.
      if page.jobs.isEmpty { found.total = min(found.total, page.start) }
      for (index, job) in page.jobs.enumerated() { found.rows[page.start + index] = job }
    }
    fit()
    if case .failure = result { return [] }
    return missing()
  }

  mutating func take(_ key: Key, at now: Moment) -> [Effect] {
    if key == .control("c") { return [.leave(interrupted: true)] }
    switch stage {
    case .jobs: return takeInJobs(key, now)
    case .outputs(let job): return takeInOutputs(key, job)
    case .recipient(let job, let output): return takeInPrompt(key, job, output)
    }
  }

  private mutating func takeInJobs(_ key: Key, _ now: Moment) -> [Effect] {
    note = nil
    if list.take(key) { return missing() }
    switch key {
    case .escape: return [.leave(interrupted: false)]
    case .enter:
      guard let job = job(at: list.index) else { return missing() }
      switch job.outputs.count {
      case 0: (note, noteIsFailure) = ("This job has no output that can be staged.", false)
      case 1: stage = .recipient(job, job.outputs[0])
      default:
        stage = .outputs(job)
        outputs = Scroll()
      }
      fit()
    default:
      guard search.take(key) else { break }
      due = now + Self.debounce
      lookThroughWhatIsHere()
      list = Scroll()
      fit()
    }
    return []
  }

  private mutating func takeInOutputs(_ key: Key, _ job: MediaHubJob) -> [Effect] {
    switch key {
    case .escape, .left: stage = .jobs
    case .enter where job.outputs.indices.contains(outputs.index): stage = .recipient(job, job.outputs[outputs.index])
    default: _ = outputs.take(key)
    }
    fit()
    return []
  }

  private mutating func takeInPrompt(_ key: Key, _ job: MediaHubJob, _ output: MediaHubOutput) -> [Effect] {
    switch prompt.take(key) {
    case .waiting: return []
    case .done(let recipient): return [.choose(output, recipient: recipient)]
    case .left:
      stage = job.outputs.count > 1 ? .outputs(job) : .jobs
      fit()
      return []
    }
  }

  /// Asks for what is to be seen and not here: by whole pages, then, where a page came back short, from its first
  /// missing row on.
  private mutating func missing() -> [Effect] {
    guard isAnswered else { return [] }
    var effects: [Effect] = []
    for page in Set(list.shown.filter { found.rows[$0] == nil }.map { $0 / Self.page * Self.page }).sorted() {
      guard asked.count < Self.mostAsked,
        !asked.contains(where: { $0.search == search.text && page <= $0.start && $0.start < page + Self.page })
      else { continue }
      let rest = page..<min(page + Self.page, found.total)
      let start = tried.contains(page) ? rest.first { found.rows[$0] == nil } : page
      guard let start, tried.insert(start).inserted else { continue }
      effects += load(Query(search: search.text, start: start, limit: page + Self.page - start))
    }
    return effects
  }

  private mutating func load(_ query: Query) -> [Effect] {
    guard !asked.contains(query) else { return [] }
    asked.append(query)
    return [.load(query)]
  }
}
