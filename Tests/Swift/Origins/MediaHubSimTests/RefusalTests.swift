import Core
import Glibc
import Testing

@testable import MediaHubSim

struct RefusalTests {
  private func separateBench() throws -> Bench { try Bench { $0.storagePort = 0 } }

  @Test("the storage's own port serves the storage only, and the API's port the rest")
  func ports() throws {
    let bench = try separateBench()
    #expect(bench.simulator.storageRoot != bench.simulator.root)
    #expect(bench.download().headers["location"]?.hasPrefix(bench.simulator.storageRoot + "/storage/") == true)
    let link = bench.link()
    #expect(bench.get(link).body == bench.content())
    #expect(RawClient(bench.simulator.root, link).answer().status == 404)
    for path in ["/v1/jobs/", "/_sim/stats"] {
      #expect(RawClient(bench.simulator.storageRoot, path).answer().status == 404)
    }
  }

  @Test("redirects within the storage stay on its port, and links are absolute though relative ones are asked for")
  func hops() throws {
    let bench = try Bench { ($0.storagePort, $0.settings.storageHops, $0.settings.relativeLocation) = (0, 1, true) }
    #expect(bench.get(bench.link()).headers["location"]?.hasPrefix(bench.simulator.storageRoot) == true)
  }

  @Test("refuse: connections are refused, the API answers, and off lets them in again, time after time")
  func refuses() throws {
    let bench = try separateBench()
    let link = bench.link()
    for _ in 0..<5 {
      #expect(bench.post("/_sim/refuse", #"{"on":true}"#).status == 200)
      #expect(isRefused(link, bench))
      #expect(bench.get("/v1/jobs/", headers: bench.bearer).status == 200)
      #expect(bench.post("/_sim/refuse", #"{"on":false}"#).status == 200)
      #expect(bench.range(link, "0-9").status == 206)
    }
    for bad in ["{}", #"{"seconds":-1}"#, #"{"on":true,"seconds":1}"#, #"{"off":true}"#] {
      #expect(bench.post("/_sim/refuse", bad).status == 400)
    }
  }

  /// A process that another test starts has a copy of the listening socket until it is executed. A connection made
  /// meanwhile is reset then, so this asks again.
  private func isRefused(_ link: String, _ bench: Bench) -> Bool {
    for _ in 0..<600 {
      let end = bench.get(link).end
      guard end == .reset else { return end == .refused }
      usleep(100_000)
    }
    return false
  }

  @Test("refuse for a time: the port opens by itself, with nobody asking")
  func time() throws {
    let bench = try separateBench()
    let link = bench.link()
    bench.simulator.refuse(for: .milliseconds(300))
    // Reset: see `isRefused`.
    #expect([.refused, .reset].contains(bench.get(link).end))
    #expect(bench.until { _ in bench.simulator.hub.state.withLock { $0.isStorageListening } })
    #expect(bench.range(link, "0-9").status == 206)
  }

  @Test("refuse cuts what is under way: held, stalled and throttled bodies", arguments: [nil, 0] as [UInt16?])
  func cuts(port: UInt16?) throws {
    let bench = try Bench { $0.storagePort = port }
    let link = bench.link()
    bench.simulator.add(Fault(.stall(after: 10, for: nil)))
    let stalled = RawClient(bench.simulator.storageRoot, link)
    #expect(stalled.body(1).count == 1 && bench.until { $0.held == 1 })
    bench.simulator.hold(Gate(from: 10))
    let held = RawClient(bench.simulator.storageRoot, link)
    #expect(bench.until { $0.held == 2 })
    bench.simulator.release()
    #expect(held.answer().body == bench.content())
    bench.simulator.set { $0.rate = 1 }
    let throttled = RawClient(bench.simulator.storageRoot, link)
    #expect(throttled.head().status == 200)
    bench.simulator.refuse(true)
    #expect(stalled.answer().end == .reset && throttled.answer(hasBody: false).end == .reset)
  }

  @Test("on a shared port, and on a kept connection, a request while refusing is reset and counted")
  func shared() throws {
    let bench = try Bench()
    let link = bench.link()
    let kept = RawClient(bench.simulator.root, link, headers: ["Range": "bytes=0-9"], isKept: true)
    #expect(kept.answer().status == 206)
    bench.simulator.refuse(true)
    #expect(bench.get(link).end == .reset)
    kept.ask(link)
    #expect(kept.answer().end == .reset)
    #expect(bench.simulator.statistics().refused == 2 && bench.simulator.statistics().statuses["none"] == 2)
    bench.simulator.reset()
    #expect(bench.get(link).status == 200)
  }

  @Test("a simulator that refuses can be stopped, and its ports used again")
  func stops() throws {
    let bench = try separateBench()
    let port = UInt16(bench.simulator.storageRoot.split(separator: ":").last ?? "") ?? 0
    bench.simulator.refuse(true)
    bench.simulator.stop()
    bench.simulator.stop()
    let next = try Bench { $0.storagePort = port }
    #expect(next.simulator.storageRoot == bench.simulator.storageRoot)
    #expect(next.get(next.link()).status == 200)
  }
}
