import Core
import Testing

@testable import MediaHub
@testable import Transfer

/// When a token is asked for, and what is done with one that is refused.
struct TokenTests {
  private static let fileF = #"{"file": {"id": "f", "name": "a.mp4", "size": 9, "mime_type": "video/mp4"}}"#

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
        #expect(
          await call.value == .refused("MediaHub refused the credentials (401); check client_id and client_secret"))
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
      #expect(
        error
          == .refused(
            "MediaHub gave a token and then refused it (\(status)): client_id and client_secret are right, but this "
              + "application may not do that; "
              + "check the application's rights"))
      #expect(service.paths == ["/oauth2/token/", "/jobs/", "/oauth2/token/", "/jobs/"])
    }
  }

  @Test(
    "a token without a lifetime, or with none left, is one token request a call at most",
    arguments: [
      #"{"access_token": "T"}"#, #"{"access_token": "T", "expires_in": 0}"#,
      #"{"access_token": "T", "expires_in": "soon"}"#,
      #"{"access_token": "T", "expires_in": null}"#, #"{"access_token": "T", "expires_in": -1}"#,
    ])
  func lifetimes(body: String) async throws {
    try await onLoop {
      let service = FakeService { path, _ in
        path == "/oauth2/token/" ? FakeService.json(body) : FakeService.json(Self.fileF)
      }
      let client = service.client()
      for _ in 0..<3 { _ = try await client.file("f") }
      #expect(service.tokenRequests == 1)
    }
  }

  @Test(
    "a token that is none is refused before it gets into a header",
    arguments: [
      "", "{}", #"{"access_token": ""}"#, #"{"access_token": 5}"#, #"{"access_token": "a\r\nX: y"}"#,
      #"{"access_token": "a b"}"#,
      #"{"access_token": "ü"}"#, "<html>",
    ])
  func badToken(body: String) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/oauth2/token/" ? FakeService.json(body) : nil }
      let error = await failure { try await service.client().file("f") }
      let sentence =
        body.hasPrefix("{")
        ? "a token, but access_token is missing in the answer or cannot be used"
        : "a token with something else; check the setting api_base"
      #expect(error == .malformed("MediaHub at https://hub.example answered a request for \(sentence)"))
      #expect(service.requests.count == 1)
    }
  }

  @Test(
    "refused credentials name the setting that is the cause",
    arguments: [
      ("", "MediaHub refused the credentials (400); check client_id and client_secret, then scope"),
      (
        #"{"error": "invalid_client"}"#,
        "MediaHub refused the credentials (400); check client_id and client_secret, then scope"
      ),
      (#"{"error": "invalid_scope"}"#, "MediaHub refused the scope that was asked for (400); check the setting scope"),
      (
        #"{"error": "unsupported_grant_type"}"#,
        "MediaHub at https://hub.example does not understand a request for a token (400, unsupported_grant_type); "
          + "check the setting api_base"
      ),
    ])
  func refusedCredentials(body: String, sentence: String) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/oauth2/token/" ? FakeService.json(body, status: 400) : nil }
      #expect(await failure { try await service.client(scope: "all").file("f") } == .refused(sentence))
    }
  }

  @Test("without credentials nothing is sent", arguments: [("", "x"), ("x", "")])
  func noCredentials(id: String, secret: String) async throws {
    try await onLoop {
      let service = FakeService()
      guard
        case .unconfigured(let sentence)? = await failure({ try await service.client(id: id, secret: secret).file("f") }
        )
      else {
        Issue.record("not refused")
        return
      }
      #expect(sentence.contains("FSMVP_CLIENT_ID"))
      #expect(service.requests.isEmpty)
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
