import ControlModel
import Core
import Support
import Syntax
import TerminalUI
import Testing

@testable import Commands

@Suite("The picker of jobs")
struct JobsPickerTests {
  private static let now = Moment(nanoseconds: 1_000_000_000)
  private static var soon: Moment { now + JobsPicker.debounce }
  private static let size = Terminal.Size(columns: 40, rows: 13)

  private static func job(_ number: Int, outputs: Int = 1) -> MediaHubJob {
    MediaHubJob(
      id: "j\(number)", name: "film \(number)",
      outputs: (0..<outputs).map {
        MediaHubOutput(
          fileId: "f\(number).\($0)", name: "film \(number).\($0).mp4", size: 2048, contentType: "video/mp4")
      })
  }

  private static func page(_ numbers: some Sequence<Int>, of total: Int, start: Int = 0) -> MediaHubPage {
    MediaHubPage(jobs: numbers.map { job($0) }, total: total, start: start, limit: 100)
  }

  private static func picker(_ total: Int = 1000) -> JobsPicker {
    JobsPicker(search: "", first: page(0..<min(total, 100), of: total), size: size)
  }

  private func lines(_ picker: JobsPicker) -> [String] { picker.frame.lines.map { $0.plain.trimmed } }

  @Test("what is shown: the field, as many jobs as there is room for, where one is, what keys do")
  func frame() {
    let lines = lines(Self.picker())
    #expect(lines.count == 13)
    #expect(lines[0] == "Search:")
    #expect(lines[1] == "> film 0                           2 KiB")
    #expect(lines[10] == "  film 9                           2 KiB")
    #expect(lines[11] == "1-10 of 1000")
    #expect(lines[12].hasPrefix("↑ ↓"))
    #expect(Self.picker().frame.lines[1].isSelected)
    #expect(Self.picker().frame.cursor.map { [$0.column, $0.row] } == [8, 0])
  }

  @Test("what comes into view and is not here is asked for, once, by pages")
  func pages() {
    var picker = Self.picker()
    #expect(picker.take(.pageDown, at: Self.now) == [])
    let asked = picker.take(.end, at: Self.now)
    #expect(asked == [.load(.init(search: "", start: 900, limit: 100))])
    #expect(picker.take(.up, at: Self.now) == [])
    #expect(lines(picker)[1] == "  …")
    #expect(lines(picker)[11].hasSuffix("asking MediaHub…"))
    #expect(
      picker.answered(.init(search: "", start: 900, limit: 100), .success(Self.page(900..<1000, of: 1000, start: 900)))
        == [])
    #expect(lines(picker)[9].hasPrefix("> film 998"))
    // Between two pages.
    _ = picker.take(.home, at: Self.now)
    for _ in 0..<10 { _ = picker.take(.pageDown, at: Self.now) }
    #expect(picker.asked == [.init(search: "", start: 100, limit: 100)])
  }

  @Test("a page that is one row short of the total is not asked for without end")
  func shortPage() {
    var picker = JobsPicker(search: "", first: Self.page(0..<99, of: 100), size: Self.size)
    var effects = picker.take(.end, at: Self.now)
    var questions = 0
    while case .load(let query)? = effects.first, questions < 10 {
      questions += 1
      // MediaHub has 99, and says 100 whenever it is asked.
      effects = picker.answered(query, .success(Self.page(query.start..<99, of: 100, start: query.start)))
    }
    #expect(questions == 1)
    #expect(picker.take(.up, at: Self.now) == [])
    #expect(lines(picker)[11].contains("of 99"))
  }

  @Test("a service that gives fewer rows than asked for is asked for the rest, as long as rows come")
  func smallPages() {
    var picker = JobsPicker(search: "", first: Self.page(0..<20, of: 60), size: Self.size)
    var starts: [Int] = []
    var effects = picker.take(.end, at: Self.now) + picker.take(.home, at: Self.now)
    while case .load(let query)? = effects.first, starts.count < 10 {
      starts.append(query.start)
      effects = picker.answered(
        query, .success(Self.page(query.start..<min(query.start + 20, 60), of: 60, start: query.start)))
      effects += picker.take(.end, at: Self.now)
    }
    #expect(starts.count < 5)
    #expect(lines(picker)[10].hasPrefix("> film 59"))
  }

  @Test("a question that failed is asked again with the next key")
  func again() {
    var picker = Self.picker()
    let query = JobsPicker.Query(search: "", start: 900, limit: 100)
    #expect(picker.take(.end, at: Self.now) == [.load(query)])
    #expect(picker.answered(query, .failure(CommandFailure(.service, "it is away"))) == [])
    #expect(picker.take(.up, at: Self.now) == [.load(query)])
  }

  @Test("typing looks through what is here at once, and asks MediaHub when it pauses")
  func search() {
    var picker = Self.picker()
    _ = picker.take(.end, at: Self.now)
    #expect(picker.take(.text("film 9"), at: Self.now) == [])
    #expect(picker.list.index == 0)
    #expect(lines(picker)[1].hasPrefix("> film 9 "))
    #expect(lines(picker)[2].hasPrefix("  film 90"))
    #expect(lines(picker)[11] == "1-10 of 11 here  asking MediaHub…")
    #expect(picker.advance(to: Self.now) == [])
    #expect(picker.take(.text("9"), at: Self.now + .milliseconds(100)) == [])
    #expect(picker.advance(to: Self.soon) == [])
    let query = JobsPicker.Query(search: "film 99", start: 0, limit: 100)
    #expect(picker.advance(to: Self.soon + .milliseconds(100)) == [.load(query)])
    #expect(picker.advance(to: Self.soon + .seconds(9)) == [])
    _ = picker.answered(query, .success(Self.page([99] + Array(990..<1000), of: 11)))
    #expect(lines(picker)[11] == "1-10 of 11")
    #expect(picker.take(.enter, at: Self.now) == [])
    #expect(picker.stage == .recipient(Self.job(99), Self.job(99).outputs[0]))
  }

  @Test("an answer to what nobody asks any more changes nothing")
  func late() {
    var picker = Self.picker()
    _ = picker.take(.text("a"), at: Self.now)
    #expect(picker.advance(to: Self.soon) == [.load(.init(search: "a", start: 0, limit: 100))])
    _ = picker.take(.text("b"), at: Self.soon)
    _ = picker.answered(.init(search: "a", start: 0, limit: 100), .success(Self.page([1, 2], of: 2)))
    #expect(!picker.isAnswered)
    // Back to what is here: nothing has to be asked.
    _ = picker.take(.control("u"), at: Self.soon)
    #expect(picker.isAnswered)
    #expect(picker.advance(to: Self.soon + .seconds(1)) == [])
    #expect(lines(picker)[11] == "1-10 of 1000")
  }

  @Test("a service that answers nothing gets no more than a few questions at a time, and keys go on")
  func hanging() {
    var picker = Self.picker()
    var asked = 0
    for number in 0..<20 {
      let time = Self.now + .seconds(Int64(number))
      #expect(picker.take(.text("x"), at: time) == [])
      asked += picker.advance(to: time + JobsPicker.debounce).count
    }
    #expect(asked == 4)
    let first = picker.asked[0]
    #expect(picker.answered(first, .failure(CommandFailure(.service, "MediaHub cannot be reached"))) == [])
    #expect(picker.note == nil)
    let last = picker.advance(to: Self.now + .seconds(60))
    #expect(last == [.load(.init(search: String(repeating: "x", count: 20), start: 0, limit: 100))])
    #expect(picker.answered(picker.asked[3], .failure(CommandFailure(.service, "MediaHub cannot be reached"))) == [])
    #expect(lines(picker)[11] == "MediaHub cannot be reached")
    #expect(picker.take(.control("c"), at: Self.now) == [.leave(interrupted: true)])
  }

  @Test("outputs where there are several, then the recipient, and Escape goes the same way back")
  func way() {
    var picker = JobsPicker(
      search: "",
      first: MediaHubPage(jobs: [Self.job(1, outputs: 0), Self.job(2, outputs: 3)], total: 2, start: 0, limit: 100),
      size: Self.size)
    #expect(lines(picker)[1].hasSuffix("no output"))
    #expect(lines(picker)[2].hasSuffix("3 outputs"))
    _ = picker.take(.enter, at: Self.now)
    #expect(picker.stage == .jobs)
    #expect(lines(picker)[11] == "This job has no output that can be staged.")
    for key in [.down, .enter, .down, .down, .down] as [Key] { #expect(picker.take(key, at: Self.now) == []) }
    #expect(picker.stage == .outputs(Self.job(2, outputs: 3)))
    #expect(lines(picker)[0] == "Outputs of film 2")
    #expect(lines(picker)[3].hasPrefix("> film 2.2.mp4"))
    _ = picker.take(.enter, at: Self.now)
    #expect(lines(picker)[0] == "For whom is film 2.2.mp4 (2 KiB)?")
    _ = picker.take(.escape, at: Self.now)
    #expect(picker.stage == .outputs(Self.job(2, outputs: 3)))
    _ = picker.take(.enter, at: Self.now)
    #expect(picker.take(.enter, at: Self.now) == [])
    for key in [.text("Jane "), .text("Doe")] as [Key] { #expect(picker.take(key, at: Self.now) == []) }
    #expect(picker.take(.enter, at: Self.now) == [.choose(Self.job(2, outputs: 3).outputs[2], recipient: "Jane Doe")])
    for _ in 0..<2 { #expect(picker.take(.escape, at: Self.now) == []) }
    #expect(picker.stage == .jobs)
    #expect(picker.take(.escape, at: Self.now) == [.leave(interrupted: false)])
  }

  @Test("a list that shrinks while somebody looks at its end")
  func shrinking() {
    var picker = Self.picker()
    _ = picker.take(.end, at: Self.now)
    _ = picker.answered(.init(search: "", start: 900, limit: 100), .success(Self.page([], of: 850, start: 900)))
    #expect(picker.list.count == 900)
    #expect(picker.asked == [.init(search: "", start: 800, limit: 100)])
    _ = picker.answered(.init(search: "", start: 800, limit: 100), .success(Self.page(800..<850, of: 850, start: 800)))
    #expect(picker.list.count == 850)
    #expect(lines(picker)[11] == "841-850 of 850")
  }

  @Test("any terminal will do, of whatever size", arguments: [(1, 1), (2, 5), (3, 3), (8, 4), (200, 100), (80, 2)])
  func sizes(columns: Int, rows: Int) {
    var picker = Self.picker()
    _ = picker.resize(Terminal.Size(columns: columns, rows: rows))
    let keys: [Key] = [
      .down, .pageDown, .end, .up, .text("film"), .home, .enter, .text("a"), .down, .up, .escape, .control("u"), .end,
    ]
    for key in keys {
      _ = picker.take(key, at: Self.now)
      let frame = picker.frame
      #expect(frame.lines.count <= rows)
      if let cursor = frame.cursor { #expect(cursor.row < max(rows, 2)) }
      #expect(frame.lines.allSatisfy { $0.cut(to: columns).width <= columns })
    }
  }

  @Test("whatever is typed, answered and resized: the chosen row is in the list and on the screen", arguments: 1...20)
  func random(seed: UInt64) {
    var dice = SplitMix(seed: seed)
    var picker = Self.picker()
    var pending: [JobsPicker.Query] = []
    var time = Self.now
    for _ in 0..<400 {
      var effects: [JobsPicker.Effect] = []
      switch Int.random(in: 0..<10, using: &dice) {
      case 0:
        effects = picker.resize(
          Terminal.Size(columns: Int.random(in: 1..<100, using: &dice), rows: Int.random(in: 1..<40, using: &dice)))
      case 1...2:
        if let query = pending.randomElement(using: &dice) {
          pending.removeAll { $0 == query }
          let total = Int.random(in: 0..<400, using: &dice)
          let range = min(query.start, total)..<min(query.start + query.limit, total)
          effects = picker.answered(
            query,
            Bool.random(using: &dice)
              ? .success(Self.page(range, of: total, start: query.start)) : .failure(.init(.service, "no")))
        }
      case 3:
        time = time + .milliseconds(Int64.random(in: 0..<400, using: &dice))
        effects = picker.advance(to: time)
      default:
        let keys: [Key] = [
          .up, .down, .pageUp, .pageDown, .home, .end, .enter, .escape, .text("f"), .text("9"), .backspace,
          .control("u"), .tab,
        ]
        effects = picker.take(keys.randomElement(using: &dice) ?? .up, at: time)
      }
      for case .load(let query) in effects { pending.append(query) }
      #expect(picker.asked.count <= 4, "seed \(seed)")
      #expect(picker.list.count == 0 || picker.list.shown.contains(picker.list.index), "seed \(seed)")
      #expect(picker.frame.lines.count <= picker.size.rows, "seed \(seed)")
    }
  }
}

extension String {
  /// Without the blanks at its end.
  var trimmed: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}
