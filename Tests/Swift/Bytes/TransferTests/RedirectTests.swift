import Core
import EventLoop
import Support
import Testing

@testable import Transfer

/// Redirects: followed for bytes, told for requests; credentials go nowhere but where they were meant to.
@Suite(.timeLimit(.minutes(10)))
struct RedirectTests {
  init() { EventLoop.start() }

  func redirect(_ location: String, status: Int = 302) -> [ScriptedServer.Step] {
    ScriptedServer.answer(
      status, headers: "Location: \(location)\r\nContent-Type: text/html\r\nETag: \"hop\"\r\n",
      body: "<html>moved</html>")
  }

  @TransferLoop
  func fetch(_ server: ScriptedServer, path: String = "/0") async -> RecordingSink {
    let sink = RecordingSink()
    _ = HTTPClient().fetch(server.request(ByteRange(10, 90), size: 100, path: path), sink: sink)
    await sink.ended()
    return sink
  }

  @Test("a chain of ten redirects is followed, relative ones too, and only the last head counts")
  @TransferLoop func chain() async {
    let storage = ScriptedServer.file(size: 100)
    let storageURL = storage.url("/stored?x=1")
    let server = ScriptedServer { request in
      let hop = Int(request.target.dropFirst()) ?? 0
      return redirect(hop == 9 ? storageURL : "/\(hop + 1)", status: [301, 302, 303, 307, 308][hop % 5])
    }
    let sink = await fetch(server)
    #expect(sink.ends == [nil] && sink.holds(ByteRange(10, 90)))
    #expect(sink.began == 1 && sink.validator?.etag == "\"v1\"")
    #expect(server.requests.count == 10 && storage.requests.count == 1)
    #expect(storage.requests.first?.target == "/stored?x=1" && storage.requests.first?.header("Range") == "bytes=10-89")
    for request in server.requests + storage.requests {
      #expect(request.header("Authorization") == nil && request.header("Referer") == nil)
    }
  }

  @Test("the eleventh redirect is one too many")
  @TransferLoop func tooMany() async {
    let server = ScriptedServer { _ in redirect("/again") }
    let sink = await fetch(server)
    #expect(sink.ends == [.wrongAnswer("redirected more than 10 times")] && sink.bytes.isEmpty)
    #expect(server.requests.count == 11)
  }

  @Test(
    "a redirect to plain http on another host, to another scheme or with a user name is not followed",
    arguments: [
      "http://192.0.2.1/file", "http://example.com/", "//example.com/x", "http://127.0.0.1.example.com/",
      "http://127.0.0.1@example.com/",
      "ftp://127.0.0.1/file", "file:///etc/passwd",
      "gopher://127.0.0.1/", "http://user:pass@127.0.0.1/",
    ])
  @TransferLoop func insecureTarget(location: String) async {
    let server = ScriptedServer { _ in redirect(location) }
    let sink = await fetch(server)
    // The server that said so may be a stray one: it is no verdict of the service's.
    guard case .wrongAnswer(let text) = sink.ends.first ?? nil else {
      Issue.record("\(sink.ends)")
      return
    }
    #expect(text.hasPrefix("a redirect: ") && !text.contains("//"))
    #expect(sink.bytes.isEmpty && server.requests.count == 1)
  }

  @Test("a 3xx that names no place is a status")
  @TransferLoop func nowhere() async {
    let server = ScriptedServer { _ in ScriptedServer.answer(302) }
    #expect(await fetch(server).ends == [.status(302, retryAfter: nil)])
  }

  @Test("perform tells the redirect and does not follow it; the bearer reaches the service alone")
  @TransferLoop func performDoesNotFollow() async throws {
    let storage = ScriptedServer.file(size: 100)
    let location = storage.url("/stored?signature=s3cr3t")
    let service = ScriptedServer { _ in redirect(location) }
    let client = HTTPClient()
    let response = try await client.perform(HTTPRequest(url: service.url("/link"), bearer: Redacted("t0ken")))
    #expect(response.status == 302 && response.location?.reveal() == location)
    #expect("\(response)".contains("s3cr3t") == false)
    #expect(service.requests[0].header("Authorization") == "Bearer t0ken")
    #expect(storage.requests.isEmpty)
    let sink = RecordingSink()
    let link = Redacted(location)
    _ = client.fetch(RangeRequest(url: link, range: ByteRange(0, 100), size: 100), sink: sink)
    #expect(await sink.ended() == nil)
    #expect(
      storage.requests[0].headers.allSatisfy { $0.name.lowercased() != "authorization" && !$0.value.contains("t0ken") })
  }

  @Test("a handle that carried a bearer carries none afterwards")
  @TransferLoop func reusedHandle() async throws {
    let server = ScriptedServer { $0.range == nil ? ScriptedServer.answer(200) : ScriptedServer.serve($0, size: 100) }
    let client = HTTPClient()
    _ = try await client.perform(
      HTTPRequest(.post, url: server.url(), bearer: Redacted("t0ken"), form: Redacted("a=b")))
    let sink = RecordingSink()
    _ = client.fetch(server.request(ByteRange(0, 100), size: 100), sink: sink)
    #expect(await sink.ended() == nil)
    let second = try #require(server.requests.last)
    #expect(
      second.method == "GET" && second.body.isEmpty && second.header("Authorization") == nil && second.connection == 0)
    _ = try await client.perform(HTTPRequest(url: server.url()))
    let third = try #require(server.requests.last)
    #expect(third.method == "GET" && third.header("Range") == nil && third.header("Authorization") == nil)
  }
}
