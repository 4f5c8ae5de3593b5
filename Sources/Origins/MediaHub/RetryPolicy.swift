import Core
import Transfer

/// Whether and when a small request is sent again. A pure value, one for each request; only for requests that may be
/// sent twice. `ServiceConnection` keeps it while the request is under way.
struct RetryPolicy {
  private static let pauses: [Duration] = [.milliseconds(250), .seconds(1)]
  /// A longer wait is told, not waited for.
  static let patience = Duration.seconds(10)

  private var tries = 0

  /// The pause before the next try; nil: this outcome stands.
  mutating func pause(after outcome: Result<HTTPResponse, TransferError>) -> Duration? {
    var wait: Duration?
    switch outcome {
    case .success(let response):
      guard response.status == 429 || response.status == 408 || (500...599).contains(response.status) else {
        return nil
      }
      wait = response.retryAfter
    // An answer that is none may be what was left on a connection by the one before.
    case .failure(.unreachable), .failure(.short), .failure(.wrongAnswer), .failure(.timedOut(phase: "connect")),
      .failure(.timedOut(phase: "TLS")):
      break
    // A request that ran into another time limit has waited long enough.
    case .failure: return nil
    }
    guard tries < Self.pauses.count else { return nil }
    defer { tries += 1 }
    let pause = max(wait ?? .zero, Self.pauses[tries])
    return pause <= Self.patience ? pause : nil
  }
}
