import CLinux
import ControlClient
import ControlModel
import ControlRoutes
import Core
import EventLoop
import Glibc
import Support
import Synchronization
import Testing

@testable import ControlAPI
@testable import ControlAPIFakes

@Suite("Long lists leave the loop to others", .timeLimit(.minutes(5)))
struct LongListTests {
  init() { EventLoop.start() }

  private static func items(_ count: Int) -> [StagedItem] { (0..<count).map { .example(id: "i\($0)") } }

  private func ids(_ body: String) throws -> [String] {
    try ControlJSON.decode([StagedItem].self, from: Array(body.utf8)).map(\.id)
  }

  /// Counts what the loop did for others when a part of the list is taken.
  private final class Others: Sendable {
    private let counts = Mutex((parts: 0, served: 0, stalled: 0))

    /// Another request is waiting from now on. The one that waited at the part before has to be answered by now.
    func partIsTaken() {
      counts.withLock {
        if $0.served < $0.parts { $0.stalled += 1 }
        $0.parts += 1
      }
      EventLoop.dispatch.post { self.counts.withLock { $0.served += 1 } }
    }
    var parts: Int { counts.withLock { $0.parts } }
    var stalled: Int { counts.withLock { $0.stalled } }
  }

  /// A server with so many items, and others who want the loop while parts of a list are taken.
  private static func watched(_ count: Int, _ body: (Harness, Others) async throws -> Void) async throws {
    try await Harness.run { harness in
      let others = Others()
      await harness.operations.set {
        $0.items = Self.items(count)
        $0.onPart = { others.partIsTaken() }
      }
      try await body(harness, others)
    }
  }

  @Test("a slice that asks for the next one in its own turn gets one turn for it, and the program does not end")
  @DispatchLoop func nextSlice() async {
    var order: [String] = []
    await withCheckedContinuation { continuation in
      SliceTurns.add {
        order.append("first")
        SliceTurns.add { order.append("its next") }
        SliceTurns.add {
          order.append("last")
          continuation.resume()
        }
      }
    }
    // Any turn that was scheduled twice has come by then.
    await SliceTurns.pause()
    await SliceTurns.pause()
    #expect(order == ["first", "its next", "last"])
  }

  @DispatchLoop
  private final class Pieces: BodySource {
    var pieces: [BodyPiece] = [.bytes([]), .bytes([]), .bytes([7, 8, 9]), .bytes([]), .end]
    func piece() -> BodyPiece { pieces.removeFirst() }
    func end() {}
  }

  @Test("an empty piece of a body is passed over; the connection does not wait for a call that nobody makes")
  @DispatchLoop func emptyPieces() {
    let pump = BodyPump(Pieces(), connection: nil, listener: nil)
    var buffer = [UInt8](repeating: 0, count: 2)
    #expect(buffer.withUnsafeMutableBytes { pump.fill($0) } == 2 && buffer == [7, 8])
    #expect(buffer.withUnsafeMutableBytes { pump.fill($0) } == 1 && buffer[0] == 9)
    #expect(buffer.withUnsafeMutableBytes { pump.fill($0) } == -1 && !pump.isWaiting)
  }

  @Test(
    "a listing of thousands of items does not stall lookups",
    arguments: ["/api/v1/staged", "/api/v1/staged?limit=1000"])
  func listing(target: String) async throws {
    try await Self.watched(3000) { harness, others in
      let socket = harness.socket
      let reply = await onThread { RawClient.ask(socket, "GET", target) }
      let count = target.contains("limit") ? 1000 : 3000
      let found = try ids(reply?.body ?? "")
      #expect(found == (0..<count).map { "i\($0)" })
      #expect(others.parts >= count / ListSource.slice)
      #expect(others.stalled == 0)
      #expect(await harness.operations.largestPart <= ListSource.slice)
    }
  }

  @Test("a snapshot for events is taken in slices, and so are many of them at once")
  func snapshots() async throws {
    try await Self.watched(1000) { harness, others in
      let socket = harness.socket
      let texts = await withTaskGroup(of: String.self) { group in
        for _ in 0..<4 {
          group.addTask {
            await onThread {
              guard let client = RawClient(socket) else { return "" }
              client.send("GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
              // To the end of the snapshot; an event that is published once may have come before this client.
              return client.text { $0.contains("event: snapshot") && $0.contains("\n\n") }
            }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      for text in texts { #expect(text.components(of: #""fileId":"f-i"#) == 1000) }
      #expect(others.stalled == 0)
      #expect(await harness.operations.largestPart <= ListSource.slice)
    }
  }

  @Test("a list is followed part by part, though items go meanwhile")
  func parts() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.items = Self.items(25) }
      let socket = harness.socket
      var target = "/api/v1/staged?limit=10"
      var found: [String] = []
      for _ in 0..<3 {
        let this = target
        let reply = try #require(await onThread { RawClient.ask(socket, "GET", this) })
        found += try ids(reply.body)
        guard let link = reply.head.split(separator: "\r\n").first(where: { $0.hasPrefix("Link: ") }) else { break }
        #expect(link.hasSuffix(#">; rel="next""#))
        target = String(link.dropFirst("Link: <".count).prefix { $0 != ">" })
      }
      #expect(found == (0..<25).map { "i\($0)" })
      let after = await onThread { RawClient.ask(socket, "GET", "/api/v1/staged?after=i22") }
      #expect(try ids(after?.body ?? "") == ["i23", "i24"])
      let unknown = await onThread { RawClient.ask(socket, "GET", "/api/v1/staged?after=nobody") }
      #expect(unknown?.status == 404)
      for query in ["limit=0", "limit=1001", "limit=x", "after=@x", "limit=1&limit=2"] {
        let reply = await onThread { RawClient.ask(socket, "GET", "/api/v1/staged?\(query)") }
        #expect([400, 404].contains(reply?.status), "\(query)")
      }
    }
  }

  @Test("the command line's client takes all parts")
  func client() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.items = Self.items(1234) }
      let socket = harness.socket
      let counts = await onThread { () -> [Int] in
        var counts: [Int] = []
        try? SocketClient(socket: socket).staged { body throws(ClientFailure) in
          counts.append(try SocketClient.decode([StagedItem].self, from: body).count)
          return true
        }
        return counts
      }
      #expect(counts == [500, 500, 234])
    }
  }

  @Test("the cache's items come in parts, too")
  func cache() async throws {
    try await Harness.run { harness in
      let socket = harness.socket
      let first = try #require(await onThread { RawClient.ask(socket, "GET", "/api/v1/cache?limit=2") })
      #expect(first.head.contains(#"Link: </api/v1/cache?after=i2&limit=2>; rel="next""#))
      #expect(try ControlJSON.decode(CacheReport.self, from: Array(first.body.utf8)).items.map(\.id) == ["i1", "i2"])
      let second = try #require(await onThread { RawClient.ask(socket, "GET", "/api/v1/cache?after=i2&limit=2") })
      #expect(!second.head.contains("Link:"))
      #expect(try ControlJSON.decode(CacheReport.self, from: Array(second.body.utf8)).items.map(\.id) == ["i3"])
      #expect(await onThread { RawClient.ask(socket, "GET", "/api/v1/cache?after=nobody") }?.status == 404)
    }
  }

  @Test("a client that leaves in the middle of a list, and a stop in the middle of one, harm nobody")
  func leaving() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.items = Self.items(5000) }
      let socket = harness.socket
      await onThread {
        let client = RawClient(socket)
        client?.request("GET", "/api/v1/staged")
        _ = client?.piece()
      }
      #expect(await onThread { RawClient.ask(socket, "GET", "/api/v1/status") }?.status == 200)
      // Takes a piece, and no more.
      nonisolated(unsafe) let stuck = try #require(RawClient(socket))
      stuck.request("GET", "/api/v1/staged")
      _ = await onThread { stuck.piece() }
      await harness.server.close(grace: .milliseconds(10))
    }
  }

  // MARK: The socket

  @Test("a control plane whose socket was removed binds it again, and connections that stand go on")
  func removed() async throws {
    try await Harness.run { harness in
      let socket = harness.socket
      nonisolated(unsafe) let before = try #require(RawClient(socket))
      #expect(unlink(socket) == 0)
      #expect(RawClient(socket) == nil)
      await harness.server.restore()
      #expect(await onThread { RawClient.ask(socket, "GET", "/api/v1/status") }?.status == 200)
      #expect(
        await onThread {
          before.request("GET", "/api/v1/status")
          return before.reply()
        }?.status == 200)
      // Nothing to do.
      await harness.server.restore()
      #expect(await onThread { RawClient.ask(socket, "GET", "/api/v1/status") }?.status == 200)
    }
    #expect(
      RuntimeHolder.locker(
        of: 99, device: 0x1a,
        in: "1: POSIX ADVISORY WRITE 7 00:1a:99 0 EOF\n2: FLOCK  ADVISORY  WRITE 8 00:1a:99 0 EOF\n") == 8)
    #expect(
      RuntimeHolder.locker(
        of: 99, device: 0x1a,
        in: "2: -> FLOCK  ADVISORY  WRITE 8 00:1a:99 0 EOF\n3: FLOCK ADVISORY WRITE 9 00:1a:98 0 EOF\n") == nil)
  }

  @Test("a folder that is held is found by the kernel's table, without its files")
  func holder() throws {
    let folder = try TestFolder.make("held")
    defer { rmdir(folder) }
    #expect(RuntimeHolder.pid(of: folder) == nil)
    let descriptor = clinux_open(folder, O_RDONLY | O_DIRECTORY, 0)
    defer { close(descriptor) }
    try #require(flock(descriptor, LOCK_EX) == 0)
    #expect(RuntimeHolder.pid(of: folder) == getpid())
  }

  @Test("past its limit a listener takes connections again as soon as one has gone")
  func limit() async throws {
    try await Harness.run(limits: Listener.Limits(connections: 8, idleSeconds: 600)) { harness in
      let socket = harness.socket
      nonisolated(unsafe) let open = OpenClients()
      await onThread {
        for _ in 0..<8 {
          guard let client = RawClient(socket) else { return }
          client.send("GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
          _ = client.piece()
          open.clients.append(client)
        }
      }
      #expect(open.clients.count == 8)
      nonisolated(unsafe) let waiting = try #require(RawClient(socket))
      waiting.request("GET", "/api/v1/status")
      open.clients.removeFirst()
      #expect(await onThread { waiting.reply() }?.status == 200)
    }
  }

  /// Connections that are held.
  private final class OpenClients { var clients: [RawClient] = [] }

  @Test("listeners to the events leave connections for other requests")
  func listeners() async throws {
    try await Harness.run(limits: Listener.Limits(connections: 8, idleSeconds: 600)) { harness in
      let socket = harness.socket
      nonisolated(unsafe) let heard = OpenClients()
      await onThread {
        for _ in 0..<6 {
          guard let client = RawClient(socket) else { return }
          client.send("GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
          _ = client.text { $0.contains("event: snapshot") }
          heard.clients.append(client)
        }
      }
      let refused = try #require(await onThread { RawClient.ask(socket, "GET", "/api/v1/events") })
      #expect(refused.status == 503)
      #expect(refused.body.contains(#""code":"busy""#))
      #expect(await onThread { RawClient.ask(socket, "GET", "/api/v1/status") }?.status == 200)
      heard.clients = []
    }
  }
}
