import Core
import Glibc
import Testing

@testable import MediaHubSim

struct BurstTests {
  private func outcomes(seed: UInt64, probability: Double, requests: Int = 200) throws -> [Bool] {
    let bench = try Bench { $0.seed = seed }
    bench.simulator.add(Fault(.status(503, retryAfter: nil), count: nil, probability: probability))
    return (0..<requests).map { _ in bench.simulator.hub.takeFault(.storage, file: Bench.id) != nil }
  }

  @Test("a probability hits its share of requests, the same ones for the same seed")
  func probability() throws {
    let first = try outcomes(seed: 5, probability: 0.3)
    #expect(try outcomes(seed: 5, probability: 0.3) == first)
    #expect(try outcomes(seed: 6, probability: 0.3) != first)
    #expect(30...90 ~= first.count { $0 })
    #expect(try !outcomes(seed: 5, probability: 0).contains(true))
    #expect(try !outcomes(seed: 5, probability: 1).contains(false))
  }

  @Test("two faults with the same probability do not hit the same requests")
  func independence() throws {
    let bench = try Bench()
    bench.simulator.add(Fault(.wholeBody, count: nil, probability: 0.5))
    bench.simulator.add(Fault(.gzip, count: nil, probability: 0.5))
    for _ in 0..<200 { _ = bench.simulator.hub.takeFault(.storage, file: Bench.id) }
    let faults = bench.simulator.statistics().faults
    #expect(60...140 ~= faults["whole_body"] ?? 0)
    #expect(20...80 ~= faults["gzip"] ?? 0)
  }

  @Test("a fault with a time is over after it, and happens without end before")
  func time() throws {
    let bench = try Bench()
    let link = bench.link()
    #expect(bench.post("/_sim/fault", #"{"kind":"status","status":502,"for_ms":60000}"#).status == 200)
    for _ in 0..<3 { #expect(bench.range(link, "0-9").status == 502) }
    #expect(bench.post("/_sim/reset", "").status == 200)
    bench.simulator.add(Fault(.status(502, retryAfter: nil), count: nil, lifetime: .milliseconds(100)))
    usleep(120_000)
    #expect(bench.range(link, "0-9").status == 206)
    #expect(bench.simulator.hub.state.withLock { $0.faults.isEmpty })
  }

  @Test("faults of the command line are there at the start, and again after a reset")
  func options() throws {
    let bench = try Bench { $0.faults = [Fault(.status(500, retryAfter: nil))] }
    let link = bench.link()
    #expect(bench.range(link, "0-9").status == 500)
    #expect(bench.range(link, "0-9").status == 206)
    bench.simulator.reset()
    #expect(bench.range(link, "0-9").status == 500)
  }
}
