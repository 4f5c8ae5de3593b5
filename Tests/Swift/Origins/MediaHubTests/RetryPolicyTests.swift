import Core
import Testing

@testable import MediaHub
@testable import Transfer

struct RetryPolicyTests {
  private typealias Outcome = Result<HTTPResponse, TransferError>

  @Test("trouble that may pass is tried twice again, with growing pauses")
  func transient() {
    let outcomes: [Outcome] = [
      FakeService.status(500), FakeService.status(503), FakeService.status(429), FakeService.status(408),
      .failure(.unreachable("reset")),
      .failure(.timedOut(phase: "connect")), .failure(.timedOut(phase: "TLS")),
      .failure(.short(received: 1, expected: 2)),
      .failure(.wrongAnswer("no HTTP")),
    ]
    for outcome in outcomes {
      var policy = RetryPolicy()
      #expect(policy.pause(after: outcome) == .milliseconds(250))
      #expect(policy.pause(after: outcome) == .seconds(1))
      #expect(policy.pause(after: outcome) == nil)
    }
  }

  @Test("an answer, and what another try cannot change, stands")
  func final() {
    let outcomes: [Outcome] = [
      FakeService.status(200), FakeService.status(302), FakeService.status(400), FakeService.status(401),
      FakeService.status(404),
      .failure(.timedOut(phase: "headers")), .failure(.cancelled), .failure(.refused("no")), .failure(.insecure("no")),
    ]
    for outcome in outcomes {
      var policy = RetryPolicy()
      #expect(policy.pause(after: outcome) == nil)
    }
  }

  @Test(
    "Retry-After is waited for up to ten seconds; for longer the answer stands",
    arguments: [
      (.seconds(3), .seconds(3)), (.seconds(10), .seconds(10)), (.seconds(11), nil), (.zero, .milliseconds(250)),
    ] as [(Duration, Duration?)])
  func retryAfter(asked: Duration, pause: Duration?) {
    for status in [429, 503] {
      var policy = RetryPolicy()
      #expect(policy.pause(after: FakeService.status(status, retryAfter: asked)) == pause)
    }
  }
}
