import CLinux
import ControlModel
import Core
import EventLoop
import Glibc
import Support
import Testing

@testable import ControlAPI
@testable import ControlAPIFakes

/// The listener on 127.0.0.1 with its real limits but their times, by bytes on a real socket.
@Suite("The listener on 127.0.0.1", .timeLimit(.minutes(10)), .serialized)
struct WebListenerTests {
  private func withWeb(
    _ opening: WebOptions.Opening = .onDemand, clients: WebClients.Limits = WebClients.Limits(),
    _ body: (WebHarness) async throws -> Void
  ) async throws {
    let harness = try await WebHarness(opening, clients: clients)
    do { try await body(harness) } catch {
      await harness.close()
      throw error
    }
    await harness.close()
  }

  @Test("nobody listens before somebody asks for the page; from then on its link opens it, once")
  func login() async throws {
    try await withWeb { harness in
      #expect(await harness.server.webAddress == nil)
      let link = try await harness.login()
      #expect(await harness.server.webAddress == "http://127.0.0.1:\(link.port)")
      let target = "/login?code=\(link.code)"
      // HEAD leaves the link good.
      #expect(link.ask("HEAD", target)?.status == 200)
      let entered = try #require(link.ask("GET", target))
      #expect(entered.status == 200 && entered.body.contains("url=/"))
      let cookie = try #require(entered.header("Set-Cookie")?.split(separator: ";").first.map(String.init))
      #expect(link.ask("GET", "/api/v1/status", "Cookie: \(cookie)")?.status == 200)
      #expect(link.ask("GET", "/", "Cookie: \(cookie)")?.body == "the page")
      #expect(link.ask("GET", "/assets/open.css")?.body == "open")
      #expect(link.ask("GET", "/assets/main.js")?.status == 401)
      #expect(link.ask("GET", "/assets/main.js", "Cookie: \(cookie)")?.body == "code")
      for target in [target, "/login?code=", "/login", "/login?code=\(String(repeating: "0", count: 32))"] {
        let again = try #require(link.ask("GET", target))
        #expect(again.status == 401 && again.body == "signed out" && again.header("Set-Cookie") == nil, "\(target)")
      }
      #expect(link.ask("GET", "/")?.body == "signed out")
    }
  }

  @Test("two who ask at the same time get a link each, to the same listener")
  func together() async throws {
    try await withWeb { harness in
      let socket = harness.socket
      async let one = WebHarness.login(socket)
      async let other = WebHarness.login(socket)
      let (first, second) = (try await one, try await other)
      #expect(first.port == second.port && first.code != second.code)
      #expect(first.ask("GET", "/login?code=\(second.code)")?.status == 200)
      #expect(first.ask("GET", "/login?code=\(first.code)")?.status == 200)
    }
  }

  @Test("where the configuration says so there is no listener, and whoever asks is told why")
  func never() async throws {
    try await withWeb(.never) { harness in
      await harness.server.openWebAtStart()
      let reply = RawClient.ask(harness.socket, "POST", "/api/v1/login")
      #expect(reply?.status == 403 && reply?.body.contains("web = false") == true)
      #expect(await harness.server.webAddress == nil && access(harness.folder + "/api.token", F_OK) != 0)
    }
  }

  @Test("a listener that was open once is open from the next start on, at the same port and with the same token")
  func again() async throws {
    try await withWeb { harness in
      await harness.server.openWebAtStart()
      #expect(await harness.server.webAddress == nil, "nobody ever asked")
      let link = try await harness.login()
      let token = try #require(harness.token)
      await harness.server.close()
      try await harness.restart()
      await harness.server.openWebAtStart()
      #expect(await harness.server.webAddress == "http://127.0.0.1:\(link.port)")
      #expect(harness.token == token)
      #expect(link.ask("GET", "/api/v1/status", "Authorization: Bearer \(token)")?.status == 200)
    }
  }

  @Test("a port that is taken is told where it was asked for, and another one where it was only the last")
  func taken() async throws {
    try await withWeb { harness in
      var port: UInt16 = 0
      let other = clinux_listen_loopback(0, &port)
      defer { Glibc.close(other) }
      #expect(SmallFile(path: harness.folder + "/web.port").write("\(port)") == nil)
      let link = try await harness.login()
      #expect(link.port != Int(port) && SmallFile(path: harness.folder + "/web.port").read() == "\(link.port)")
      let result = WebEndpoint.make(in: harness.folder, port: Int(port))
      guard case .failure(let error) = result else {
        Issue.record("\(result)")
        return
      }
      #expect(error.message.contains("\(port)") && error.message.contains("web_port"))
    }
  }

  @Test("the token is its owner's alone; what others could read, or is none, is replaced")
  func tokenFile() throws {
    let folder = try TestFolder.make("token")
    defer { remove(folder) }
    let path = folder + "/api.token"
    func made() throws -> (token: String, notes: [String]) {
      let endpoint = try WebEndpoint.make(in: folder, port: 0).get()
      Glibc.close(endpoint.descriptor)
      return (endpoint.token.reveal(), endpoint.notes)
    }
    let first = try made()
    #expect(first.token.utf8.count == 64 && first.notes == [])
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o7777 == 0o600)
    let second = try made()
    #expect(second.token == first.token && second.notes == [])
    chmod(path, 0o644)
    let third = try made()
    #expect(third.token != first.token && third.notes.contains { $0.contains(path) })
    #expect(stat(path, &status) == 0 && status.st_mode & 0o7777 == 0o600)
    for text in ["", "short", String(repeating: "Z", count: 64), String(repeating: "a", count: 65)] {
      #expect(SmallFile(path: path).write(text) == nil)
      #expect(try made().token.utf8.allSatisfy { $0 != UInt8(ascii: "Z") })
      #expect(SmallFile(path: path).read()?.utf8.count == 64)
    }
    // A symbolic link to another file is not followed, and the file not changed.
    let elsewhere = folder + "/elsewhere"
    #expect(SmallFile(path: elsewhere).write(first.token) == nil)
    unlink(path)
    symlink(elsewhere, path)
    #expect(try made().token != first.token)
    #expect(SmallFile(path: elsewhere).read() == first.token)
  }

  private func remove(_ folder: String) {
    for name in ["api.token", "web.port", "elsewhere"] { unlink("\(folder)/\(name)") }
    rmdir(folder)
  }

  // MARK: Broken and slow clients

  @Test("200 connections that say nothing keep nobody out")
  func idle() async throws {
    try await withWeb { harness in
      let link = try await harness.login()
      let silent = (0..<200).compactMap { _ in RawClient(port: link.port) }
      #expect(silent.count == 200)
      for _ in 0..<5 { #expect(link.ask("GET", "/healthz")?.status == 200) }
      withExtendedLifetime(silent) {}
    }
  }

  @Test("a header and a body that trickle in are cut off in time, however lively they are")
  func trickle() async throws {
    try await withWeb(clients: WebClients.Limits(asking: .seconds(1))) { harness in
      let link = try await harness.login()
      let token = try #require(harness.token)
      let starts = [
        "GET /healthz HTTP/1.1\r\nHost: ", "GET /heal",
        "POST /api/v1/staged HTTP/1.1\r\nHost: 127.0.0.1:\(link.port)\r\nAuthorization: Bearer "
          + "\(token)\r\nContent-Type: application/json\r\n"
          + "Content-Length: 1000\r\n\r\n",
      ]
      for start in starts {
        let client = try #require(RawClient(port: link.port))
        client.send(start)
        // A byte each tenth of a second; the request never ends by itself.
        let isCutOff = (0..<600).contains { _ in
          usleep(100_000)
          return !client.send("x")
        }
        #expect(isCutOff, "\(start)")
      }
      #expect(link.ask("GET", "/healthz")?.status == 200)
      #expect(await harness.operations.asked == [])
    }
  }

  @Test("an operation and the events outlast the time for asking")
  func patience() async throws {
    try await withWeb(clients: WebClients.Limits(asking: .seconds(1))) { harness in
      let link = try await harness.login()
      let token = try #require(harness.token)
      await harness.operations.set { $0.held = "status" }
      let client = try #require(RawClient(port: link.port))
      client.send(link.request("GET", "/api/v1/status", "Authorization: Bearer \(token)"))
      let events = try #require(RawClient(port: link.port))
      events.send(link.request("GET", "/api/v1/events", "Authorization: Bearer \(token)"))
      await harness.operations.held(1)
      try await Task.sleep(for: .seconds(4))
      await harness.operations.release()
      #expect(client.reply()?.status == 200)
      await harness.server.close()
      #expect(events.reply()?.body.contains("event: snapshot") == true)
    }
  }

  @Test("a header that is too long is refused, and a body too")
  func large() async throws {
    try await withWeb { harness in
      let link = try await harness.login()
      let token = try #require(harness.token)
      let status = link.ask("GET", "/healthz", "X: \(String(repeating: "x", count: 100_000))")?.status
      #expect(status == nil || [400, 413, 414, 431].contains(status ?? 0))
      let body = String(repeating: "x", count: (64 << 10) + 1)
      let headers =
        "Authorization: Bearer \(token)\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)"
      #expect(link.ask("POST", "/api/v1/staged", headers, body: body)?.status == 413)
      #expect(link.ask("GET", "/healthz")?.status == 200)
    }
  }

  @Test("the page's listener ends with the server, and answers those who wait")
  func close() async throws {
    try await withWeb { harness in
      let link = try await harness.login()
      let token = try #require(harness.token)
      await harness.operations.set { $0.held = "jobs" }
      let client = try #require(RawClient(port: link.port))
      client.send(link.request("GET", "/api/v1/jobs", "Authorization: Bearer \(token)"))
      await harness.operations.held(1)
      await harness.server.close(grace: .milliseconds(20))
      #expect(client.reply()?.status == 503)
      #expect(RawClient(port: link.port) == nil)
    }
  }
}

/// A server whose page is four small files, with fake operations.
private final class WebHarness {
  struct Link {
    var port: Int
    var code: String

    func request(_ method: String, _ target: String, _ headers: String = "X-Nothing: x", body: String = "") -> String {
      "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n\(headers)\r\n\r\n\(body)"
    }

    func ask(_ method: String, _ target: String, _ headers: String = "X-Nothing: x", body: String = "") -> RawClient
      .Reply?
    {
      guard let client = RawClient(port: port) else { return nil }
      client.send(request(method, target, headers, body: body))
      return client.reply()
    }
  }

  let operations = FakeOperations()
  let folder: String
  private let options: WebOptions
  private(set) var server: ControlServer
  var socket: String { folder + "/api.sock" }
  var token: String? { SmallFile(path: folder + "/api.token").read() }

  init(_ opening: WebOptions.Opening, clients: WebClients.Limits) async throws {
    EventLoop.start()
    folder = try TestFolder.make("web")
    func file(_ path: String, _ text: String, isOpen: Bool = false) -> PageAssets.File {
      PageAssets.File(path: path, type: "text/plain", bytes: Array(text.utf8), isOpen: isOpen)
    }
    let assets = PageAssets([
      file("/", "the page"), file("/assets/main.js", "code"), file("/assets/open.css", "open", isOpen: true),
      file("signed-out.html", "signed out"),
    ])
    var options = WebOptions(opening: opening, runtimeFolder: folder, assets: assets)
    options.limits.clients = clients
    self.options = options
    server = try await ControlServer(socket: folder + "/api.sock", web: options, operations: operations)
  }

  func restart() async throws { server = try await ControlServer(socket: socket, web: options, operations: operations) }

  func login() async throws -> Link { try await Self.login(socket) }

  static func login(_ socket: String) async throws -> Link {
    let reply = try #require(await OwnThread.run { RawClient.ask(socket, "POST", "/api/v1/login") })
    #expect(reply.status == 201)
    let login = try ControlJSON.decode(LoginReply.self, from: Array(reply.body.utf8))
    #expect(login.expiresSeconds == 300)
    let parts = login.url.split(separator: "/login?code=")
    let port = try #require(parts.first?.split(separator: ":").last.flatMap { Int($0) })
    return Link(port: port, code: String(try #require(parts.last)))
  }

  func close() async {
    await operations.release()
    await server.close()
    for name in ["api.sock", "api.token", "web.port"] { unlink("\(folder)/\(name)") }
    rmdir(folder)
  }
}

extension RawClient.Reply {
  fileprivate func header(_ name: String) -> String? {
    head.split(separator: "\r\n").first { $0.hasPrefix(name + ": ") }.map { String($0.dropFirst(name.count + 2)) }
  }
}
