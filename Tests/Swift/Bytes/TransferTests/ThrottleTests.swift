import Core
import EventLoop
import Support
import Testing

@testable import Transfer

/// Ranges under a rate limit, over real sockets.
@Suite(.timeLimit(.minutes(10)))
struct ThrottleTests {
  let size: Int64 = 8 << 20
  init() { EventLoop.start() }

  @TransferLoop
  private func client(rate: Int64) -> HTTPClient {
    var options = HTTPClient.Options()
    options.maxDownloadRate = rate
    return HTTPClient(options: options)
  }

  @Test("several ranges together keep to the rate, none is passed over, and every byte is right")
  @TransferLoop func together() async {
    let (size, all) = (size, Gate())
    let server = ScriptedServer { [.wait(all)] + ScriptedServer.serve($0, size: size) }
    let client = client(rate: 4 << 20)
    let sinks = (0..<4).map { _ in RecordingSink() }
    let part: Int64 = 1 << 20
    var leastAtFirstEnd = Int.max
    for (index, sink) in sinks.enumerated() {
      sink.onEnd = { _ in leastAtFirstEnd = min(leastAtFirstEnd, sinks.map(\.bytes.count).min() ?? 0) }
      _ = client.fetch(server.request(ByteRange(offset: Int64(index) * part, length: part), size: size), sink: sink)
    }
    while server.requests.count < 4 { await Task.yield() }
    let started = SystemClock().now()
    all.open()
    for (index, sink) in sinks.enumerated() {
      #expect(await sink.ended() == nil)
      #expect(sink.holds(ByteRange(offset: Int64(index) * part, length: part)))
    }
    // A second's worth, less what the bucket held; how much longer it takes depends on the machine.
    #expect((SystemClock().now() - started).seconds > 0.85)
    // Turns are of time, and each finds different amounts on its socket; but no transfer is passed over.
    #expect(leastAtFirstEnd > 0)
    #expect(!client.isHoldingBack)
  }

  @Test("a range that a reader waits for comes before one that is fetched ahead")
  @TransferLoop func urgentFirst() async {
    let server = ScriptedServer.file(size: size)
    // The clock stands, so the credit of an urgent range is all that moves.
    let clocked = ClockedClient(rate: 1 << 20)
    let client = clocked.client
    let filler = RecordingSink()
    let fetch = client.fetch(server.request(ByteRange(0, size), size: size), sink: filler)
    while !fetch.isHeldBack { await Task.yield() }
    let urgent = RecordingSink()
    var request = server.request(ByteRange(4 << 20, 9 << 19), size: size)
    request.isUrgent = true
    var fillerBytes = 0
    urgent.onBytes = { _, _, offset in
      if offset == 4 << 20 { fillerBytes = filler.bytes.count }
      return true
    }
    _ = client.fetch(request, sink: urgent)
    #expect(await urgent.ended() == nil)
    #expect(urgent.holds(ByteRange(4 << 20, 9 << 19)))
    // Half a second's worth, on credit; the filler has none and stays where it was.
    #expect(filler.bytes.count == fillerBytes)
    fetch.cancel()
    #expect(filler.ends == [.cancelled] && !client.isHoldingBack)
  }

  @Test("what a limit holds back does not time out, and a sink's resume does not let it go")
  @TransferLoop func patience() async {
    let server = ScriptedServer.file(size: size)
    let clocked = ClockedClient(rate: 1 << 20)
    let sink = RecordingSink()
    let fetch = clocked.client.fetch(server.request(ByteRange(0, size), size: size), sink: sink)
    // The clock stands: after what the bucket held nothing more comes.
    while !fetch.isHeldBack { await Task.yield() }
    let held = sink.bytes.count
    #expect(held >= 100 << 10 && held < 140 << 10 && clocked.client.isHoldingBack && !fetch.isPaused)
    fetch.resume()
    try? await Task.sleep(for: .milliseconds(120))
    #expect(sink.bytes.count == held && fetch.isHeldBack)
    await clocked.letTimeoutsPass()
    await sink.received(held + 1)
    #expect(sink.ends.isEmpty)
    fetch.cancel()
    #expect(
      sink.ends == [.cancelled] && !clocked.client.isHoldingBack && sink.holds(ByteRange(0, Int64(sink.bytes.count))))
  }

  @Test("a sink without room and a limit do not lose each other's bytes")
  @TransferLoop func both() async {
    let server = ScriptedServer.file(size: size)
    let client = client(rate: 16 << 20)
    let sinks = (0..<3).map { _ in RecordingSink() }
    let range = ByteRange(0, 2 << 20)
    for sink in sinks {
      var turn = 0
      sink.onBytes = { fetch, _, _ in
        turn += 1
        guard turn % 5 == 0 else { return true }
        if turn % 2 == 0 { fetch.resume() } else { Task { @TransferLoop in fetch.resume() } }
        return false
      }
      var request = server.request(range, size: size)
      request.isUrgent = sink === sinks[0]
      _ = client.fetch(request, sink: sink)
    }
    for sink in sinks {
      #expect(await sink.ended() == nil)
      #expect(sink.holds(range))
    }
    #expect(!client.isHoldingBack)
  }
}
