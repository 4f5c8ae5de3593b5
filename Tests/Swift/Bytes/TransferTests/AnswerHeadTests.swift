import ByteSource
import Core
import Testing

@testable import Transfer

/// The pure parts: heads, validators, Retry-After, clocks, the rule of URLs.
struct AnswerHeadTests {
  func head(_ text: String) throws(TransferError) -> AnswerHead {
    var head = AnswerHead()
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
      try head.take(Array("\(line)\r\n".utf8))
    }
    return head
  }

  @Test("each status line begins anew")
  func hops() throws {
    let head = try head(
      "HTTP/1.1 302 F\nLocation: /x\nETag: \"a\"\n\nHTTP/1.1 100 C\n\nHTTP/2 206\nContent-Range: bytes 0-1/2\n\n")
    #expect(head.status == 206 && head.isComplete && !head.isRedirect && !head.isInterim)
    #expect(head[.location] == nil && head[.etag] == nil && head[.contentRange] == "bytes 0-1/2")
  }

  @Test("names in any case, values without the blanks around them")
  func fields() throws {
    let head = try head("HTTP/1.1 200 OK\nCONTENT-type:\t text/plain; x=y \t\nX-Other: z\nContent-Length:\n\n")
    #expect(head[.contentType] == "text/plain; x=y" && head[.contentLength] == "")
  }

  @Test(
    "malformed heads are refused",
    arguments: [
      "NOPE\n", "HTTP/1.1\n", "HTTP/1.1 2000 X\n", "HTTP/1.1 2x0 X\n",
      "HTTP/1.1 206 OK\nContent-Range: bytes 0-1/\n 2\n",
      "HTTP/1.1 302 OK\nLocation: /a\nLocation: /b\n", "HTTP/1.1 302 OK\nLocation: /a\n /b\n", "HTTP/1.1 099 X\n",
    ])
  func malformed(text: String) { #expect(throws: TransferError.self) { try head(text) } }

  @Test(
    "only strong ETags prove a version; any other is kept apart from them",
    arguments: [
      ("\"a\"", "\"a\"", nil), ("W/\"a\"", nil, "W/\"a\""), ("a", nil, "a"), ("\"", nil, "\""),
      ("\"\"", "\"\"", nil), ("\"ä\"", nil, nil),
    ] as [(String, String?, String?)])
  func etags(value: String, kept: String?, weak: String?) throws {
    let head = try head("HTTP/1.1 206 OK\nETag: \(value)\nLast-Modified: then\n\n")
    #expect(head.validator == Validator(etag: kept, weak: weak, lastModified: "then"))
  }

  @Test(
    "Retry-After is seconds or a date, never negative, never more than a day",
    arguments: [
      ("0", 0), ("120", 120), ("99999999999999999999999", 86400), ("Wed, 21 Oct 2015 07:28:00 GMT", 60),
      ("Wed, 21 Oct 2015 07:26:00 GMT", 0),
      ("Wed, 21 Oct 2037 07:28:00 GMT", 86400), ("-5", nil), ("soon", nil), ("", nil), ("1.5x", nil),
    ] as [(String, Int64?)])
  func retryAfter(value: String, seconds: Int64?) throws {
    let head = try head("HTTP/1.1 503 X\nRetry-After: \(value)\n\n")
    #expect(head.retryAfter(wallSeconds: 1_445_412_420) == seconds.map { .seconds($0) })
  }

  @Test(
    "digits are digits",
    arguments: [
      ("0", 0), ("9223372036854775807", Int64.max), ("9223372036854775808", nil), ("", nil), ("+1", nil), ("-1", nil),
      ("1 ", nil),
      ("1e3", nil),
    ] as [(String, Int64?)])
  func digits(text: String, value: Int64?) { #expect(decimal(text.utf8) == value) }

  @Test("a right answer promises the range")
  func right() throws {
    let range = ByteRange(100, 200)
    for extra in [
      "", "Content-Length: 100\n", "Content-Encoding: identity\n", "Content-Type: application/octet-stream\n",
      "Content-Type: application/dash+xml\n",
    ] {
      let answer = try head("HTTP/1.1 206 OK\nContent-Range: bytes 100-199/1000\n\(extra)\n").rangeAnswer(
        to: range, size: 1000, wallSeconds: 0)
      #expect(answer == RangeAnswer(validator: Validator(), isWhole: false, range: range))
    }
    let whole = try head("HTTP/1.1 200 OK\nContent-Length: 1000\n\n").rangeAnswer(
      to: ByteRange(0, 5), size: 1000, wallSeconds: 0)
    #expect(whole == RangeAnswer(validator: Validator(), isWhole: true, range: ByteRange(0, 1000)))
  }

  @Test(
    "harmless and legal heads are not refused",
    arguments: [
      "Content-Encoding: aws-chunked\nContent-Length: 100\n",
      "Content-Type: video/mp4\nContent-Type: application/octet-stream\n",
      "Content-Encoding: \n", "Content-Encoding: identity, Identity\n", "Content-Encoding: none\n",
      "Content-Length: 100\nContent-Length: 100\n",
      "Content-Length: 100, 100\n", "Content-Length: 0100\nContent-Length: 100\n", "Accept-Ranges: none\n",
      "ETag: unquoted\n",
      "ETag: W/\"a\"\n",
      "ETag: \"a\"\nETag: \"b\"\n", "Last-Modified: yesterday\nLast-Modified: now\n", "no colon\n", "A: b\n folded\n",
      "Content-Type: video/mp4;\n charset=x\n", "Content-Length : 100\n", "Retry-After: 1\nRetry-After: 2\n",
      "Transfer-Encoding: chunked\n",
    ])
  func harmless(extra: String) throws {
    for range in [
      "Content-Range: bytes 100-199/1000", "content-range: bytes 100-199/1000",
      "Content-Range: Bytes  100 - 199 / 1000",
      "CONTENT-RANGE:bytes=100-199/1000", "Content-Range: bytes 100-199/*", "Content-Range: bytes\t100-199/ *",
    ] {
      let answer = try head("HTTP/1.1 206 OK\n\(range)\n\(extra)\n").rangeAnswer(
        to: ByteRange(100, 200), size: 1000, wallSeconds: 0)
      #expect(answer.range == ByteRange(100, 200) && !answer.isWhole)
    }
  }

  @Test("two ETags that differ are none")
  func twoETags() throws {
    #expect(
      try head("HTTP/1.1 206 OK\nETag: \"a\"\nETag: \"b\"\nLast-Modified: then\n\n").validator
        == Validator(lastModified: "then"))
  }

  @Test(
    "a web page, JSON or XML is the file if the file may be one",
    arguments: ["text/html", "application/json", "text/xml"])
  func text(type: String) throws {
    let head = try head("HTTP/1.1 206 OK\nContent-Range: bytes 0-9/99\nContent-Type: \(type)\n\n")
    #expect(throws: TransferError.self) { try head.rangeAnswer(to: ByteRange(0, 10), size: 99, wallSeconds: 0) }
    #expect(
      try head.rangeAnswer(to: ByteRange(0, 10), size: 99, mayBeText: true, wallSeconds: 0).range == ByteRange(0, 10))
  }

  @Test("random bytes as a head never trap")
  func fuzz() {
    var random = SystemRandomNumberGenerator()
    let words = [
      "HTTP/1.1 206 OK", "Content-Range: bytes ", "-", "/", "9", "*", ":", " ", "ETag: \"", "Content-Length: ", "\r\n",
      "\u{0}",
      "Location: ", "\t",
    ]
    for _ in 0..<20_000 {
      var head = AnswerHead()
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let line = (0..<Int.random(in: 0...8, using: &random)).map { _ in words.randomElement(using: &random) ?? "" }
          .joined()
        try? head.take(Array(line.utf8))
      }
      _ = try? head.rangeAnswer(to: ByteRange(0, 9), size: 99, wallSeconds: .max)
    }
  }

  @Test("each phase has its own limit, and a pause has none")
  func phases() {
    func at(_ seconds: UInt64) -> Moment { Moment(nanoseconds: seconds * 1_000_000_000) }
    func expired(_ clock: PhaseClock, _ now: UInt64) -> PhaseClock.Phase? {
      clock.expired(now: at(now), headers: .seconds(20), idle: .seconds(30))
    }
    var clock = PhaseClock(now: at(0))
    #expect(expired(clock, 1000) == nil)
    clock.handshakeBegan(now: at(1))
    #expect(expired(clock, 1000) == nil && clock.phase == .tls)
    clock.requestBegan(now: at(5))
    #expect(expired(clock, 24) == nil && expired(clock, 25) == .headers)
    clock.redirected(now: at(24))
    #expect(expired(clock, 1000) == nil)
    clock.requestBegan(now: at(25))
    clock.headEnded(now: at(40))
    #expect(expired(clock, 69) == nil && expired(clock, 70) == .body)
    clock.received(now: at(60))
    #expect(expired(clock, 89) == nil && expired(clock, 90) == .body)
    clock.paused()
    #expect(expired(clock, 100_000) == nil)
    clock.resumed(now: at(100_000))
    #expect(expired(clock, 100_029) == nil && expired(clock, 100_030) == .body)
  }

  @Test(
    "https anywhere, plain http to this machine only",
    arguments: [
      ("https://example.com/a?b=c", true), ("HTTPS://EXAMPLE.com", true), ("http://localhost:80/", true),
      ("http://LOCALHOST/", true),
      ("http://127.0.0.1/", true), ("http://127.255.3.4:8080/x", true), ("http://[::1]:1/", true),
      ("http://127.1/", true),
      ("http://example.com/", false), ("http://128.0.0.1/", false), ("http://[::2]/", false),
      ("http://127.0.0.1.example.com/", false),
      ("http://localhost.example.com/", false), ("http://127.0.0.1@example.com/", false), ("http://0.0.0.0/", false),
      ("http://example.com#@127.0.0.1/", false), ("http://example.com\\@127.0.0.1/", false),
      ("https://u:p@example.com/", false),
      ("ftp://localhost/", false), ("file:///etc/passwd", false), ("", false), ("/x", false), ("https://", false),
      ("https://a/\u{0}", false),
    ])
  func urls(text: String, isAllowed: Bool) {
    #expect(((try? SecureURL.check(text)) != nil) == isAllowed)
  }

  @Test(
    "a redirect may stay, go to https or to this machine, and not down to plain http elsewhere",
    arguments: [
      ("https://a.example/x/y", "/z", "https://a.example/z"),
      ("https://a.example/x/y", "z?q=1", "https://a.example/x/z?q=1"),
      ("https://a.example/x", "//b.example/", "https://b.example/"), ("https://a.example/x", "http://b.example/", nil),
      ("https://a.example/x", "http://127.0.0.1:9/", "http://127.0.0.1:9/"),
      ("http://127.0.0.1/x", "//b.example/", nil),
      ("https://a.example/x", "/a b", "https://a.example/a%20b"),
    ] as [(String, String, String?)])
  func targets(base: String, location: String, expected: String?) {
    #expect((try? SecureURL.check(location, relativeTo: base)) == expected)
  }
}
