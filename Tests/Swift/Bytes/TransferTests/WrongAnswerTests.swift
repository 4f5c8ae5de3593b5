import Core
import EventLoop
import Support
import Testing

@testable import Transfer

/// Ranges of servers that lie, break off or stand still: not one byte that was not promised as asked is handed over.
@Suite(.timeLimit(.minutes(10)))
struct WrongAnswerTests {
  let size: Int64 = 1000
  let range = ByteRange(100, 200)
  init() { EventLoop.start() }

  struct Outcome {
    var error: TransferError?
    var bytes: [UInt8]
    var isRight: Bool
    var server: ScriptedServer
  }

  /// Asks for `range` of a file of `size` bytes. With a phase, time-outs pass once it is there and `count` bytes are.
  @TransferLoop
  func outcome(
    range: ByteRange? = nil, untilTimeoutIn phase: PhaseClock.Phase? = nil, received count: Int = 0,
    _ script: @escaping ScriptedServer.Script
  ) async -> Outcome {
    let server = ScriptedServer(script)
    let sink = RecordingSink()
    let range = range ?? self.range
    let clocked = ClockedClient()
    let fetch = clocked.client.fetch(server.request(range, size: size), sink: sink)
    if let phase {
      while fetch.phase != phase { await Task.yield() }
      await sink.received(count)
      await clocked.letTimeoutsPass()
    }
    let error = await sink.ended()
    #expect(sink.ends.count == 1 && sink.gaps == 0)
    let isRight = sink.bytes == ScriptedServer.content(ByteRange(offset: range.start, length: Int64(sink.bytes.count)))
    return Outcome(error: error, bytes: sink.bytes, isRight: isRight, server: server)
  }

  @TransferLoop
  func outcome(_ script: @escaping ScriptedServer.Script) async -> Outcome { await outcome(range: nil, script) }

  func isWrongAnswer(_ outcome: Outcome, _ word: String) -> Bool {
    guard case .wrongAnswer(let text) = outcome.error else { return false }
    return outcome.bytes.isEmpty && text.contains(word)
  }

  func partial(_ headers: String, body: ByteRange = ByteRange(100, 200)) -> ScriptedServer.Script {
    { _ in [.text("HTTP/1.1 206 Partial Content\r\n\(headers)\r\n"), .content(body), .close] }
  }

  // MARK: Heads

  @Test("a web page is not the file", arguments: ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
  func html(type: String) async {
    #expect(
      isWrongAnswer(
        await outcome(partial("Content-Range: bytes 100-199/1000\r\nContent-Type: \(type)\r\n")), "web page"))
    #expect(
      isWrongAnswer(
        await outcome(range: ByteRange(0, 100)) { _ in
          [.text("HTTP/1.1 200 OK\r\nContent-Type: \(type)\r\nContent-Length: 1000\r\n\r\n"), .stall]
        },
        "web page"))
  }

  @Test(
    "a message in JSON or XML is not the file",
    arguments: ["application/json", "application/xml", "text/xml;charset=utf-8"])
  func message(type: String) async {
    #expect(
      isWrongAnswer(await outcome(partial("Content-Range: bytes 100-199/1000\r\nContent-Type: \(type)\r\n")), "message")
    )
  }

  @Test(
    "a compressed body is not the file",
    arguments: [
      "gzip", "br", "identity, gzip", "aws-chunked,gzip", "aws-chunked", "identity\r\nContent-Encoding: gzip",
    ])
  func gzip(encoding: String) async {
    #expect(
      isWrongAnswer(
        await outcome(partial("Content-Range: bytes 100-199/1000\r\nContent-Encoding: \(encoding)\r\n")), "compressed"))
  }

  @Test("an answer in several parts is not the range")
  func multipart() async {
    #expect(
      isWrongAnswer(await outcome(partial("Content-Type: multipart/byteranges; boundary=x\r\n")), "several parts"))
  }

  @Test("a range that begins elsewhere is refused", arguments: ["101-199", "101-200", "99-198", "0-98", "200-299"])
  func wrongStart(positions: String) async {
    #expect(
      isWrongAnswer(await outcome(partial("Content-Range: bytes \(positions)/1000\r\n")), "asked for bytes from 100"))
  }

  @Test("a range beyond the file's end is refused", arguments: ["100-1000/*", "100-1000/1000"])
  func beyondEnd(positions: String) async {
    #expect(isWrongAnswer(await outcome(partial("Content-Range: bytes \(positions)\r\n")), "beyond"))
  }

  @Test("another total is another object")
  func wrongTotal() async {
    let outcome = await outcome(partial("Content-Range: bytes 100-199/1001\r\n"))
    #expect(outcome.error == .sizeDiffers(expected: 1000, found: 1001) && outcome.bytes.isEmpty)
  }

  @Test("a 206 without Content-Range is refused")
  func noContentRange() async {
    #expect(isWrongAnswer(await outcome(partial("Content-Length: 100\r\n")), "no Content-Range"))
  }

  @Test(
    "a Content-Range that cannot be read is refused",
    arguments: [
      "bytes", "bytes 100-199", "100-199/1000", "bytes 100-99999999999999999999/1000", "bytes +100-199/1000",
      "bytes 100--199/1000",
      "lines 100-199/1000", "bytes 199-100/1000", "bytes */1000",
    ])
  func malformedContentRange(value: String) async {
    #expect(isWrongAnswer(await outcome(partial("Content-Range: \(value)\r\n")), "malformed"))
  }

  @Test("two Content-Ranges that differ are refused")
  func twoContentRanges() async {
    #expect(
      isWrongAnswer(
        await outcome(partial("Content-Range: bytes 100-199/1000\r\nContent-Range: bytes 0-99/1000\r\n")),
        "two content-range"))
  }

  @Test("a Content-Length that is not the range's is refused")
  func wrongLength() async {
    #expect(
      isWrongAnswer(
        await outcome(partial("Content-Range: bytes 100-199/1000\r\nContent-Length: 99\r\n")), "length of 99"))
    for lengths in ["100, 99", "100\r\nContent-Length: 99"] {
      #expect(
        isWrongAnswer(
          await outcome(partial("Content-Range: bytes 100-199/1000\r\nContent-Length: \(lengths)\r\n")),
          "two content-length"))
    }
  }

  @Test("a head without end is refused")
  func endlessHead() async {
    let outcome = await outcome { _ in
      [.text("HTTP/1.1 206 OK\r\n")]
        + (0..<40).map { .text("X-\($0): " + String(repeating: "x", count: 8000) + "\r\n") } + [.stall]
    }
    #expect(isWrongAnswer(outcome, "256 KiB"))
  }

  @Test("what is not HTTP is refused")
  func notHTTP() async {
    for text in ["SSH-2.0-OpenSSH_9\r\n", "\u{0}\u{1}\u{2}\u{3}garbage\n\n", "HTTP/1.1 20x OK\r\n\r\n"] {
      let outcome = await outcome { _ in [.text(text), .close] }
      #expect(
        outcome.error != nil && outcome.error?.asSourceFailure.remedy == .retry(after: nil) && outcome.bytes.isEmpty)
    }
  }

  // MARK: Statuses

  @Test("the whole file instead of a middle range is refused")
  func wholeForMiddle() async {
    #expect(
      isWrongAnswer(
        await outcome { _ in [.text("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), .content(ByteRange(0, 1000))] },
        "ignored"))
  }

  @Test("the whole file without a length is refused, with another length it is another object")
  func wholeOfOtherLength() async {
    let none = await outcome(range: ByteRange(0, 10)) { _ in
      [.text("HTTP/1.1 200 OK\r\n\r\n"), .content(ByteRange(0, 1000)), .close]
    }
    #expect(isWrongAnswer(none, "no length"))
    let other = await outcome(range: ByteRange(0, 10)) { _ in
      [.text("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"), .content(ByteRange(0, 999))]
    }
    #expect(other.error == .sizeDiffers(expected: 1000, found: 999) && other.bytes.isEmpty)
  }

  @Test("416 with another size is a size that differs, else a status")
  func unsatisfiable() async {
    let other = await outcome { _ in ScriptedServer.answer(416, headers: "Content-Range: bytes */50\r\n") }
    #expect(other.error == .sizeDiffers(expected: 1000, found: 50))
    for headers in ["Content-Range: bytes */1000\r\n", "", "Content-Range: bytes */x\r\n"] {
      let same = await outcome { _ in ScriptedServer.answer(416, headers: headers) }
      #expect(same.error == .status(416, retryAfter: nil))
    }
  }

  @Test(
    "other statuses are told with their Retry-After, whatever their body",
    arguments: [204, 304, 401, 403, 404, 410, 429, 500, 503])
  func statuses(code: Int) async {
    let body = code == 204 || code == 304 ? "" : "<html>go away</html>"
    let outcome = await outcome { _ in
      ScriptedServer.answer(code, headers: "Retry-After: 7\r\nContent-Type: text/html\r\n", body: body)
    }
    #expect(outcome.error == .status(code, retryAfter: .seconds(7)) && outcome.bytes.isEmpty)
  }

  @Test("a refusal with a small body leaves the connection usable")
  @TransferLoop func refusalKeepsConnection() async {
    let client = HTTPClient()
    let server = ScriptedServer { _ in ScriptedServer.answer(403, body: "expired") }
    for _ in 0..<3 {
      let sink = RecordingSink()
      _ = client.fetch(server.request(range, size: size), sink: sink)
      #expect(await sink.ended() == .status(403, retryAfter: nil))
    }
    #expect(server.connections == 1)
  }

  @Test("a refusal whose body never comes is told all the same")
  @TransferLoop func refusalStalls() async {
    let outcome = await outcome(untilTimeoutIn: .body, received: 0) { _ in
      [.text("HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\n"), .stall]
    }
    #expect(outcome.error == .status(503, retryAfter: nil))
  }

  // MARK: Bodies

  @Test("a body cut short is short, and what came is right")
  func cut() async {
    let outcome = await outcome { _ in
      [
        .text(ScriptedServer.partialHead(ByteRange(100, 200), size: 1000) + "\r\n"), .content(ByteRange(100, 140)),
        .close,
      ]
    }
    #expect(outcome.error == .short(received: 40, expected: 100) && outcome.isRight && outcome.bytes.count == 40)
  }

  @Test("a body without a length that ends early is short")
  func shortWithoutLength() async {
    let outcome = await outcome(partial("Content-Range: bytes 100-199/1000\r\n", body: ByteRange(100, 199)))
    #expect(outcome.error == .short(received: 99, expected: 100) && outcome.isRight)
  }

  @Test("a chunked body that ends early is short, whether properly or not", arguments: [true, false])
  func shortChunked(isProper: Bool) async {
    let outcome = await outcome { _ in
      [
        .text("HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 100-199/1000\r\n\r\n"),
        .chunk(ByteRange(100, 130)),
        .text(isProper ? "0\r\n\r\n" : ""), .close,
      ]
    }
    #expect(outcome.error == .short(received: 30, expected: 100) && outcome.isRight)
  }

  @Test("a body longer than promised is never handed over beyond the range", arguments: [true, false])
  func long(isChunked: Bool) async {
    let outcome = await outcome { _ in
      isChunked
        ? [
          .text("HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 100-199/1000\r\n\r\n"),
          .chunk(ByteRange(100, 300)),
          .text("0\r\n\r\n"),
        ]
        : [
          .text("HTTP/1.1 206 OK\r\nContent-Range: bytes 100-199/1000\r\n\r\n"), .content(ByteRange(100, 300)), .close,
        ]
    }
    #expect(outcome.isRight && outcome.bytes.count == 100)
    #expect(outcome.error == .wrongAnswer("the body is longer than its head promised"))
  }

  @Test("a reset in mid-body is unreachable, and what came is right")
  func reset() async {
    let gate = Gate()
    let server = ScriptedServer { _ in
      [
        .text(ScriptedServer.partialHead(ByteRange(100, 200), size: 1000) + "\r\n"), .content(ByteRange(100, 140)),
        .wait(gate), .reset,
      ]
    }
    await { @TransferLoop in
      let sink = RecordingSink()
      _ = HTTPClient().fetch(server.request(range, size: size), sink: sink)
      await sink.received(40)
      gate.open()
      guard case .unreachable(let text) = await sink.ended() else {
        Issue.record("no unreachable: \(sink.ends)")
        return
      }
      #expect(!text.contains("s3cr3t") && sink.holds(ByteRange(100, 140)))
    }()
  }

  @Test("a server that closes or resets without an answer is unreachable", arguments: [true, false])
  func noAnswer(isReset: Bool) async {
    let outcome = await outcome { _ in [isReset ? .reset : .close] }
    guard case .unreachable = outcome.error else {
      Issue.record("\(String(describing: outcome.error))")
      return
    }
  }

  @Test("nobody there is unreachable, said without the URL's query")
  @TransferLoop func refusedConnection() async {
    var url = ""
    do {
      let server = ScriptedServer { _ in [] }
      url = server.url("/x?signature=s3cr3t")
    }
    let sink = RecordingSink()
    _ = HTTPClient().fetch(RangeRequest(url: Redacted(url), range: range, size: size), sink: sink)
    guard case .unreachable(let text) = await sink.ended() else {
      Issue.record("\(sink.ends)")
      return
    }
    #expect(!text.isEmpty && !text.contains("s3cr3t"))
  }

  @Test("a name that is not found fails that fetch and none after it")
  @TransferLoop func unknownName() async {
    let client = HTTPClient()
    let server = ScriptedServer.file(size: size)
    // A label of more than 63 characters: no name server is asked.
    let nowhere = "https://" + String(repeating: "a", count: 70) + ".invalid/?signature=s3cr3t"
    for _ in 0..<3 {
      let failed = RecordingSink()
      _ = client.fetch(RangeRequest(url: Redacted(nowhere), range: range, size: size), sink: failed)
      guard case .unreachable(let text) = await failed.ended() else {
        Issue.record("\(failed.ends)")
        return
      }
      #expect(text.hasPrefix("Could not resolve host") && !text.contains("s3cr3t"))
      let sink = RecordingSink()
      _ = client.fetch(server.request(range, size: size), sink: sink)
      #expect(await sink.ended() == nil)
    }
  }

  @Test("a body that stands still times out, with what came handed over")
  @TransferLoop func bodyStalls() async {
    let outcome = await outcome(untilTimeoutIn: .body, received: 40) { _ in
      [
        .text(ScriptedServer.partialHead(ByteRange(100, 200), size: 1000) + "\r\n"), .content(ByteRange(100, 140)),
        .stall,
      ]
    }
    #expect(outcome.error == .timedOut(phase: "body") && outcome.isRight && outcome.bytes.count == 40)
  }

  @Test(
    "a head that does not come, or not to its end, times out",
    arguments: ["", "HTTP/1.1 206 OK\r\nContent-Range: by", "HTTP/1.1 103 Hints\r\n\r\n"])
  @TransferLoop func headStalls(text: String) async {
    let outcome = await outcome(untilTimeoutIn: .headers, received: 0) { _ in [.text(text), .stall] }
    #expect(outcome.error == .timedOut(phase: "headers") && outcome.bytes.isEmpty)
  }

  @Test("a body that is all there but does not end is a success")
  @TransferLoop func endMissing() async {
    let outcome = await outcome(untilTimeoutIn: .body, received: 100) { _ in
      [
        .text("HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 100-199/1000\r\n\r\n"),
        .chunk(ByteRange(100, 200)),
        .stall,
      ]
    }
    #expect(outcome.error == nil && outcome.isRight && outcome.bytes.count == 100)
  }
}
