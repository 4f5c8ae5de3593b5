import CLinux
import ControlModel
import Core
import EventLoop
import Glibc
import MediaHub
import Staging
import Support
import Testing

@testable import ControlAPI
@testable import ControlAPIFakes

@Suite("The API's server", .timeLimit(.minutes(10)))
struct ControlServerTests {
  @Test("every route reaches its operation and answers with its status")
  func routes() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.items = [.example(id: "i1")] }
      let requests: [(String, String, String?, Int)] = [
        ("GET", "/api/v1/status", nil, 200),
        ("GET", "/api/v1/jobs?search=a%20b&start=5&limit=6", nil, 200),
        ("GET", "/api/v1/staged", nil, 200),
        ("POST", "/api/v1/staged", #"{"file":"f","recipient":"a/b & ü"}"#, 201),
        ("POST", "/api/v1/staged", #"{"file":"g","recipient":"a","warm":true}"#, 201),
        ("PATCH", "/api/v1/staged/i1", #"{"pinned":true}"#, 200),
        ("PATCH", "/api/v1/staged?path=/mnt/x/Staged/i1/video.mp4", #"{"pinned":false}"#, 200),
        ("GET", "/api/v1/cache", nil, 200),
        ("DELETE", "/api/v1/cache", nil, 200),
        ("DELETE", "/api/v1/staged/i1", nil, 200),
        ("DELETE", "/api/v1/staged?path=/mnt/x/Staged/i1/video.mp4", nil, 200),
        ("DELETE", "/api/v1/staged", nil, 200),
        ("GET", "/api/v1/trace", nil, 200),
        ("GET", "/api/v1/staged/i1", nil, 200),
        ("GET", "/api/v1/staged/i2", nil, 404),
        ("GET", "/api/v1/jobs/j1", nil, 404),
        ("GET", "/api/v1/recipients", nil, 200),
        ("GET", "/api/v1/config", nil, 200),
        ("POST", "/api/v1/shim/restart", nil, 200),
        ("POST", "/api/v1/shim/kill", nil, 200),
        ("POST", "/api/v1/stop", #"{"forget":true}"#, 202),
      ]
      for (method, target, body, status) in requests {
        let reply = RawClient.ask(harness.socket, method, target, body: body)
        #expect(reply?.status == status, "\(method) \(target)")
        #expect(reply?.head.contains("application/json") == true)
      }
      #expect(
        await harness.operations.asked == [
          "status", "jobs a b 5 6", "staged", "stage f for a/b & ü", "stage g for a, warm", "pin i1",
          "unpin /mnt/x/Staged/i1/video.mp4", "cache", "clear cache", "unstage i1",
          "unstage /mnt/x/Staged/i1/video.mp4", "unstage all",
          "trace", "item i1", "item i2", "job j1", "recipients", "config", "shim restart", "shim kill",
          "stop true",
        ])
    }
  }

  @Test("an image is replaced after the answer to the reload has gone out, and not where the reload was refused")
  func reload() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.thrown = ControlError(.failed, "another protocol") }
      let refused = try #require(RawClient.ask(harness.socket, "POST", "/api/v1/reload"))
      #expect(refused.status == 500)
      #expect(refused.body.contains("another protocol"))
      await harness.operations.set { $0.thrown = nil }
      let accepted = try #require(RawClient.ask(harness.socket, "POST", "/api/v1/reload"))
      #expect(accepted.status == 202)
      #expect(RawClient.ask(harness.socket, "GET", "/api/v1/status")?.status == 200)
      #expect(await harness.operations.asked == ["reload", "reload", "replace image", "status"])
    }
  }

  @Test("a client that leaves before its answer does not hold up the reload")
  func hastyReload() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.held = "reload" }
      do {
        let client = try #require(RawClient(harness.socket))
        client.send("POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        await harness.operations.held(1)
      }
      await harness.operations.release()
      await harness.operations.imageReplaced()
    }
  }

  @Test("an answer's body is the operation's JSON")
  func body() async throws {
    try await Harness.run { harness in
      let reply = try #require(RawClient.ask(harness.socket, "GET", "/api/v1/status"))
      #expect(Array(reply.body.utf8) == (try ControlJSON.encode(ControlStatus.example)))
    }
  }

  @Test("wrong requests are answered with JSON, a code and a status, and reach no operation")
  func wrong() async throws {
    try await Harness.run { harness in
      let requests: [(String, String, String?, Int, String)] = [
        ("GET", "/api/v1/nothing", nil, 404, "no_such_route"),
        ("GET", "/", nil, 404, "no_such_route"),
        ("GET", "/login?code=00", nil, 404, "no_such_route"),
        ("PUT", "/api/v1/log", #"{"level":"loud"}"#, 400, "invalid"),
        ("PUT", "/api/v1/staged", "{}", 405, "method_not_allowed"),
        ("POST", "/api/v1/staged", nil, 400, "invalid"),
        ("POST", "/api/v1/staged", "not json", 400, "invalid"),
        ("POST", "/api/v1/staged", #"{"file":"f"}"#, 400, "invalid"),
        ("POST", "/api/v1/staged", #"{"file":7,"recipient":"a"}"#, 400, "invalid"),
        ("POST", "/api/v1/staged", #"{"file":"f","recipient":""}"#, 400, "invalid"),
        ("POST", "/api/v1/staged", #"{"file":"","recipient":"a"}"#, 400, "invalid"),
        ("POST", "/api/v1/staged", #"{"file":"f","recipient":"a","warm":1}"#, 400, "invalid"),
        ("PATCH", "/api/v1/staged/i1", nil, 400, "invalid"),
        ("PATCH", "/api/v1/staged/i1", #"{"pinned":"yes"}"#, 400, "invalid"),
        ("POST", "/api/v1/staged", String(repeating: "[", count: 60_000), 400, "invalid"),
        ("POST", "/api/v1/stop", #"{"forget":"yes"}"#, 400, "invalid"),
        ("DELETE", "/api/v1/staged/", nil, 404, "no_such_route"),
        ("GET", "/api/v1/jobs?limit=0", nil, 400, "invalid"),
      ]
      for (method, target, body, status, code) in requests {
        let reply = try #require(RawClient.ask(harness.socket, method, target, body: body), "\(method) \(target)")
        #expect(reply.status == status, "\(method) \(target)")
        #expect(try ControlJSON.decode(ControlErrorBody.self, from: Array(reply.body.utf8)).error.code == code)
      }
      let wrongMethod = RawClient.ask(harness.socket, "PUT", "/api/v1/staged")
      #expect(wrongMethod?.head.contains("Allow: GET, POST, DELETE") == true)
      #expect(await harness.operations.asked == [])
    }
  }

  @Test("a body of 64 KiB is taken, a larger one is answered with 413")
  func large() async throws {
    try await Harness.run { harness in
      func body(_ size: Int) -> String {
        let frame = #"{"file":"f","recipient":""}"#
        return frame.dropLast(2) + String(repeating: "a", count: size - frame.utf8.count) + #""}"#
      }
      #expect(RawClient.ask(harness.socket, "POST", "/api/v1/staged", body: body(64 << 10))?.status == 201)
      for size in [(64 << 10) + 1, 200_000, 900_000] {
        let reply = try #require(RawClient.ask(harness.socket, "POST", "/api/v1/staged", body: body(size)), "\(size)")
        #expect(reply.status == 413)
        #expect(reply.body.contains("too_large"))
      }
      // Announced, not sent: answered before it comes.
      let client = try #require(RawClient(harness.socket))
      client.send("POST /api/v1/staged HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
      #expect(client.reply()?.status == 413)
      #expect(await harness.operations.asked.count == 1)
    }
  }

  @Test("a body in chunks is cut off where it never ends")
  func endless() async throws {
    try await Harness.run { harness in
      let client = try #require(RawClient(harness.socket))
      client.send("POST /api/v1/staged HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
      let chunk = "8000\r\n" + String(repeating: "a", count: 0x8000) + "\r\n"
      var sent = 0
      while sent < 4096, client.send(chunk) { sent += 1 }
      #expect(sent < 4096)
      #expect(RawClient.ask(harness.socket, "GET", "/api/v1/status")?.status == 200)
    }
  }

  @Test("bytes that are no HTTP harm nobody")
  func garbage() async throws {
    try await Harness.run { harness in
      for bytes in [
        [0, 1, 2, 3, 13, 10, 13, 10], Array("GET\r\n\r\n".utf8), Array("GET /api/v1/\u{ff} HTTP/1.1\r\n\r\n".utf8),
        [0x16, 3, 1, 2, 0],
      ] {
        let client = try #require(RawClient(harness.socket))
        client.send(bytes.map { UInt8($0) })
      }
      let notText = try #require(RawClient(harness.socket))
      notText.send(
        Array("GET /api/v1/".utf8) + [0xff, 0xfe] + Array(" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".utf8))
      #expect(notText.reply()?.status == 400)
      #expect(RawClient.ask(harness.socket, "GET", "/api/v1/status")?.status == 200)
    }
  }

  @Test("operations that take long hold up nobody else, and are answered when they end")
  func suspended() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.held = "stage " }
      let waiting = try (0..<20).map { index in
        let client = try #require(RawClient(harness.socket))
        client.request("POST", "/api/v1/staged", body: #"{"file":"f\#(index)","recipient":"a"}"#)
        return client
      }
      await harness.operations.held(20)
      #expect(RawClient.ask(harness.socket, "GET", "/api/v1/status")?.status == 200)
      await harness.operations.release()
      for (index, client) in waiting.enumerated() {
        let reply = client.reply()
        #expect(reply?.status == 201)
        #expect(reply?.body.contains("\"id\":\"f\(index)\"") == true)
      }
    }
  }

  @Test("a client that leaves while its operation runs harms nobody")
  func leaves() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.held = "jobs" }
      var leaving = try (0..<10).map { _ in
        let client = try #require(RawClient(harness.socket))
        client.request("GET", "/api/v1/jobs")
        return client
      }
      await harness.operations.held(10)
      leaving.removeAll()
      await harness.operations.release()
      #expect(RawClient.ask(harness.socket, "GET", "/api/v1/status")?.status == 200)
    }
  }

  @Test("a hundred connections at once are all answered")
  func hundred() async throws {
    try await Harness.run { harness in
      let clients = try (0..<100).map { _ in try #require(RawClient(harness.socket)) }
      for client in clients { client.request("GET", "/api/v1/status") }
      for client in clients { #expect(client.reply()?.status == 200) }
    }
  }

  @Test("several requests on one connection are answered in order")
  func keptAlive() async throws {
    try await Harness.run { harness in
      let client = try #require(RawClient(harness.socket))
      let stage = #"{"file":"f","recipient":"a"}"#
      client.send("GET /api/v1/recipients HTTP/1.1\r\nHost: x\r\n\r\n")
      client.send("POST /api/v1/staged HTTP/1.1\r\nHost: x\r\nContent-Length: \(stage.utf8.count)\r\n\r\n\(stage)")
      client.request("GET", "/api/v1/status")
      let reply = try #require(client.reply())
      #expect(reply.status == 200)
      #expect(reply.body.hasPrefix(#"["alice","b & <c>"]HTTP/1.1 201"#))
      #expect(await harness.operations.asked == ["recipients", "stage f for a", "status"])
    }
  }

  @Test("clients that begin a request and go silent are let go, and hold up nobody meanwhile")
  func halfOpen() async throws {
    try await Harness.run(idleSeconds: 1) { harness in
      let silent = try (0..<20).map { _ in
        let client = try #require(RawClient(harness.socket))
        client.send("POST /api/v1/staged HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        return client
      }
      #expect(RawClient.ask(harness.socket, "GET", "/api/v1/status")?.status == 200)
      for client in silent { #expect(client.isEndedByServer()) }
      #expect(await harness.operations.asked == ["status"])
    }
  }

  @Test("HEAD is GET without a body")
  func head() async throws {
    try await Harness.run { harness in
      let reply = RawClient.ask(harness.socket, "HEAD", "/api/v1/status")
      #expect(reply?.status == 200)
      #expect(reply?.body == "")
    }
  }

  // MARK: The socket's owner

  @Test("the socket is its owner's alone, and only its owner and root are answered")
  func owner() async throws {
    try await Harness.run { harness in
      var attributes = stat()
      #expect(lstat(harness.socket, &attributes) == 0)
      #expect(attributes.st_mode & 0o777 == 0o600)
      #expect(PeerFilter.accepts(peer: geteuid()))
      #expect(PeerFilter.accepts(peer: 0))
      #expect(!PeerFilter.accepts(peer: geteuid() + 1))
    }
  }

  @Test("another user who got at the socket is answered with 403", .enabled(if: geteuid() == 0))
  func stranger() async throws {
    try await Harness.run { harness in
      chmod(harness.folder, 0o755)
      chmod(harness.socket, 0o666)
      let result = Child.run(
        "/usr/bin/setpriv",
        [
          "--reuid=65534", "--clear-groups", "/usr/bin/curl", "-s", "--unix-socket", harness.socket,
          "http://x/api/v1/status",
        ])
      #expect(result.output.contains(#""code":"forbidden""#))
      #expect(await harness.operations.asked == [])
    }
  }

  @Test("a second server on the same socket is refused and leaves the first one unharmed")
  func second() async throws {
    try await Harness.run { harness in
      await #expect(throws: ControlServer.Failure.self) {
        _ = try await ControlServer(socket: harness.socket, web: .closed, operations: FakeOperations())
      }
      #expect(RawClient.ask(harness.socket, "GET", "/api/v1/status")?.status == 200)
    }
  }

  @Test("a dead process's socket is replaced, a file is not")
  func stale() async throws {
    try await Harness.run { harness in
      let path = harness.folder + "/stale.sock"
      Glibc.close(clinux_listen(path))
      let server = try await ControlServer(socket: path, web: .closed, operations: harness.operations)
      #expect(RawClient.ask(path, "GET", "/api/v1/status")?.status == 200)
      await server.close()
      #expect(access(path, F_OK) != 0)

      Glibc.close(clinux_open(path, O_CREAT | O_WRONLY, 0o600))
      await #expect(throws: ControlServer.Failure.self) {
        _ = try await ControlServer(socket: path, web: .closed, operations: harness.operations)
      }
      #expect(access(path, F_OK) == 0)
      unlink(path)
    }
  }

  @Test("a socket that is made meanwhile does not take a folder its rights")
  func modes() async throws {
    let folder = try TestFolder.make("modes")
    defer { rmdir(folder) }
    async let sockets = OwnThread.run {
      Set(
        (0..<5000).map { _ in
          Glibc.close(clinux_listen(folder + "/socket"))
          defer { unlink(folder + "/socket") }
          return Self.rights(folder + "/socket")
        })
    }
    async let folders = OwnThread.run {
      Set(
        (0..<5000).map { _ in
          mkdir(folder + "/folder", 0o700)
          defer { rmdir(folder + "/folder") }
          return Self.rights(folder + "/folder")
        })
    }
    #expect(await sockets == [0o600])
    #expect(await folders == [0o700])
  }

  private static func rights(_ path: String) -> mode_t? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode & 0o777 : nil
  }

  @Test("a path too long for a socket is told as that")
  func long() async throws {
    EventLoop.start()
    let path = "/tmp/" + String(repeating: "x", count: 120)
    do {
      _ = try await ControlServer(socket: path, web: .closed, operations: FakeOperations())
      Issue.record("was accepted")
    } catch {
      guard case .failed(let sentence) = error else { throw error }
      #expect(sentence.contains("too long"))
    }
  }

  // MARK: The end

  @Test("after an accepted stop its answer goes out, and later requests are told that it stops")
  func stopping() async throws {
    try await Harness.run { harness in
      let reply = try #require(RawClient.ask(harness.socket, "POST", "/api/v1/stop"))
      #expect(reply.status == 202)
      #expect(reply.body == #"{"pid":\#(getpid())}"#)
      let later = RawClient.ask(harness.socket, "GET", "/api/v1/status")
      #expect(later?.status == 503)
      #expect(later?.body.contains(#""code":"stopping""#) == true)
      #expect(await harness.operations.asked == ["stop false"])
    }
  }

  @Test("closing answers those whose operation does not end, removes the socket, and may be repeated")
  func close() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.held = "jobs" }
      let client = try #require(RawClient(harness.socket))
      client.request("GET", "/api/v1/jobs")
      await harness.operations.held(1)
      await harness.server.close(grace: .milliseconds(20))
      #expect(client.reply()?.status == 503)
      #expect(access(harness.socket, F_OK) != 0)
      await harness.server.close()
      // The operation ends after its server: nothing to answer any more.
      await harness.operations.release()
      #expect(RawClient(harness.socket) == nil)
    }
  }

  @Test("closing waits for an answer that comes within the grace")
  func closeWaits() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.held = "jobs" }
      let client = try #require(RawClient(harness.socket))
      client.request("GET", "/api/v1/jobs")
      await harness.operations.held(1)
      async let closed: Void = harness.server.close(grace: .seconds(60))
      await harness.operations.release()
      await closed
      #expect(client.reply()?.status == 200)
    }
  }
}
