import ByteSource
import Core
import EventLoop
import Support
import Testing

@testable import Transfer

/// Ranges of an honest server: delivery, back-pressure, ends of our own making.
// Long because every test of one transfer needs the server and the sink of this suite.
@Suite(.timeLimit(.minutes(10)))
struct RangeFetchTests {
  let size: Int64 = 3 << 20
  init() { EventLoop.start() }

  @Test("a range arrives whole, in order, with its validator")
  @TransferLoop func wholeRange() async {
    let server = ScriptedServer {
      ScriptedServer.serve(
        $0, size: 3 << 20, headers: "ETag: \"v1\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n")
    }
    let sink = RecordingSink()
    let range = ByteRange(1000, 2_000_001)
    let fetch = HTTPClient().fetch(server.request(range, size: size), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(sink.holds(range))
    #expect(fetch.position == range.end && fetch.isEnded)
    #expect(sink.validator == Validator(etag: "\"v1\"", lastModified: "Wed, 21 Oct 2015 07:28:00 GMT"))
    #expect(!sink.isWhole && sink.began == 1 && sink.ends.count == 1)
  }

  @Test("the request asks for identity bytes of just that range, without credentials")
  @TransferLoop func requestHead() async {
    let server = ScriptedServer.file(size: size)
    let sink = RecordingSink()
    _ = HTTPClient().fetch(server.request(ByteRange(5, 10), size: size), sink: sink)
    await sink.ended()
    let request = server.requests[0]
    #expect(request.method == "GET" && request.target == "/file?signature=s3cr3t")
    #expect(request.header("Range") == "bytes=5-9")
    #expect(request.header("Accept-Encoding") == "identity")
    #expect(request.header("User-Agent") == "fsmvp/1")
    #expect(
      request.header("Authorization") == nil && request.header("Cookie") == nil && request.header("Referer") == nil)
  }

  @Test(
    "a server that gives a part of the range is asked for the rest, on the same connection", arguments: [1, 7, 100_000])
  @TransferLoop func partByPart(part: Int64) async {
    let size = part * 13 + 1
    let server = ScriptedServer { request in
      let asked = request.range ?? ByteRange(0, size)
      return ScriptedServer.serve(
        request, size: size, range: ByteRange(asked.start, min(asked.end, asked.start + part)))
    }
    let sink = RecordingSink()
    let fetch = HTTPClient().fetch(server.request(ByteRange(1, size), size: size), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(sink.holds(ByteRange(1, size)) && fetch.position == size)
    #expect(server.requests.count == 13 && server.connections == 1 && sink.began == 13)
  }

  @Test("a part that the sink stops in is the last one")
  @TransferLoop func stoppedPart() async {
    let server = ScriptedServer { request in
      let asked = request.range ?? ByteRange(0, 1000)
      return ScriptedServer.serve(request, size: 1000, range: ByteRange(asked.start, min(asked.end, asked.start + 100)))
    }
    let sink = RecordingSink()
    sink.onBegin = { fetch in
      fetch.stop(at: 250)
      return true
    }
    _ = HTTPClient().fetch(server.request(ByteRange(0, 1000), size: 1000), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(sink.holds(ByteRange(0, 250)) && server.requests.count == 3)
    #expect(server.requests.last?.range == ByteRange(200, 250), "nothing is asked for beyond the stop")
  }

  @Test("a fresh connection that answers in parts brings all of them")
  @TransferLoop func freshParts() async {
    let server = ScriptedServer { request in
      let asked = request.range ?? ByteRange(0, 1000)
      return ScriptedServer.serve(request, size: 1000, range: ByteRange(asked.start, min(asked.end, asked.start + 100)))
    }
    let client = HTTPClient()
    let first = RecordingSink()
    _ = client.fetch(server.request(ByteRange(0, 100), size: 1000), sink: first)
    #expect(await first.ended() == nil)
    var request = server.request(ByteRange(0, 1000), size: 1000)
    request.isFresh = true
    let sink = RecordingSink()
    _ = client.fetch(request, sink: sink)
    #expect(await sink.ended() == nil)
    #expect(sink.holds(ByteRange(0, 1000)) && server.requests.count == 11 && server.connections == 2)
  }

  @Test(
    "a server that gives more than the range is used for what overlaps",
    arguments: [ByteRange(0, 3 << 20), ByteRange(4096, 8192), ByteRange(5000, 9000), ByteRange(4096, 6000)])
  @TransferLoop func largerRange(given: ByteRange) async {
    let server = ScriptedServer { ScriptedServer.serve($0, size: 3 << 20, range: given) }
    let sink = RecordingSink()
    let range = ByteRange(5000, 6000)
    _ = HTTPClient().fetch(server.request(range, size: size), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(sink.holds(range))
  }

  @Test("nothing is called back before fetch returns")
  @TransferLoop func laterCallbacks() async {
    let server = ScriptedServer.file(size: size)
    for link in [server.url(), "http://example.com/file", "not a url"] {
      let sink = RecordingSink()
      _ = HTTPClient().fetch(
        RangeRequest(url: Redacted(link), range: ByteRange(0, 10), size: size), sink: sink)
      #expect(sink.began == 0 && sink.ends.isEmpty)
      await sink.ended()
    }
  }

  @Test("the whole object is handed over where the server ignores a range that begins at 0")
  @TransferLoop func wholeObject() async {
    let server = ScriptedServer { _ in
      [.text("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), .content(ByteRange(0, 100_000))]
    }
    let sink = RecordingSink()
    let fetch = HTTPClient().fetch(server.request(ByteRange(0, 10), size: 100_000), sink: sink)
    sink.onBegin = { $0.end == 100_000 }
    #expect(await sink.ended() == nil)
    #expect(sink.isWhole && sink.holds(ByteRange(0, 100_000)) && fetch.position == 100_000)
  }

  @Test("a chunked 206 without a length is counted")
  @TransferLoop func chunked() async {
    let range = ByteRange(100, 70_000)
    let server = ScriptedServer { _ in
      [
        .text(
          "HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 100-69999/3145728\r\n\r\n"
        ),
        .chunk(ByteRange(100, 30_000)), .chunk(ByteRange(30_000, 70_000)),
        .text("0\r\nContent-Range: bytes 1-2/3\r\nHTTP/1.1 500 trailer\r\n\r\n"),
      ]
    }
    let sink = RecordingSink()
    _ = HTTPClient().fetch(server.request(range, size: size), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(sink.holds(range))
  }

  @Test("an interim answer is not the answer")
  @TransferLoop func interim() async {
    let server = ScriptedServer { request in
      [.text("HTTP/1.1 103 Early Hints\r\nContent-Type: text/html\r\nContent-Range: bytes 7-8/9\r\n\r\n")]
        + ScriptedServer.serve(request, size: 3 << 20)
    }
    let sink = RecordingSink()
    _ = HTTPClient().fetch(server.request(ByteRange(0, 500), size: size), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(sink.holds(ByteRange(0, 500)))
  }

  @Test("a sink without room gets the same bytes again after resume, and nothing is lost")
  @TransferLoop func pauseAndResume() async {
    let server = ScriptedServer.file(size: size)
    let sink = RecordingSink()
    var refused: [(Int64, [UInt8])] = []
    var mismatches = 0
    var turn = 0
    sink.onBytes = { fetch, bytes, offset in
      turn += 1
      if let (at, head) = refused.last, at == offset, !bytes.prefix(head.count).elementsEqual(head) { mismatches += 1 }
      guard turn % 3 == 0 else { return true }
      refused.append((offset, Array(bytes.prefix(64))))
      // Some resume from within, some from the loop's next turn.
      if turn % 2 == 0 { fetch.resume() } else { Task { @TransferLoop in fetch.resume() } }
      return false
    }
    let range = ByteRange(0, size)
    _ = HTTPClient().fetch(server.request(range, size: size), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(sink.holds(range))
    #expect(refused.count > 20 && mismatches == 0)
  }

  @Test("a paused transfer does not time out, and goes on where it stood")
  @TransferLoop func pausedPatience() async throws {
    let server = ScriptedServer.file(size: size)
    let sink = RecordingSink()
    var isFirst = true
    sink.onBytes = { _, _, offset in
      defer { if offset > 0 { isFirst = false } }
      return !(isFirst && offset > 0)
    }
    let clocked = ClockedClient()
    let fetch = clocked.client.fetch(server.request(ByteRange(0, size), size: size), sink: sink)
    await sink.received(1)
    while !fetch.isPaused { await Task.yield() }
    await clocked.letTimeoutsPass()
    #expect(sink.ends.isEmpty)
    fetch.resume()
    #expect(await sink.ended() == nil)
    #expect(sink.holds(ByteRange(0, size)))
  }

  @Test(
    "stop(at:) ends without error once the offset is reached, and hands over nothing beyond it",
    arguments: [1, 65_536, 1_234_567])
  @TransferLoop func stopAhead(offset: Int64) async {
    let server = ScriptedServer.file(size: size)
    let sink = RecordingSink()
    let fetch = HTTPClient().fetch(server.request(ByteRange(0, size), size: size), sink: sink)
    fetch.stop(at: offset)
    #expect(await sink.ended() == nil)
    #expect(sink.holds(ByteRange(0, offset)) && fetch.position == offset)
  }

  @Test("stop(at:) behind the position ends at once, before the answer too")
  @TransferLoop func stopBehind() async {
    let server = ScriptedServer.file(size: size)
    let early = RecordingSink()
    HTTPClient().fetch(server.request(ByteRange(10, 20), size: size), sink: early).stop(at: 10)
    #expect(early.ends == [nil] && early.bytes.isEmpty)

    let sink = RecordingSink()
    sink.onBytes = { fetch, _, offset in
      if offset > 0 { fetch.stop(at: 1) }
      return true
    }
    _ = HTTPClient().fetch(server.request(ByteRange(0, size), size: size), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(sink.ends.count == 1)
  }

  @Test("stop(at:) at the range's end changes nothing, and the connection is kept")
  @TransferLoop func stopAtEnd() async {
    let server = ScriptedServer.file(size: size)
    let client = HTTPClient()
    for _ in 0..<3 {
      let sink = RecordingSink()
      sink.onBytes = { fetch, _, _ in
        fetch.stop(at: 100_000)
        return true
      }
      _ = client.fetch(server.request(ByteRange(0, 100_000), size: size), sink: sink)
      #expect(await sink.ended() == nil)
      #expect(sink.holds(ByteRange(0, 100_000)))
    }
    #expect(server.connections == 1)
  }

  @Test("a stop with bytes still to come closes the connection")
  @TransferLoop func stopCloses() async {
    let server = ScriptedServer.file(size: size)
    let client = HTTPClient()
    for _ in 0..<2 {
      let sink = RecordingSink()
      sink.onBegin = { fetch in
        fetch.stop(at: 10)
        return true
      }
      _ = client.fetch(server.request(ByteRange(0, size), size: size), sink: sink)
      #expect(await sink.ended() == nil)
    }
    #expect(server.connections == 2)
  }

  @Test("a stop before the request is sent asks for the bytes before it alone, and the connection is kept")
  @TransferLoop func stopBeforeRequest() async {
    let server = ScriptedServer.file(size: size)
    let client = HTTPClient()
    for _ in 0..<2 {
      let sink = RecordingSink()
      client.fetch(server.request(ByteRange(0, size), size: size), sink: sink).stop(at: 10)
      #expect(await sink.ended() == nil)
      #expect(sink.holds(ByteRange(0, 10)))
    }
    #expect(server.requests.map(\.range) == [ByteRange(0, 10), ByteRange(0, 10)] && server.connections == 1)
  }

  @Test("cancel is told before it returns, from outside and before the start")
  @TransferLoop func cancelOutside() async {
    let server = ScriptedServer { _ in
      [.text(ScriptedServer.partialHead(ByteRange(0, 100), size: 100) + "\r\n"), .content(ByteRange(0, 10)), .stall]
    }
    let client = HTTPClient()
    let sink = RecordingSink()
    let fetch = client.fetch(server.request(ByteRange(0, 100), size: 100), sink: sink)
    await sink.received(10)
    fetch.cancel()
    #expect(sink.ends == [.cancelled])
    fetch.cancel()
    fetch.resume()
    fetch.stop(at: 50)
    let early = RecordingSink()
    client.fetch(server.request(ByteRange(0, 100), size: 100), sink: early).cancel()
    #expect(early.ends == [.cancelled] && sink.ends.count == 1)
  }

  @Test(
    "a cancel from inside any callback is safe, and is the last call", arguments: ["begin", "bytes", "paused", "end"])
  @TransferLoop func cancelInside(frame: String) async {
    let server = ScriptedServer.file(size: size)
    let client = HTTPClient()
    for _ in 0..<5 {
      let sink = RecordingSink()
      switch frame {
      case "begin":
        sink.onBegin = { fetch in
          fetch.cancel()
          return true
        }
      case "bytes", "paused":
        sink.onBytes = { fetch, _, _ in
          fetch.cancel()
          return frame == "bytes"
        }
      default: sink.onEnd = { $0.cancel() }
      }
      _ = client.fetch(server.request(ByteRange(0, size), size: size), sink: sink)
      #expect(await sink.ended() == (frame == "end" ? nil : .cancelled))
      #expect(sink.ends.count == 1)
    }
    // The client is as good as new.
    let sink = RecordingSink()
    _ = client.fetch(server.request(ByteRange(0, 100), size: size), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(sink.holds(ByteRange(0, 100)))
  }

  @Test("one fetch may cancel, stop and start others from inside its callbacks")
  @TransferLoop func cancelOthersInside() async {
    let size = size
    let server = ScriptedServer.file(size: size)
    let client = HTTPClient()
    let victims = (0..<4).map { _ in RecordingSink() }
    // The victims are paused in mid-body.
    let fetches = victims.map { victim in
      victim.onBytes = { _, _, _ in false }
      return client.fetch(server.request(ByteRange(0, size), size: size), sink: victim)
    }
    let late = RecordingSink()
    let sink = RecordingSink()
    sink.onBytes = { _, _, offset in
      guard offset == 0 else { return true }
      fetches[0].cancel()
      fetches[1].stop(at: 0)
      victims[2].onBytes = { _, _, _ in true }
      fetches[2].resume()
      victims[3].onBytes = { _, _, _ in true }
      fetches[3].resume()
      _ = client.fetch(server.request(ByteRange(7, 70), size: size), sink: late)
      return true
    }
    _ = client.fetch(server.request(ByteRange(0, size), size: size), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(await late.ended() == nil)
    #expect(await victims[0].ended() == .cancelled)
    #expect(await victims[1].ended() == nil)
    // These may have been resumed before they were paused; then they wait for another.
    for index in 2...3 {
      fetches[index].resume()
      #expect(await victims[index].ended() == nil)
      #expect(victims[index].holds(ByteRange(0, size)))
    }
    #expect(sink.holds(ByteRange(0, size)) && late.holds(ByteRange(7, 70)))
  }

  @Test("the sink can refuse the validator")
  @TransferLoop func refusedValidator() async {
    let server = ScriptedServer.file(size: size)
    let sink = RecordingSink()
    sink.onBegin = { _ in false }
    _ = HTTPClient().fetch(server.request(ByteRange(0, size), size: size), sink: sink)
    #expect(await sink.ended() == .cancelled)
    #expect(sink.bytes.isEmpty)
  }

  @Test(
    "fifty ranges at once arrive right, with no more connections than allowed, and one fetch after another reuses them")
  @TransferLoop func fifty() async {
    let server = ScriptedServer.file(size: size)
    var options = HTTPClient.Options()
    options.maxConnections = 8
    let client = HTTPClient(options: options)
    let part = size / 50
    let sinks = (0..<50).map { _ in RecordingSink() }
    for (index, sink) in sinks.enumerated() {
      _ = client.fetch(server.request(ByteRange(offset: Int64(index) * part, length: part), size: size), sink: sink)
    }
    for (index, sink) in sinks.enumerated() {
      #expect(await sink.ended() == nil)
      #expect(sink.holds(ByteRange(offset: Int64(index) * part, length: part)))
    }
    #expect(server.requests.count == 50 && server.connections <= 8)
  }

  @Test("waiting for a turn is not counted as connecting or standing still")
  @TransferLoop func patienceInLine() async {
    let server = ScriptedServer.file(size: size)
    let clocked = ClockedClient(maxConnections: 1)
    let first = RecordingSink()
    first.onBytes = { _, _, _ in false }
    let holder = clocked.client.fetch(server.request(ByteRange(0, size), size: size), sink: first)
    let second = RecordingSink()
    _ = clocked.client.fetch(server.request(ByteRange(0, 10), size: size), sink: second)
    while !holder.isPaused { await Task.yield() }
    await clocked.letTimeoutsPass()
    #expect(second.ends.isEmpty)
    holder.cancel()
    #expect(await second.ended() == nil)
    #expect(second.holds(ByteRange(0, 10)))
  }

  @Test("an idle client closes its connections and works again afterwards")
  @TransferLoop func idleDrop() async {
    let server = ScriptedServer { request in
      ScriptedServer.serve(request, size: 3 << 20)
    }
    var options = HTTPClient.Options()
    options.keepAlive = .milliseconds(1)
    let client = HTTPClient(options: options)
    for round in 1...3 {
      let sink = RecordingSink()
      _ = client.fetch(server.request(ByteRange(0, 10), size: size), sink: sink)
      #expect(await sink.ended() == nil)
      while client.isHoldingConnections { await Task.yield() }
      #expect(server.connections == round)
    }
  }
}
