import Core
import Testing

@testable import MediaHub

struct TokenCacheTests {
  private func moment(_ seconds: Double) -> Moment { Moment(nanoseconds: UInt64((seconds + 1000) * 1e9)) }

  /// A cache with a token asked for at 0.
  private func filled(_ lifetime: Int64?) -> (TokenCache, TokenCache.Token) {
    var cache = TokenCache()
    _ = cache.want(now: moment(0))
    let token = cache.fetched(Redacted("a"), lifetime: lifetime, asked: moment(0))
    return (cache, token)
  }

  @Test(
    "a token is used until thirty seconds before its end, but at least half its life; without a life that makes sense, 300 s",
    arguments: [
      (7200, 7170), (60, 30), (61, 31), (59, 29.5), (10, 5), (1, 0.5), (300, 270), (nil, 270), (0, 270), (-5, 270),
      (Int64.max, 30 * 86_400 - 30), (Int64.min, 270),
    ] as [(Int64?, Double)])
  func refresh(lifetime: Int64?, used: Double) {
    var (cache, token) = filled(lifetime)
    #expect(cache.want(now: moment(used - 0.001)) == .use(token))
    #expect(cache.want(now: moment(used)) == .fetch)
  }

  @Test("while one asks, others join; afterwards all use the one token")
  func singleFlight() {
    var cache = TokenCache()
    #expect(cache.want(now: moment(0)) == .fetch)
    #expect(cache.want(now: moment(0)) == .join)
    #expect(cache.want(now: moment(1)) == .join)
    let token = cache.fetched(Redacted("a"), lifetime: 100, asked: moment(0))
    #expect(cache.want(now: moment(2)) == .use(token))
  }

  @Test("after a failure the next one asks again")
  func failure() {
    var cache = TokenCache()
    _ = cache.want(now: moment(0))
    cache.failed()
    #expect(cache.want(now: moment(0)) == .fetch)
  }

  @Test("a refusal discards exactly the token that was refused")
  func discard() {
    var (cache, first) = filled(100)
    cache.discard(first)
    #expect(cache.want(now: moment(1)) == .fetch)
    let second = cache.fetched(Redacted("a"), lifetime: 100, asked: moment(1))
    #expect(second != first)
    cache.discard(first)
    #expect(cache.want(now: moment(2)) == .use(second))
  }

  @Test("a refusal that comes while another token is on its way does not ask twice")
  func discardWhileFetching() {
    var (cache, first) = filled(100)
    cache.discard(first)
    #expect(cache.want(now: moment(1)) == .fetch)
    cache.discard(first)
    #expect(cache.want(now: moment(1)) == .join)
  }
}
