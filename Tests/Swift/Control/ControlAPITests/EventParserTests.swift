import Testing

@testable import ControlClient

@Suite("Server-sent events, taken apart")
struct EventParserTests {
  private func events(_ text: String, pieces: Int) -> [EventParser.Event] {
    var parser = EventParser()
    var events: [EventParser.Event] = []
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: pieces) {
      let isGood = bytes[start..<min(start + pieces, bytes.count)].withUnsafeBytes {
        parser.append($0) { events.append($0) }
      }
      #expect(isGood)
    }
    return events
  }

  @Test("in whatever pieces and with whatever ends of lines they come", arguments: ["\n", "\r\n", "\r"])
  func pieces(end: String) {
    let lines = [
      ": hello", "", "id: a-1", "event: item", "data: {\"x\":", "data: 1}", "", "data:bare", "", "event: lost",
      "id: a-2", "",
    ]
    let text = lines.map { $0 + end }.joined() + "data: unfinished" + end
    for pieces in 1...text.utf8.count {
      let events = events(text, pieces: pieces)
      #expect(
        events == [
          .init(id: "a-1", name: "item", data: Array("{\"x\":\n1}".utf8)),
          .init(id: "a-1", name: "message", data: Array("bare".utf8)),
        ], "pieces of \(pieces)")
    }
  }

  @Test("an id with a NUL, and what is no field, are not taken")
  func odd() {
    let events = events("id: a\u{0}b\nretry: 5\nnonsense\ndata\n\n", pieces: 3)
    #expect(events == [.init(id: nil, name: "message", data: [])])
  }
}
