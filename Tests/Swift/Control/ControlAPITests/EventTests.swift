import ControlClient
import ControlModel
import ControlRoutes
import Core
import EventLoop
import Glibc
import Staging
import Support
import Synchronization
import Testing

@testable import ControlAPI
@testable import ControlAPIFakes
@testable import Daemon

@Suite("The API's events", .timeLimit(.minutes(10)))
struct EventTests {
  /// Returns the events that a client hears from a harness, until `isEnough`.
  private func hear(
    _ harness: Harness, headers: String = "", query: String = "", until isEnough: @escaping @Sendable (String) -> Bool
  ) async -> String {
    let socket = harness.socket
    return await onThread {
      guard let client = RawClient(socket) else { return "" }
      client.send("GET /api/v1/events\(query) HTTP/1.1\r\nHost: x\r\n\(headers)\r\n")
      return client.text(until: isEnough)
    }
  }

  private func ids(_ text: String) -> [String] {
    text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("id: ") }.map { String($0.dropFirst(4)) }
  }

  @Test("a stream begins with a snapshot, goes on with what changes, and comes back where it was")
  func stream() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.items = [.example(id: "i1")] }
      let first = await hear(harness) { $0.contains("event: cache") }
      #expect(first.contains("Content-Type: text/event-stream"))
      let names = first.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("event: ") }
      #expect(names.first == "event: snapshot")
      #expect(first.contains(#""id":"i1""#))

      // The change falls into a time without clients: a client that comes back with its last number hears it, and no
      // snapshot.
      await harness.operations.set {
        $0.nextLook = ItemChanges(changed: [.example(id: "i2", name: "new.mp4")], gone: ["i1"])
      }
      let last = try #require(ids(first).last)
      let second = await hear(harness, headers: "Last-Event-ID: \(last)\r\n") { $0.contains("new.mp4") }
      #expect(!second.contains("event: snapshot"))
      #expect(second.contains(#"{"id":"i1"}"#))
      // The same by the query, for clients that cannot set a header; twice the same is told.
      let third = await hear(harness, query: "?last_event_id=\(last)") { $0.contains("new.mp4") }
      #expect(!third.contains("event: snapshot"))
      // A number of another process begins anew.
      let fourth = await hear(harness, headers: "Last-Event-ID: 1234-7\r\n") { $0.contains("event: snapshot") }
      #expect(fourth.contains("event: snapshot"))
    }
  }

  @Test("what fails is told once, as a notice")
  func notices() async throws {
    try await Harness.run { harness in
      await harness.operations.set { operations in
        operations.items = []
        // Told with the second look: the first makes the snapshot.
        operations.looks = [
          ItemChanges(changed: [], gone: []), ItemChanges(changed: [.example(id: "i1", failure: "it broke")], gone: []),
          ItemChanges(changed: [.example(id: "i1", bytesFetched: 1, failure: "it broke")], gone: []),
        ]
      }
      let text = await hear(harness) { $0.components(of: "event: item\n") >= 2 }
      #expect(text.components(of: "event: notice") == 1)
      #expect(text.contains(#""code":"item_failed""#))
      #expect(text.contains("video.mp4: it broke"))
    }
  }

  @Test("fifty clients hear the same, and a stop ends their streams")
  func many() async throws {
    try await Harness.run { harness in
      let socket = harness.socket
      let heard = Shared(0)
      await withTaskGroup(of: String.self) { group in
        for _ in 0..<50 {
          group.addTask {
            await onThread {
              guard let client = RawClient(socket) else { return "" }
              client.send("GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
              _ = client.text { $0.contains("event: snapshot") }
              heard.value.withLock { $0 += 1 }
              // To the end of the connection.
              return client.text { _ in false }
            }
          }
        }
        while heard.value.withLock({ $0 }) < 50 { try? await Task.sleep(for: .milliseconds(10)) }
        await harness.operations.set { $0.nextLook = ItemChanges(changed: [.example(id: "for-all")], gone: []) }
        while await harness.server.hub.next < 4 { try? await Task.sleep(for: .milliseconds(10)) }
        try? await Task.sleep(for: .milliseconds(300))
        await harness.server.close()
        var count = 0
        for await text in group where text.contains("for-all") { count += 1 }
        #expect(count == 50)
      }
    }
  }

  @Test("a client that takes nothing costs nothing, and catches up by a snapshot")
  func slow() async throws {
    // However slow the test is: a client that takes nothing for ten seconds is cut, which is not what this is about.
    try await Harness.run(idleSeconds: 600) { harness in
      await harness.operations.set { $0.items = [.example(id: "i1")] }
      // Its socket is one thread's at a time.
      nonisolated(unsafe) let slow = try #require(RawClient(harness.socket))
      slow.send("GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
      // The first one to its end: a client whose snapshot is still being made when too much has happened gets another
      // one.
      let first = await onThread { slow.text { $0.contains("event: snapshot") && $0.hasSuffix("\n\n\r\n") } }
      #expect(first.components(of: "event: snapshot") == 1)
      // Far more than sockets and memory of the hub hold.
      let name = String(repeating: "x", count: 100_000)
      for number in 0..<300 {
        await publish(.example(id: "n\(number)", name: name), to: harness.server)
      }
      #expect(await harness.server.hub.remembered <= 5 << 20)
      #expect(RawClient.ask(harness.socket, "GET", "/api/v1/status")?.status == 200)
      let text = await onThread { slow.text { $0.contains("event: snapshot") } }
      #expect(text.components(of: "event: snapshot") == 1, "it was let forget what it missed")
    }
  }

  @DispatchLoop private func publish(_ item: StagedItem, to server: ControlServer) {
    EventSink { server.hub.publish($0, $1) }.publish(.item(item))
    server.hub.flush()
  }

  @Test("the client's stream outlives its server")
  func follow() async throws {
    let harness = try await Harness()
    let socket = harness.socket
    let events = Shared<[String]>([])
    let stop = Shared(false)
    async let following: Void = onThread {
      guard let client = try? SocketClient(socket: socket) else { return }
      var stream = EventStream(client)
      stream.follow { sign in
        switch sign {
        case .event(let event): events.value.withLock { $0.append(event.name) }
        case .lost: events.value.withLock { if $0.last != "lost" { $0.append("lost") } }
        case .quiet: break
        }
        return !stop.value.withLock { $0 }
      }
    }
    func wait(for name: String, count: Int) async throws {
      while events.value.withLock({ $0.count { $0 == name } }) < count { try await Task.sleep(for: .milliseconds(10)) }
    }
    try await wait(for: "snapshot", count: 1)
    await harness.server.close()
    try await wait(for: "lost", count: 1)
    let second = try await ControlServer(socket: socket, web: .closed, operations: harness.operations)
    try await wait(for: "snapshot", count: 2)
    stop.value.withLock { $0 = true }
    await following
    await second.close()
    await harness.close()
  }
}

extension RawClient {
  /// The text that comes until `isEnough`, or the end of the connection.
  func text(until isEnough: (String) -> Bool) -> String {
    var text = ""
    while !isEnough(text) {
      guard let more = piece() else { break }
      text += more
    }
    return text
  }
}

/// On a thread of its own: the pool's are too few to wait on.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
  await withCheckedContinuation { continuation in startThread { continuation.resume(returning: body()) } }
}

/// A value that a test and its tasks share.
private final class Shared<Value: Sendable>: Sendable {
  let value: Mutex<Value>
  init(_ value: Value) { self.value = Mutex(value) }
}

extension String {
  /// How often a part is in it.
  func components(of part: String) -> Int { ranges(of: part).count }
}

@Suite("Times of reads for the events")
struct ReadTimesTests {
  private let limits: [UInt64] = [1000, 2000, 4000, 1_000_000, 16_000_000_000]

  @Test("the difference of two looks, by powers of two of a microsecond")
  func difference() throws {
    let before = ReadTimes(limits: limits, counts: [5, 0, 0, 10, 0])
    let now = ReadTimes(limits: limits, counts: [5, 1, 2, 110, 1])
    let event = try #require(now.since(before))
    #expect(event.count == 104)
    #expect(event.counts.count == LatencyEvent.buckets)
    #expect(event.counts.reduce(0, +) == 104)
    // Up to 2 us, up to 4, up to a millisecond, and all beyond the last.
    #expect(event.counts[0] == 1 && event.counts[1] == 2 && event.counts[9] == 100 && event.counts[23] == 1)
    #expect(event.p50us == 1000 && event.p99us == 1000)
  }

  @Test("nothing read, or counters that began anew, tell nothing")
  func nothing() {
    let times = ReadTimes(limits: limits, counts: [1, 2, 3, 4, 5])
    #expect(times.since(times) == nil)
    #expect(ReadTimes(limits: limits, counts: [0, 0, 0, 1, 0]).since(times) == nil)
  }
}
