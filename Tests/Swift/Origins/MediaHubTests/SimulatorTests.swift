import Core
import MediaHubSim
import Testing
import Transfer

@testable import MediaHub

/// The client against a simulated MediaHub, by real sockets.
struct SimulatorTests {
  /// A service with three files, one of them a stub in the list; each in a job of its own.
  private struct Bench: Sendable {
    let simulator: Simulator
    let id = CatalogFile.id(1)
    let stub = CatalogFile.id(2)
    let plain = CatalogFile.id(3)
    let empty = CatalogFile.id(4)

    init(_ change: (inout Behaviour) -> Void = { _ in }) throws {
      var options = Simulator.Options()
      options.catalog = Catalog(files: [
        CatalogFile(id: id, name: "Holiday in Zoë's & Co.mp4", size: 300_001),
        CatalogFile(id: stub, name: "stub.mov", size: 5_000_000_000, isStub: true),
        CatalogFile(id: plain, name: "unmarked.mp4", size: 10, hasAutograph: false),
        CatalogFile(id: empty, name: "empty.mp4", size: 0),
      ])
      change(&options.settings)
      simulator = try Simulator(options)
    }

    @TransferLoop
    func client(_ http: HTTPClient, secret: String = "demo-secret") -> MediaHubClient {
      let options = MediaHubClient.Options(
        base: simulator.baseURL, clientID: "demo-client", clientSecret: Redacted(secret))
      return MediaHubClient(options: options, sender: http, ranges: http) { _ in }
    }
  }

  @Test(
    "jobs are listed with sizes in every spelling, stubs completed",
    arguments: [Behaviour.NumberSpelling.number, .float, .string])
  func jobs(spelling: Behaviour.NumberSpelling) async throws {
    let bench = try Bench { $0.sizeSpelling = spelling }
    try await onLoop {
      let client = bench.client(HTTPClient())
      let page = try await client.jobs(search: nil, start: 0, limit: 10)
      // The service itself leaves out the unmarked file: autograph=true.
      #expect(Set(page.jobs.flatMap(\.outputs).map(\.fileId)) == [bench.id, bench.stub, bench.empty])
      #expect(page.total == 3)
      let sizes = Dictionary(uniqueKeysWithValues: page.jobs.flatMap(\.outputs).map { ($0.fileId, $0.size) })
      #expect(sizes == [bench.id: 300_001, bench.stub: 5_000_000_000, bench.empty: 0])
      let found = try await client.jobs(search: "ZOË'S & CO", start: 0, limit: 10)
      #expect(found.jobs.map(\.name) == ["Holiday in Zoë's & Co.mp4"])
      #expect(try await client.jobs(search: nil, start: 3, limit: 10).jobs.isEmpty)
      #expect(try await client.jobs(search: nil, start: 1, limit: 1).jobs.count == 1)
      let job = try #require(found.jobs.first)
      #expect(try await client.job(job.id) == job)
      #expect(try await client.file(bench.id) == job.outputs.first)
      #expect(bench.simulator.statistics().tokensMinted == 1)
    }
  }

  @Test(
    "a recipient's bytes come through a link, absolute or relative, and the bearer never gets to the storage",
    arguments: [
      ("Jane Doe", false, 0), ("a+b&c=d#e%f/g?h", true, 2), ("Zoë ..", false, 1),
    ])
  func bytes(tag: String, isRelative: Bool, hops: Int) async throws {
    let bench = try Bench {
      $0.relativeLocation = isRelative
      $0.storageHops = hops
    }
    try await onLoop {
      let http = HTTPClient()
      let client = bench.client(http)
      let origin = try await client.source(file: try await client.file(bench.id), recipient: tag)
      let range = ByteRange(100_000, 200_000)
      let link = try await origin.link(replacing: nil)
      let bytes = try await CollectedRange.fetch(range, of: origin, link: link, http)
      #expect(bytes == bench.simulator.content(file: bench.id, tag: tag, range: range))
      #expect(bench.simulator.statistics().unwanted.isEmpty)
    }
  }

  @Test("a revoked link is replaced by one that works, once for all readers")
  func revoked() async throws {
    let bench = try Bench()
    try await onLoop {
      let http = HTTPClient()
      let origin = bench.client(http).source(fileID: bench.id, name: "a.mp4", size: 300_001, recipient: "t")
      let first = try await origin.link(replacing: nil)
      bench.simulator.revokeLinks()
      await #expect(throws: TransferError.self) {
        try await CollectedRange.fetch(ByteRange(0, 10), of: origin, link: first, http)
      }
      let readers = (0..<8).map { _ in Task { try await origin.link(replacing: first.generation) } }
      for reader in readers { #expect(try await reader.value.generation == 2) }
      let second = try await origin.link(replacing: nil)
      #expect(try await CollectedRange.fetch(ByteRange(0, 10), of: origin, link: second, http).count == 10)
      #expect(bench.simulator.statistics().linksMinted == 2)
    }
  }

  @Test(
    "tokens may be revoked at any time, spelled in any way and short-lived",
    arguments: [
      Behaviour.LifetimeSpelling.string, .number, .absent,
    ])
  func tokens(spelling: Behaviour.LifetimeSpelling) async throws {
    let bench = try Bench { $0.expiresIn = spelling }
    try await onLoop {
      let client = bench.client(HTTPClient())
      for round in 1...3 {
        _ = try await client.file(bench.id)
        _ = try await client.file(bench.id)
        #expect(bench.simulator.statistics().tokensMinted == round)
        bench.simulator.revokeTokens()
      }
    }
  }

  @Test("trouble of the service passes unnoticed, or is told as what it is")
  func trouble() async throws {
    let bench = try Bench()
    try await onLoop {
      let client = bench.client(HTTPClient())
      for route in [Route.token, .files, .jobs, .downloads] {
        bench.simulator.add(Fault(.status(503, retryAfter: nil), route: route))
        bench.simulator.add(Fault(.reset(after: 0), route: route))
      }
      _ = try await client.file(bench.id)
      _ = try await client.jobs(search: nil, start: 0, limit: 1)
      let output = try await client.file(bench.id)
      _ = try await client.source(file: output, recipient: "t")

      for effect in [Fault.Effect.malformed, .htmlPage, .missing] {
        bench.simulator.add(Fault(effect, route: .downloads))
        guard case .malformed? = await failure({ try await client.source(file: output, recipient: "t") }) else {
          Issue.record("\(effect)")
          continue
        }
      }
      for effect in [Fault.Effect.malformed, .htmlPage] {
        bench.simulator.add(Fault(effect, route: .jobs))
        guard case .malformed? = await failure({ try await client.jobs(search: nil, start: 0, limit: 1) }) else {
          Issue.record("\(effect)")
          continue
        }
      }
      bench.simulator.add(Fault(.status(404, retryAfter: nil), route: .files, count: 1))
      guard case .notFound? = await failure({ try await client.file(bench.id) }) else {
        Issue.record("not told as missing")
        return
      }
    }
  }

  @Test("a file that is not AutoGraph-enabled, an unknown one and wrong credentials are told as such")
  func refusals() async throws {
    let bench = try Bench()
    try await onLoop {
      let http = HTTPClient()
      let client = bench.client(http)
      let plain = try await client.file(bench.plain)
      #expect(
        await failure { try await client.source(file: plain, recipient: "t") }
          == .refused(
            "MediaHub gives no link to file \(bench.plain) for this recipient (400); the file may not be "
              + "AutoGraph-enabled"
          ))
      let unknown = CatalogFile.id(77)
      #expect(
        await failure { try await client.file(unknown) }
          == .notFound("there is no file \(unknown) in MediaHub; `fsmvp jobs` lists what there is"))
      #expect(
        await failure { try await bench.client(http, secret: "wrong").file(bench.id) }
          == .refused("MediaHub refused the credentials (401); check client_id and client_secret"))
    }
  }

  @Test("a service that is not there is named with scheme and host, and the setting to check")
  func absent() async throws {
    let bench = try Bench()
    bench.simulator.stop()
    try await onLoop {
      guard case .unreachable(let sentence)? = await failure({ try await bench.client(HTTPClient()).file("f") }) else {
        Issue.record("not unreachable")
        return
      }
      #expect(sentence.hasPrefix("MediaHub at \(bench.simulator.root) cannot be reached ("))
      #expect(sentence.hasSuffix("; check the network and the setting api_base"))
    }
  }

  @Test("the pause between two tries ends by itself on the loop")
  func pause() async throws {
    let bench = try Bench()
    try await onLoop {
      let options = MediaHubClient.Options(
        base: bench.simulator.baseURL, clientID: "demo-client", clientSecret: Redacted("demo-secret"))
      let client = MediaHubClient(options: options, http: HTTPClient())
      bench.simulator.add(Fault(.status(503, retryAfter: nil), route: .files))
      let file = try await client.file(bench.id)
      #expect(file.size == 300_001)
    }
  }
}
