import CLinux
import ControlModel
import EventLoop
import Glibc
import Support
import Testing

@testable import ControlAPI
@testable import ControlAPIFakes

/// Connections of the API's socket that another server of the process takes over.
@Suite("Connections that are handed over")
struct ConnectionSorterTests {
  private static let prefixes = [["/api/v0/bucket", "/_status/"], ["/other/"]]

  @Test("the first bytes tell whose a connection is, as soon as they can")
  func verdicts() {
    let table: [(String, FirstRequest)] = [
      ("", .undecided), ("G", .undecided), ("GET", .undecided), ("GET ", .undecided), ("GET /", .undecided),
      ("GET /a", .undecided), ("GET /api/v0/bucke", .undecided), ("GET /api/v0/bucket", .adopted(0)),
      ("POST /api/v0/bucket/ls HTTP/1.1\r\n", .adopted(0)), ("PATCH /api/v0/buckets/x/fs?a=b", .adopted(0)),
      ("GET /_status/livez HTTP/1.1\r\n", .adopted(0)), ("GET /other/x", .adopted(1)), ("GET /oth", .undecided),
      ("GET /api/v1", .ours), ("GET /api/v0/m", .ours), ("GET /x", .ours), ("GET  /api/v0/bucket", .ours),
      ("GET http://h/api/v0/bucket", .ours), ("\r\nGET /api/v0/bucket", .ours), ("get /api/v0/bucket", .ours),
      ("ABCDEFGHIJKLMNOP", .ours), ("\u{0}", .ours), ("GET /API/V0/bucket", .ours), ("GET /api/v0/%62ucket", .ours),
    ]
    for (text, verdict) in table {
      #expect(FirstRequest(Array(text.utf8), prefixes: Self.prefixes) == verdict, "\(text)")
    }
    // Each beginning of a request that decides is undecided or says the same.
    let text = Array("DELETE /api/v0/bucket/delete HTTP/1.1".utf8)
    for count in text.indices {
      #expect([.undecided, .adopted(0)].contains(FirstRequest(text[..<count], prefixes: Self.prefixes)))
    }
  }

  /// A server whose other half answers "adopted" to everything and closes.
  private func withServer(_ body: (_ socket: String) async throws -> Void) async throws {
    EventLoop.start()
    let folder = try TestFolder.make("sorter")
    let adopter = ConnectionAdopter(prefixes: Self.prefixes[0]) { descriptor in
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_PEEK))
      let isWhole = bytes.prefix(max(0, count)).starts(with: "GET /api/v0/bucket".utf8)
      // Bytes that are not read would take the answer with them.
      _ = recv(descriptor, &bytes, max(0, count), 0)
      let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n\(isWhole ? 1 : 0)"
      _ = write(descriptor, answer, answer.utf8.count)
      shutdown(descriptor, Int32(SHUT_WR))
      close(descriptor)
    }
    let server = try await ControlServer(
      socket: folder + "/api.sock", web: .closed, groups: await FakeOperations().groups, adopters: [adopter],
      readiness: { Readiness(.serving) }, limits: Listener.Limits(connections: 8))
    do { try await body(folder + "/api.sock") } catch {
      await server.close()
      throw error
    }
    await server.close()
    rmdir(folder)
  }

  private static let bucket = "GET /api/v0/bucket HTTP/1.1\r\nHost: x\r\n\r\n"
  private static let health = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

  private func ask(_ socket: String, _ pieces: [String], pause: Duration = .zero) async -> RawClient.Reply? {
    guard let client = RawClient(socket) else { return nil }
    for piece in pieces {
      if pause > .zero { try? await Task.sleep(for: pause) }
      client.send(piece)
    }
    return client.reply()
  }

  @Test("whole, in pieces and late: a connection goes where its first request belongs, with all its bytes")
  func sorting() async throws {
    try await withServer { socket in
      for _ in 0..<20 {
        #expect(await ask(socket, [Self.bucket])?.body == "1")
        #expect(await ask(socket, [Self.health])?.status == 200)
      }
      let pieces = ["GE", "T /api", "/v0/buc", "ket HTTP/1.1\r\nHost: x\r\n\r\n"]
      #expect(await ask(socket, pieces, pause: .milliseconds(20))?.body == "1")
      #expect(await ask(socket, Self.health.map { String($0) }, pause: .milliseconds(2))?.status == 200)
    }
  }

  @Test("a path of the other server on a connection of ours is answered 421, and ends it")
  func misdirected() async throws {
    try await withServer { socket in
      let first = Self.health.replacing("Connection: close\r\n", with: "")
      let reply = await ask(socket, [first + Self.bucket])
      #expect(reply?.status == 200)
      for text in ["HTTP/1.1 421", "Connection: close", "misdirected"] { #expect(reply?.body.contains(text) == true) }
    }
  }

  @Test("clients that say nothing, half a word or garbage keep nobody out")
  func hostile() async throws {
    try await withServer { socket in
      var idle: [RawClient] = []
      for text in ["", "", "GET /api/v0/b", "GET ", "XXXX", "\u{0}\u{1}\u{2}"] {
        let client = try #require(RawClient(socket))
        client.send(text)
        idle.append(client)
      }
      #expect(await ask(socket, [Self.bucket])?.body == "1")
      #expect(await ask(socket, [Self.health])?.status == 200)
      // A client that goes in the middle of a word harms nobody either.
      RawClient(socket)?.send("GET /api/v0/b")
      #expect(await ask(socket, [Self.bucket])?.body == "1")
      withExtendedLifetime(idle) {}
    }
  }

  @Test("more silent connections than there may be are let go after a while, and the next one gets in")
  func crowd() async throws {
    try await withServer { socket in
      let idle = (0..<9).compactMap { _ in RawClient(socket) }
      #expect(idle.count == 9)
      #expect(await ask(socket, [Self.health])?.status == 200)
      withExtendedLifetime(idle) {}
    }
  }
}
