import Core
import Testing

@testable import MediaHub
@testable import Transfer

/// What is sent, and what comes of the answers, against a service without sockets.
struct ClientTests {
  private static let fileF = #"{"file": {"id": "f", "name": "a.mp4", "size": 9, "mime_type": "video/mp4"}}"#

  @Test(
    "jobs are asked for with the documented query, search text encoded, start and limit within bounds",
    arguments: [
      (nil, 0, 20, "start=0&limit=20&sort=created_at&direction=-1"),
      ("", -3, 0, "start=0&limit=1&sort=created_at&direction=-1"),
      ("a b&c=ü", 40, 9999, "start=40&limit=5000&sort=created_at&direction=-1&input.file.name=a%20b%26c%3D%C3%BC"),
      (nil, Int.max, Int.min, "start=2147483647&limit=1&sort=created_at&direction=-1"),
    ] as [(String?, Int, Int, String)])
  func jobsQuery(search: String?, start: Int, limit: Int, query: String) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/jobs/" ? FakeService.json(#"{"jobs": [], "total": 3}"#) : nil }
      let page = try await service.client().jobs(search: search, start: start, limit: limit)
      #expect(page.total == 3)
      #expect(service.requests.last?.url == FakeService.base + "/jobs/?status=SUCCESS&expand=file&autograph=true&" + query)
      #expect(service.requests.last?.bearer?.reveal() == "T1")
    }
  }

  @Test("the token request is a form with the credentials encoded, and no header of its own")
  func tokenRequest() async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/files/f" ? FakeService.json(Self.fileF) : nil }
      _ = try await service.client(scope: "mediahub_read,autograph").file("f")
      let request = try #require(service.requests.first)
      #expect(request.method == .post && request.url == FakeService.base + "/oauth2/token/" && request.bearer == nil)
      #expect(
        request.form?.reveal()
          == "grant_type=client_credential&client_id=me&client_secret=a%2Bb%2Fc%3D&scope=mediahub_read%2Cautograph")
      #expect(!"\(service.requests)".contains("a%2Bb") && !"\(service.requests)".contains("T1"))
    }
  }

  @Test("many callers at once share one token request, and the token serves until it is old")
  func singleFlight() async throws {
    try await onLoop {
      let clock = Hand()
      let service = FakeService { path, _ in path == "/files/f" ? FakeService.json(Self.fileF) : nil }
      service.isHolding = true
      let client = service.client(clock: clock)
      let calls = (0..<20).map { _ in Task { try await client.file("f") } }
      // All twenty were enqueued before, and have come to their wait.
      await Task {}.value
      while service.requests.isEmpty { await Task.yield() }
      service.release()
      for call in calls { _ = try await call.value }
      #expect(service.tokenRequests == 1)
      clock.advance(.seconds(7169))
      _ = try await client.file("f")
      #expect(service.tokenRequests == 1)
      clock.advance(.seconds(1))
      _ = try await client.file("f")
      #expect(service.tokenRequests == 2)
    }
  }

  @Test("a failed token request fails all who wait for it, and the next call asks again")
  func tokenFailure() async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/oauth2/token/" ? FakeService.status(401) : nil }
      let client = service.client()
      let calls = (0..<3).map { _ in Task { await failure { try await client.file("f") } } }
      for call in calls {
        #expect(await call.value == .refused("MediaHub refused the credentials (401); check client_id and client_secret"))
      }
      #expect(service.requests.count == 1)
      _ = await failure { try await client.file("f") }
      #expect(service.requests.count == 2)
    }
  }

  @Test("a token that is refused is replaced once and the request repeated", arguments: [401, 403])
  func refusedToken(status: Int) async throws {
    try await onLoop {
      let service = FakeService { path, request in
        guard path == "/files/f" else { return nil }
        return request.bearer?.reveal() == "T1" ? FakeService.status(status) : FakeService.json(Self.fileF)
      }
      let client = service.client()
      #expect(try await client.file("f").name == "a.mp4")
      #expect(service.paths == ["/oauth2/token/", "/files/f", "/oauth2/token/", "/files/f"])
      _ = try await client.file("f")
      #expect(service.tokenRequests == 2)
    }
  }

  @Test("several requests refused with the same token get one new token between them")
  func refusedTogether() async throws {
    try await onLoop {
      let service = FakeService { path, request in
        guard path == "/files/f" else { return nil }
        return request.bearer?.reveal() == "T1" ? FakeService.status(401) : FakeService.json(Self.fileF)
      }
      let client = service.client()
      let calls = (0..<10).map { _ in Task { try await client.file("f") } }
      for call in calls { _ = try await call.value }
      #expect(service.tokenRequests == 2)
    }
  }

  @Test("a service that refuses each token is asked twice, not for ever", arguments: [401, 403])
  func refusedForEver(status: Int) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/oauth2/token/" ? nil : FakeService.status(status) }
      let error = await failure { try await service.client().jobs(search: nil, start: 0, limit: 5) }
      #expect(error == .refused("MediaHub refused the credentials (\(status)); check client_id and client_secret"))
      #expect(service.paths == ["/oauth2/token/", "/jobs/", "/oauth2/token/", "/jobs/"])
    }
  }

  @Test(
    "a token without a lifetime, or with none left, is one token request a call at most",
    arguments: [
      #"{"access_token": "T"}"#, #"{"access_token": "T", "expires_in": 0}"#, #"{"access_token": "T", "expires_in": "soon"}"#,
      #"{"access_token": "T", "expires_in": null}"#, #"{"access_token": "T", "expires_in": -1}"#,
    ])
  func lifetimes(body: String) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/oauth2/token/" ? FakeService.json(body) : FakeService.json(Self.fileF) }
      let client = service.client()
      for _ in 0..<3 { _ = try await client.file("f") }
      #expect(service.tokenRequests == 1)
    }
  }

  @Test(
    "a token that is none is refused before it gets into a header",
    arguments: [
      "", "{}", #"{"access_token": ""}"#, #"{"access_token": 5}"#, #"{"access_token": "a\r\nX: y"}"#, #"{"access_token": "a b"}"#,
      #"{"access_token": "ü"}"#, "<html>",
    ])
  func badToken(body: String) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/oauth2/token/" ? FakeService.json(body) : nil }
      let error = await failure { try await service.client().file("f") }
      #expect(
        error
          == .malformed("MediaHub at https://hub.example answered a request for a token with something else; check the setting api_base"))
      #expect(service.requests.count == 1)
    }
  }

  @Test("without credentials nothing is sent", arguments: [("", "x"), ("x", "")])
  func noCredentials(id: String, secret: String) async throws {
    try await onLoop {
      let service = FakeService()
      guard case .refused(let sentence)? = await failure({ try await service.client(id: id, secret: secret).file("f") }) else {
        Issue.record("not refused")
        return
      }
      #expect(sentence.contains("FSMVP_CLIENT_ID"))
      #expect(service.requests.isEmpty)
    }
  }

  // MARK: Files and jobs

  @Test(
    "an id is one segment of the path, whatever it holds",
    arguments: [
      ("a/../../oauth2/token/", "/files/a%2F..%2F..%2Foauth2%2Ftoken%2F"), ("a b?c#d", "/files/a%20b%3Fc%23d"),
      ("%2e%2e", "/files/%252e%252e"),
      ("..a", "/files/..a"), ("ü", "/files/%C3%BC"),
    ])
  func segments(id: String, path: String) async throws {
    try await onLoop {
      let service = FakeService()
      let error = await failure { try await service.client().file(id) }
      #expect(error == .notFound("there is no file \(id) in MediaHub; `fsmvp jobs` lists what there is"))
      #expect(service.requests.last?.url == FakeService.base + path)
    }
  }

  @Test("an id that would walk the path is not found without a request", arguments: ["", ".", "..", String(repeating: "a", count: 257)])
  func walking(id: String) async throws {
    try await onLoop {
      let service = FakeService()
      for error in [await failure { try await service.client().file(id) }, await failure { try await service.client().job(id) }] {
        guard case .notFound? = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
      }
      #expect(service.requests.isEmpty)
    }
  }

  @Test("a job is read with its outputs, and a job there is not says so")
  func job() async throws {
    try await onLoop {
      let service = FakeService { path, _ in
        path == "/jobs/j" ? FakeService.json(#"{"job": {"id": "j", "input": {"file": {"name": "N"}}, "outputs": [\#(Self.fileF)]}}"#) : nil
      }
      let client = service.client()
      let output = MediaHubOutput(fileId: "f", name: "a.mp4", size: 9, contentType: "video/mp4")
      let job = try await client.job("j")
      #expect(job == MediaHubJob(id: "j", name: "N", outputs: [output]))
      #expect(
        await failure { try await client.job("k") } == .notFound("there is no job k in MediaHub; `fsmvp jobs` lists what there is"))
    }
  }

  @Test(
    "a file without a size, or of a negative one, cannot be staged and says so",
    arguments: [
      #"{"file": {"id": "f", "name": "n"}}"#, #"{"file": {"id": "f", "name": "n", "size": -4}}"#,
    ])
  func sizeless(body: String) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/files/f" ? FakeService.json(body) : nil }
      #expect(
        await failure { try await service.client().file("f") }
          == .malformed("MediaHub does not say how large file f is, so it cannot be staged"))
    }
  }

  @Test(
    "stubs are completed, each file once, no more than eight at a time; what cannot be completed is left out, jobs without outputs stay")
  func stubs() async throws {
    try await onLoop {
      let outputs = (0..<40).map { #"{"file": {"id": "s\#($0 % 30)", "href": "x"}}"# }.joined(separator: ",")
      let service = FakeService { path, _ in
        if path == "/jobs/" {
          return FakeService.json(
            """
            {"total": 3, "jobs": [{"id": "many", "outputs": [\(outputs)]}, {"id": "none"},
              {"id": "whole", "outputs": [\(Self.fileF), {"file": {"href": "no id"}}, {"file": {"id": "", "name": "x", "size": 3}}]}]}
            """)
        }
        guard path.hasPrefix("/files/s") else { return nil }
        let id = path.dropFirst("/files/".count)
        switch id {
        case "s3": return FakeService.status(404)
        case "s4": return FakeService.json(#"{"file": {"id": "s4", "name": "x"}}"#)
        case "s5": return .failure(.unreachable("reset"))
        case "s6": return FakeService.json(#"{"file": {"id": "s6", "name": "empty", "size": 0}}"#)
        default: return FakeService.json(#"{"file": {"id": "\#(id)", "name": "\#(id).mp4", "size": 7}}"#)
        }
      }
      let client = service.client()
      // A token first, so that the peak is the files'.
      _ = await failure { try await client.file("f") }
      let before = service.requests.count
      service.isHolding = true
      let listing = Task { try await client.jobs(search: nil, start: 0, limit: 50) }
      // Released again and again: whoever could start is waiting by then.
      while service.peak < 8 || service.requests.count < before + 1 + 30 {
        for _ in 0..<10 { await Task.yield() }
        service.release()
        service.isHolding = service.requests.count < before + 1 + 30
      }
      let page = try await listing.value
      #expect(service.peak == 8)
      #expect(page.jobs.map(\.id) == ["many", "none", "whole"])
      let missing: Set = ["s3", "s4", "s5"]
      #expect(page.jobs[0].outputs.map(\.fileId) == (0..<40).map { "s\($0 % 30)" }.filter { !missing.contains($0) })
      #expect(page.jobs[0].outputs.first { $0.fileId == "s6" }?.size == 0)
      #expect(page.jobs[1].outputs.isEmpty)
      #expect(page.jobs[2].outputs.map(\.fileId) == ["f"])
      let files = service.paths[(before + 1)...]
      #expect(files.count == 30 + 2, "each once, the unreachable one with its two more tries")
    }
  }

  // MARK: Trouble

  @Test(
    "trouble that passes is not noticed",
    arguments: [
      FakeService.status(503), FakeService.status(500), .failure(.unreachable("reset")), FakeService.status(429, retryAfter: .seconds(2)),
    ])
  func passes(trouble: FakeService.Answer) async throws {
    try await onLoop {
      let left = Counter(2)
      let service = FakeService { path, _ in
        guard path == "/files/f" else { return nil }
        return left.take() ? trouble : FakeService.json(Self.fileF)
      }
      _ = try await service.client().file("f")
      #expect(service.pauses.count == 2)
    }
  }

  @Test(
    "each failure is one sentence that says what to do",
    arguments: [
      (
        .failure(.unreachable("could not resolve host")),
        .unreachable(
          "MediaHub at https://hub.example cannot be reached (could not resolve host); check the network and the setting api_base")
      ),
      (
        .failure(.timedOut(phase: "headers")),
        .unreachable(
          "MediaHub at https://hub.example cannot be reached (no answer in time, phase headers); check the network and the setting api_base"
        )
      ),
      (FakeService.status(502), .unreachable("MediaHub at https://hub.example has trouble of its own (502); try again in a while")),
      (FakeService.status(429), .unreachable("MediaHub at https://hub.example asks for fewer requests (429); try again in a while")),
      (FakeService.status(404), .refused("there is no MediaHub API at https://hub.example (404); check the setting api_base")),
      (FakeService.status(301), .refused("MediaHub at https://hub.example answers from another address (301); check the setting api_base")),
      (FakeService.status(418), .refused("MediaHub at https://hub.example refused the request (418)")),
      (
        FakeService.json("<html>"),
        .malformed(
          "MediaHub at https://hub.example answered a request for the list of jobs with something else; check the setting api_base")
      ),
      (
        .failure(.wrongAnswer("more than 16 MiB")),
        .malformed("MediaHub at https://hub.example gave an answer that cannot be used (more than 16 MiB); check the setting api_base")
      ),
      (.failure(.insecure("Only https is allowed.")), .refused("Only https is allowed.")),
    ] as [(FakeService.Answer, MediaHubError)])
  func failures(answer: FakeService.Answer, error: MediaHubError) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/jobs/" ? answer : nil }
      #expect(await failure { try await service.client().jobs(search: nil, start: 0, limit: 1) } == error)
    }
  }
}

/// A clock moved by hand.
@TransferLoop
private final class Hand: TimeSource {
  private nonisolated(unsafe) var time = Moment(nanoseconds: 1_000_000_000)
  func advance(_ duration: Duration) { time = time + duration }
  // SAFETY: the client reads it on the transfer loop, where `advance` runs.
  nonisolated func now() -> Moment { time }
  nonisolated func wallNanoseconds() -> Int64 { 0 }
}

/// So many times true.
@TransferLoop
private final class Counter {
  private var left: Int
  init(_ left: Int) { self.left = left }
  func take() -> Bool {
    left -= 1
    return left >= 0
  }
}
