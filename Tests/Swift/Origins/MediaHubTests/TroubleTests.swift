import Core
import Testing

@testable import MediaHub
@testable import Transfer

/// Failures of the service and of the way to it.
struct TroubleTests {
  private static let fileF = #"{"file": {"id": "f", "name": "a.mp4", "size": 9, "mime_type": "video/mp4"}}"#

  @Test(
    "trouble that passes is not noticed",
    arguments: [
      FakeService.status(503), FakeService.status(500), .failure(.unreachable("reset")),
      FakeService.status(429, retryAfter: .seconds(2)),
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
          "MediaHub at https://hub.example cannot be reached (could not resolve host); check the network and the "
            + "setting api_base"
        )
      ),
      (
        .failure(.timedOut(phase: "headers")),
        .unreachable(
          "MediaHub at https://hub.example did not answer in time (headers); try again in a while"
        )
      ),
      (
        FakeService.status(502),
        .unreachable("MediaHub at https://hub.example has trouble of its own (502); try again in a while")
      ),
      (
        FakeService.status(429),
        .unreachable("MediaHub at https://hub.example asks for fewer requests (429); try again in a while")
      ),
      (
        FakeService.status(404),
        .refused("there is no MediaHub API at https://hub.example (404); check the setting api_base")
      ),
      (
        FakeService.status(301),
        .refused("MediaHub at https://hub.example answers from another address (301); check the setting api_base")
      ),
      (FakeService.status(418), .refused("MediaHub at https://hub.example refused the request (418)")),
      (
        FakeService.json("<html>"),
        .malformed(
          "MediaHub at https://hub.example answered a request for the list of jobs with something else; check the "
            + "setting api_base"
        )
      ),
      (
        .failure(.wrongAnswer("the server sent the file compressed")),
        .malformed(
          "MediaHub at https://hub.example gave an answer that cannot be used: the server sent the file compressed")
      ),
      (
        .failure(
          .unreachable("its TLS certificate is not to be trusted; the setting ca_file names further ones to trust")),
        .unreachable(
          "MediaHub at https://hub.example cannot be reached (its TLS certificate is not to be trusted; the setting "
            + "ca_file names further ones to trust)"
        )
      ),
      (
        FakeService.status(403),
        .refused(
          "MediaHub gave a token and then refused it (403): client_id and client_secret are right, but this "
            + "application may not do that; check the application's rights"
        )
      ),
      (
        FakeService.json(#"{"total": 3}"#),
        .malformed(
          "MediaHub at https://hub.example answered a request for the list of jobs, but the list is missing in the "
            + "answer or cannot be used"
        )
      ),
      (
        FakeService.json(#"{"jobs": [1, "x", {"name": "no id"}], "total": 3}"#),
        .malformed(
          "MediaHub at https://hub.example answered a request for the list of jobs, but every job is missing in the "
            + "answer or cannot be used"
        )
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
