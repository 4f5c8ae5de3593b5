import Core

/// The one access token: which to use, when to get another, and that no two are asked for at the same time. A pure
/// value; the caller does what an answer says and reports back. `ServiceConnection` owns it.
struct TokenCache {
  /// A token and its number, by which a refusal says which one it was.
  struct Token: Equatable, Sendable {
    let value: Redacted<String>
    let serial: Int
  }

  enum Wanted: Equatable {
    case use(Token)
    /// Ask the service, then report `fetched` or `failed`.
    case fetch
    /// A request is under way; wait for its result.
    case join
  }

  /// Lifetime to assume if the service names none, in seconds: short enough to be true, long enough not to ask before
  /// each request.
  private static let unknownLifetime: Int64 = 300
  private static let longest: Int64 = 30 * 86_400

  private var held: (token: Token, refresh: Moment)?
  private var isFetching = false
  private var serials = 0

  mutating func want(now: Moment) -> Wanted {
    if let held, now < held.refresh { return .use(held.token) }
    if isFetching { return .join }
    isFetching = true
    return .fetch
  }

  /// The service answered a request sent at `asked`. The callers that waited use the token whatever its lifetime;
  /// otherwise a service whose tokens have no life would be asked for ever.
  mutating func fetched(_ value: Redacted<String>, lifetime: Int64?, asked: Moment) -> Token {
    isFetching = false
    serials += 1
    let token = Token(value: value, serial: serials)
    let seconds = min(lifetime.flatMap { $0 > 0 ? $0 : nil } ?? Self.unknownLifetime, Self.longest)
    // Thirty seconds early, so that a request sent with it arrives in time; but not at once where the life is short.
    let use = max(Duration.seconds(seconds) - .seconds(30), .seconds(seconds) / 2)
    held = (token, asked + use)
    return token
  }

  mutating func failed() { isFetching = false }

  /// The service refused this token; a newer one stays.
  mutating func discard(_ token: Token) {
    if held?.token.serial == token.serial { held = nil }
  }
}
