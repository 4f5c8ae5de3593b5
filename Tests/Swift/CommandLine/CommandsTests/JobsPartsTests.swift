import ControlModel
import Testing

@testable import Commands
@testable import Syntax

@Suite("`fsmvp jobs` asks for a long list in parts")
struct JobsPartsTests {
  /// MediaHub with so many jobs, and what it was asked.
  private func ask(
    limit: Int, jobs: Int, total: Int? = nil, start: Int = 0, most: Int = 5000, ignoresStart: Bool = false
  ) throws -> (page: MediaHubPage, asked: [[Int]]) {
    var asked: [[Int]] = []
    let page = try JobsVerb.all(Command.JobsQuery(start: start, limit: limit)) { start, limit throws(CommandFailure) in
      asked.append([start, limit])
      guard asked.count < 100 else { throw CommandFailure(.failed, "it asks without end") }
      let first = ignoresStart ? 0 : start
      let rows = first..<max(first, min(first + min(limit, most), jobs))
      return MediaHubPage(
        jobs: rows.map { MediaHubJob(id: "j\($0)", name: "", outputs: []) }, total: total ?? jobs, start: start,
        limit: limit)
    }
    return (page, asked)
  }

  @Test("5,000 jobs come in parts of 500, and stand in one page")
  func parts() throws {
    let (page, asked) = try ask(limit: 5000, jobs: 1200)
    #expect(asked == [[0, 500], [500, 500], [1000, 500]])
    #expect(page.jobs.map(\.id) == (0..<1200).map { "j\($0)" })
    #expect((page.total, page.start, page.limit) == (1200, 0, 5000))
    #expect(try ask(limit: 20, jobs: 1200).asked == [[0, 20]])
    #expect(try ask(limit: 600, jobs: 1200, start: 100).asked == [[100, 500], [600, 100]])
  }

  @Test("a list that is shorter than its total, or begins anew each time, ends")
  func noProgress() throws {
    #expect(try ask(limit: 5000, jobs: 499, total: 500).asked == [[0, 500], [499, 500]])
    #expect(try ask(limit: 5000, jobs: 0, total: 500).asked.count == 1)
    let (page, asked) = try ask(limit: 5000, jobs: 700, ignoresStart: true)
    #expect(asked.count == 2)
    #expect(page.jobs.count == 500)
    // A service that gives at most 100 a page.
    #expect(try ask(limit: 5000, jobs: 350, most: 100).page.jobs.count == 350)
  }
}
