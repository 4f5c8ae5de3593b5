import ControlModel
import Testing

@testable import fsmvp_tile

@Suite("The search for something to stage")
struct JobSearchTests {
  private func page(_ names: [String], total: Int, start: Int = 0) -> MediaHubPage {
    MediaHubPage(
      jobs: names.map { name in
        MediaHubJob(
          id: "j" + name, name: name,
          outputs: [MediaHubOutput(fileId: "f" + name, name: name + ".mp4", size: 1, contentType: "video/mp4")])
      }, total: total, start: start, limit: JobSearch.page)
  }

  private func ask(_ text: String, _ start: Int = 0) -> JobSearch.Question {
    JobSearch.Question(text: text, start: start)
  }

  @Test("asks for all at first, and shows what comes")
  func first() {
    var search = JobSearch()
    #expect(search.typed("") == ask(""))
    #expect(search.state == .asking)
    #expect(search.answered(page(["a", "b"], total: 2)) == nil)
    #expect(search.choices.map(\.job) == ["a", "b"])
    #expect(search.state == .idle && search.total == 2)
    #expect(search.reachedEnd() == nil, "there is no more")
  }

  @Test("one question at a time: what was typed meanwhile is asked after the answer, and only the last of it")
  func typing() {
    var search = JobSearch()
    #expect(search.typed("a") == ask("a"))
    #expect(search.typed("ab") == nil)
    #expect(search.typed("abc") == nil)
    #expect(search.answered(page(["a1"], total: 1)) == ask("abc"))
    #expect(search.answered(page(["abc"], total: 1)) == nil)
    #expect(search.choices.map(\.job) == ["abc"])
    #expect(search.typed("abc") == nil, "nothing new")
  }

  @Test("a page that brings nothing new is the end of the list, whatever the service counts")
  func noProgress() {
    for answer in [[], ["a", "b"]] {
      var search = JobSearch()
      _ = search.typed("x")
      _ = search.answered(page(["a", "b"], total: 1000))
      #expect(search.reachedEnd() == ask("x", 2))
      #expect(search.answered(page(answer, total: 1000, start: 2)) == nil)
      #expect(search.choices.map(\.job) == ["a", "b"] && search.reachedEnd() == nil)
    }
  }

  @Test("the end of the list asks for more of the same, once")
  func paging() {
    var search = JobSearch()
    _ = search.typed("x")
    _ = search.answered(page(["a", "b"], total: 3))
    #expect(search.reachedEnd() == ask("x", 2))
    #expect(search.reachedEnd() == nil)
    #expect(search.answered(page(["c"], total: 3, start: 2)) == nil)
    #expect(search.choices.map(\.job) == ["a", "b", "c"])
    #expect(search.reachedEnd() == nil)
  }

  @Test("a page that comes empty ends the list, whatever the total says")
  func emptyPage() {
    var search = JobSearch()
    _ = search.typed("")
    _ = search.answered(page(["a"], total: 9))
    #expect(search.reachedEnd() == ask("", 1))
    #expect(search.answered(page([], total: 9, start: 1)) == nil)
    #expect(search.reachedEnd() == nil)
    #expect(search.choices.count == 1)
  }

  @Test("a failure stays until it is asked again; what was typed meanwhile is asked at once")
  func failing() {
    var search = JobSearch()
    _ = search.typed("a")
    #expect(search.failed("it is down") == nil)
    #expect(search.state == .failed("it is down"))
    #expect(search.again() == ask("a"))
    _ = search.typed("b")
    #expect(search.failed("it is down") == ask("b"))
    _ = search.answered(page(["b"], total: 1))
    #expect(search.state == .idle)
  }

  @Test("jobs without files are counted, so that the next page begins after them")
  func withoutFiles() {
    var search = JobSearch()
    _ = search.typed("")
    var first = page(["a", "b"], total: 4)
    first.jobs[0].outputs = []
    _ = search.answered(first)
    #expect(search.choices.map(\.job) == ["b"])
    #expect(search.reachedEnd() == ask("", 2))
  }
}
