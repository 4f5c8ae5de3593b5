import Core
import Testing

@testable import Transfer

/// The bucket alone, in made-up time.
struct RateLimitTests {
  private static let rate: Int64 = 1_000_000
  private func at(_ milliseconds: Int64) -> Moment { Moment(nanoseconds: 5_000_000_000) + .milliseconds(milliseconds) }

  @Test("a tenth of a second's worth comes at once, then the debt is paid first; urgent ranges have a second's credit")
  func steps() {
    var limit = RateLimit(rate: Self.rate, now: at(0))
    let table: [(at: Int64, took: Int, ordinary: Bool, urgent: Bool, wait: Int64, urgentWait: Int64)] = [
      (0, 0, true, true, 0, 0),
      (0, 99_999, true, true, 50, 0),
      (0, 1, false, true, 50, 0),
      (1, 0, true, true, 49, 0),
      (1, 51_000, false, true, 100, 0),
      (51, 0, false, true, 50, 0),
      (52, 0, true, true, 49, 0),
      (52, 1_001_000, false, false, 1050, 50),
      (53, 0, false, true, 1049, 49),
      (1052, 0, false, true, 50, 0),
      (1053, 0, true, true, 49, 0),
      // A rest fills it to its brim and no further.
      (100_000, 0, true, true, 0, 0),
      (100_000, 100_000, false, true, 50, 0),
    ]
    for row in table {
      if row.took > 0 { limit.took(row.took, now: at(row.at)) }
      #expect(limit.allows(isUrgent: false, now: at(row.at)) == row.ordinary, "\(row)")
      #expect(limit.allows(isUrgent: true, now: at(row.at)) == row.urgent, "\(row)")
      #expect(limit.wait(isUrgent: false, now: at(row.at)).milliseconds == row.wait, "\(row)")
      #expect(limit.wait(isUrgent: true, now: at(row.at)).milliseconds == row.urgentWait, "\(row)")
    }
  }

  @Test(
    "over a minute the rate is within two percent of the limit, whoever takes",
    arguments: [100_000, 1 << 20, 12_345_678, 1 << 30] as [Int64], [false, true])
  func longTerm(rate: Int64, hasUrgent: Bool) {
    var limit = RateLimit(rate: rate, now: at(0))
    var taken: Int64 = 0
    // Each millisecond, which is when timers fire, pieces of libcurl's size are taken while the limit allows them.
    for milliseconds in 0..<60_000 as Range<Int64> {
      while limit.allows(isUrgent: hasUrgent && milliseconds % 3 == 0, now: at(milliseconds)) {
        limit.took(16_384, now: at(milliseconds))
        taken += 16_384
      }
    }
    let expected = Double(rate) * 60
    #expect(Double(taken) > expected * 0.98 && Double(taken) < expected * 1.02)
  }

  @Test("a piece of many seconds' worth is waited for, and no number traps")
  func extremes() {
    var slow = RateLimit(rate: 1, now: at(0))
    slow.took(16_384, now: at(0))
    #expect(
      slow.wait(isUrgent: true, now: at(0)) > .seconds(16_000) && !slow.allows(isUrgent: true, now: at(16_000_000)))
    #expect(slow.allows(isUrgent: false, now: at(16_385_000)))
    var fast = RateLimit(rate: .max, now: at(0))
    for _ in 0..<10 { fast.took(.max, now: at(0)) }
    #expect(!fast.allows(isUrgent: true, now: at(0)) && fast.allows(isUrgent: false, now: at(10_000)))
    // A clock that goes back.
    fast.took(1, now: Moment(nanoseconds: 0))
    #expect(fast.wait(isUrgent: false, now: Moment(nanoseconds: 0)) > .zero)
  }
}
