import Core
import Testing

@testable import MediaHubSim

struct LimitTests {
  @Test("beyond max_connections it is 429 with Retry-After, or what is set, until one is done")
  func connections() throws {
    let bench = try Bench { $0.settings.maxConnections = 2 }
    let link = bench.link()
    bench.simulator.hold(Gate(from: 1000))
    let clients = (0..<2).map { _ in RawClient(bench.simulator.root, link) }
    #expect(bench.until { $0.held == 2 })
    let refused = bench.range(link, "0-9")
    #expect(refused.status == 429 && refused.headers["retry-after"] == "1")
    bench.simulator.set { ($0.limitStatus, $0.limitRetryAfter) = (503, 0) }
    let other = bench.range(link, "0-9")
    #expect(other.status == 503 && other.headers["retry-after"] == nil)
    bench.simulator.release()
    for client in clients { #expect(client.answer().body == bench.content()) }
    #expect(bench.range(link, "0-9").status == 206)
    let statistics = bench.simulator.statistics()
    #expect(statistics.limited == 2 && statistics.statuses == ["302": 1, "200": 3, "429": 1, "503": 1, "206": 1])
    #expect(statistics.peakBySecond.max() == 2)
  }

  @Test("a client that asks again as soon as it has its answer is never one too many")
  func succession() throws {
    let bench = try Bench { $0.settings.maxConnections = 1 }
    let link = bench.link()
    for count in 0..<300 {
      if count % 3 == 0 { bench.simulator.add(Fault(.status(500, retryAfter: nil))) }
      #expect(bench.range(link, "0-99999").status == (count % 3 == 0 ? 500 : 206))
    }
    #expect(bench.simulator.statistics().limited == 0)
  }

  @Test("a client that gives up, and a cut answer, leave their places")
  func places() throws {
    let bench = try Bench { $0.settings.maxConnections = 1 }
    let link = bench.link()
    bench.simulator.hold()
    do {
      let client = RawClient(bench.simulator.root, link)
      #expect(bench.until { $0.held == 1 })
      withExtendedLifetime(client) {}
    }
    #expect(bench.until { _ in bench.simulator.hub.state.withLock { $0.admission.underWay } == 0 })
    bench.simulator.release()
    bench.simulator.add(Fault(.cut(after: 10)))
    #expect(bench.range(link, "0-99").end == .closedEarly)
    #expect(bench.until { _ in bench.simulator.hub.state.withLock { $0.admission.underWay } == 0 })
  }

  @Test("max_requests_per_second, over HTTP")
  func rate() throws {
    let bench = try Bench()
    #expect(
      bench.post("/_sim/set", #"{"max_requests_per_second":3,"limit_status":503,"limit_retry_after":2}"#).status == 200)
    let link = bench.link()
    let answers = (0..<4).map { _ in bench.range(link, "0-9") }
    #expect(answers.map(\.status) == [206, 206, 206, 503] && answers[3].headers["retry-after"] == "2")
    #expect(bench.until { _ in bench.range(link, "0-9").status == 206 })
  }

  @Test("in any second there are no more than the limit, whenever it begins")
  func window() {
    var admission = Admission()
    var settings = Behaviour()
    settings.maxRequestsPerSecond = 2
    func enters(_ milliseconds: UInt64) -> Bool {
      admission.enter(settings, now: Moment(nanoseconds: milliseconds * 1_000_000))
    }
    let times: [(UInt64, Bool)] = [
      (0, true), (900, true), (950, false), (999, false), (1000, true), (1500, false), (1899, false), (1900, true),
      (1999, false),
      (2000, true),
    ]
    for (time, isIn) in times { #expect(enters(time) == isIn, "\(time)") }
    settings.maxRequestsPerSecond = 0
    for time: UInt64 in 2000..<2100 { #expect(enters(time)) }
  }

  @Test("the peak of a second is the most at a time in it, kept up through seconds in which nothing changes")
  func peaks() {
    var log = PeakLog()
    for (time, count) in [(10.0, 1), (10.1, 2), (10.2, 1), (12.5, 3), (12.6, 0), (14.0, 1)] as [(Double, Int)] {
      log.note(count, now: Moment(nanoseconds: UInt64(time * 1e9)))
    }
    #expect(log.seconds == [2, 1, 3, 0, 1])
    log.note(7, now: Moment(nanoseconds: 10_000_000_000_000))
    #expect(log.seconds.count == 3600)
  }
}
