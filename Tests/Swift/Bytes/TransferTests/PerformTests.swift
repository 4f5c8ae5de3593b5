import ByteSource
import Core
import EventLoop
import HTTPSource
import Support
import Testing

@testable import Transfer

/// Small requests: whole answers, exactly one result, and an end that can be asked for.
@Suite(.timeLimit(.minutes(10)))
struct PerformTests {
  init() { EventLoop.start() }

  @TransferLoop
  func error(_ request: HTTPRequest, client: HTTPClient? = nil) async -> TransferError? {
    do throws(TransferError) {
      _ = try await (client ?? HTTPClient()).perform(request)
      return nil
    } catch { return error }
  }

  @Test("the answer comes whole, with its status, type and Retry-After")
  @TransferLoop func answer() async throws {
    let server = ScriptedServer { _ in
      ScriptedServer.answer(
        429, headers: "Content-Type: application/json\r\nRetry-After: 3\r\n", body: #"{"error":"slow down"}"#)
    }
    let response = try await HTTPClient().perform(HTTPRequest(url: server.url("/v1/jobs/?start=0")))
    #expect(response.status == 429 && response.contentType == "application/json" && response.retryAfter == .seconds(3))
    #expect(response.body == Array(#"{"error":"slow down"}"#.utf8) && response.location == nil)
    let request = server.requests[0]
    #expect(
      request.method == "GET" && request.target == "/v1/jobs/?start=0" && request.header("Accept") == "application/json"
    )
  }

  @Test(
    "a form is posted as it is", arguments: ["client_secret=a%2Bb%3D&x=%00", "", String(repeating: "x", count: 70_000)])
  @TransferLoop func form(text: String) async throws {
    let server = ScriptedServer { _ in ScriptedServer.answer(200, body: "ok") }
    let response = try await HTTPClient().perform(HTTPRequest(.post, url: server.url("/token/"), form: Redacted(text)))
    #expect(response.status == 200)
    let request = server.requests[0]
    #expect(request.method == "POST" && request.body == Array(text.utf8))
    #expect(request.header("Content-Type") == "application/x-www-form-urlencoded" && request.header("Expect") == nil)
  }

  @Test("connections are reused by requests one after the other")
  @TransferLoop func reuse() async throws {
    let server = ScriptedServer { _ in ScriptedServer.answer(200, body: "ok") }
    let client = HTTPClient()
    for _ in 0..<5 { _ = try await client.perform(HTTPRequest(url: server.url())) }
    #expect(server.connections == 1 && server.requests.count == 5)
  }

  @Test("many requests at once each get their own answer")
  @TransferLoop func parallel() async throws {
    let server = ScriptedServer { ScriptedServer.answer(200, body: $0.target) }
    let client = HTTPClient()
    try await withThrowingTaskGroup(of: (String, HTTPResponse).self) { group in
      for index in 0..<40 {
        let path = "/number/\(index)"
        group.addTask { (path, try await client.perform(HTTPRequest(url: server.url(path)))) }
      }
      for try await (path, response) in group { #expect(response.body == Array(path.utf8)) }
    }
  }

  @Test(
    "after a change of the network a request without an answer is asked once more at once, on a connection of its own")
  @TransferLoop func shaken() async throws {
    let gate = Gate()
    let server = ScriptedServer { request in
      request.connection == 0 ? [.wait(gate), .stall] : ScriptedServer.answer(200, body: "second")
    }
    let client = HTTPClient()
    let first = Task { @TransferLoop in try await client.perform(HTTPRequest(url: server.url())) }
    while server.requests.isEmpty { await Task.yield() }
    client.shaken()
    // Once more is enough.
    client.shaken()
    let response = try await first.value
    #expect(response.body == Array("second".utf8))
    #expect(server.connections == 2 && server.requests.count == 2)
    gate.open()
  }

  @Test("a request that was asked twice fails only if both fail, and ends both if it is cancelled")
  @TransferLoop func bothFail() async throws {
    let gate = Gate()
    let server = ScriptedServer { request in
      request.connection == 0 ? [.wait(gate)] + ScriptedServer.answer(200, body: "late") : [.close]
    }
    let client = HTTPClient()
    let first = Task { @TransferLoop in try await client.perform(HTTPRequest(url: server.url())) }
    while server.requests.isEmpty { await Task.yield() }
    client.shaken()
    while server.connections < 2 { await Task.yield() }
    gate.open()
    #expect(try await first.value.body == Array("late".utf8))
    let silent = ScriptedServer { _ in [.stall] }
    let second = Task { @TransferLoop in await error(HTTPRequest(url: silent.url()), client: client) }
    while silent.requests.isEmpty { await Task.yield() }
    client.shaken()
    while silent.requests.count < 2 { await Task.yield() }
    second.cancel()
    #expect(await second.value == .cancelled)
  }

  @Test("an answer of 16 MiB is taken, one byte more is not", arguments: [0, 1])
  @TransferLoop func longest(extra: Int64) async {
    let length = Int64(16 << 20) + extra
    let server = ScriptedServer { _ in
      [
        .text("HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n"),
        .bytes([UInt8](repeating: 7, count: Int(length))),
      ]
    }
    let found = await error(HTTPRequest(url: server.url()))
    #expect(found == (extra == 0 ? nil : .tooLong(limit: 16 << 20)))
  }

  @Test("a body that breaks off is not an answer")
  @TransferLoop func broken() async {
    let server = ScriptedServer { _ in [.text("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"), .close] }
    guard case .unreachable = await error(HTTPRequest(url: server.url())) else {
      Issue.record("a broken body was taken")
      return
    }
  }

  @Test("a compressed body nobody asked for is not an answer")
  @TransferLoop func compressed() async {
    let server = ScriptedServer { _ in ScriptedServer.answer(200, headers: "Content-Encoding: gzip\r\n", body: "x") }
    #expect(await error(HTTPRequest(url: server.url()))?.asSourceFailure.remedy == .retry(after: nil))
  }

  @Test("the total time-out ends a request that trickles")
  @TransferLoop func totalTimeout() async {
    let server = ScriptedServer { _ in [.text("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"), .stall] }
    for server in [server, ScriptedServer { _ in [.stall] }] {
      // Which phase it has come to by then depends on how busy the machine is.
      guard case .timedOut = await error(HTTPRequest(url: server.url(), totalTimeout: .milliseconds(200))) else {
        Issue.record("no time-out")
        continue
      }
    }
  }

  @Test("cancelling the task ends the request, before, during and after", .timeLimit(.minutes(10)))
  func cancellation() async {
    let asked = Gate()
    let server = ScriptedServer { _ in
      asked.open()
      return [.stall]
    }
    let client = await HTTPClient()
    let running = Task { await error(HTTPRequest(url: server.url()), client: client) }
    await withCheckedContinuation { continuation in
      startThread {
        asked.pass(); continuation.resume()
      }
    }
    running.cancel()
    #expect(await running.value == .cancelled)
    let early = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return await error(HTTPRequest(url: server.url()), client: client)
    }
    #expect(await early.value == .cancelled)
    let honest = ScriptedServer { _ in ScriptedServer.answer(200) }
    #expect(await error(HTTPRequest(url: honest.url()), client: client) == nil)
  }

  @Test(
    "plain http to another machine is refused before anything is sent",
    arguments: ["http://example.com/", "HTTP://192.0.2.1/", "ftp://127.0.0.1/"])
  @TransferLoop func insecure(url: String) async {
    guard case .insecure = await error(HTTPRequest(url: url, bearer: Redacted("t0ken"))) else {
      Issue.record("\(url) was not refused")
      return
    }
  }

  @Test(
    "what is not a URL is refused",
    arguments: ["", "nonsense", "http://", "https://a b/", "http://127.0.0.1/\u{0}", "http://127.0.0.1/\r\nX: y"])
  @TransferLoop func malformed(url: String) async {
    #expect(await error(HTTPRequest(url: url))?.asSourceFailure.remedy == .give)
  }

  @Test("a token that would break out of its header is refused", arguments: ["a\r\nX: y", "a b", "", "ä"])
  @TransferLoop func token(value: String) async {
    let server = ScriptedServer { _ in ScriptedServer.answer(200) }
    #expect(await error(HTTPRequest(url: server.url(), bearer: Redacted(value)))?.asSourceFailure.remedy == .give)
    #expect(server.requests.isEmpty)
  }
}
