import Core
import Testing

@testable import MediaHubSim

struct ProgramTests {
  @Test("the command line")
  func flags() throws {
    let id = CatalogFile.id(1)
    let options = try MediaHubSimProgram.parse([
      "--port", "8080", "--rate", "40MiB", "--rate-per-connection", "1MiB", "--file", "\(id):1GiB:a: b.bin", "--video",
      "\(CatalogFile.id(2)):3MiB:c.mov", "--client-id", "me", "--client-secret", "s",
    ])
    #expect(
      options?.port == 8080 && options?.settings.rate == 40 << 20 && options?.settings.ratePerConnection == 1 << 20)
    #expect(options?.catalog[id] == CatalogFile(id: id, name: "a: b.bin", size: 1 << 30))
    #expect(options?.catalog[CatalogFile.id(2)]?.kind == .videoMoovLast)
    #expect(options?.clientID == "me" && options?.clientSecret == "s" && options?.storagePort == nil)
    #expect(try MediaHubSimProgram.parse(["--help"]) == nil)
  }

  @Test("each setting of the admin routes has its flag, and each flag its effect")
  func behaviour() throws {
    let arguments = [
      "--first-byte-delay", "80ms", "--api-delay", "1.5s", "--expires-in", "absent", "--token-seconds", "10m",
      "--size-spelling", "float",
      "--link-seconds", "90", "--link-expiry-shown", "--relative-location", "--storage-hops", "3", "--etag", "weak",
      "--no-last-modified",
      "--max-connections", "4", "--max-requests-per-second", "20", "--limit-status", "503", "--limit-retry-after", "7",
      "--same-date", "--expired-status", "400", "--link-ready", "1.5", "--no-ranges",
    ]
    let settings = try #require(try MediaHubSimProgram.parse(arguments)?.settings)
    #expect(settings.firstByteDelay == .milliseconds(80) && settings.apiDelay == .milliseconds(1500))
    #expect(settings.expiresIn == .absent && settings.tokenSeconds == 600 && settings.sizeSpelling == .float)
    #expect(
      settings.linkSeconds == 90 && settings.linkExpiryShown && settings.relativeLocation && settings.storageHops == 3)
    #expect(settings.etag == .weak && !settings.lastModified)
    #expect(settings.maxConnections == 4 && settings.maxRequestsPerSecond == 20)
    #expect(settings.limitStatus == 503 && settings.limitRetryAfter == 7 && !settings.dateChanges)
    #expect(settings.expiredStatus == 400 && settings.linkReadySeconds == 1.5 && !settings.ranges)
    // A key without a flag would not be noticed above.
    #expect(Set(BehaviourFlag.all.map(\.name)).subtracting(arguments) == ["--rate", "--rate-per-connection"])
    #expect(BehaviourFlag.all.count == Mirror(reflecting: Behaviour()).children.count)
  }

  @Test("faults have the keys of their JSON, and an id of digits stays an id")
  func faults() throws {
    let id = CatalogFile.id(0x100)
    let options = try MediaHubSimProgram.parse([
      "--fault", "cut,after=300kB,count=5", "--fault",
      "status,status=503,retry_after=2,probability=0.25,seed=9,for_ms=1500,file=\(id)",
      "--fault", "stall,after=10,for_ms=20,active_ms=30,route=jobs", "--seed", "77",
    ])
    let faults = try #require(options?.faults)
    #expect(options?.seed == 77 && faults.count == 3)
    #expect(
      faults[0].effect == .cut(after: 300_000) && faults[0].count == 5 && faults[0].probability == 1
        && faults[0].lifetime == nil)
    #expect(faults[1].effect == .status(503, retryAfter: 2) && faults[1].count == nil && faults[1].file == id)
    #expect(faults[1].probability == 0.25 && faults[1].seed == 9 && faults[1].lifetime == .milliseconds(1500))
    #expect(faults[2].effect == .stall(after: 10, for: .milliseconds(20)) && faults[2].lifetime == .milliseconds(30))
    #expect(faults[2].route == .jobs)
  }

  @Test("a port of the storage's own is asked for by any of its flags")
  func storage() throws {
    #expect(try MediaHubSimProgram.parse(["--separate-storage"])?.storagePort == 0)
    #expect(try MediaHubSimProgram.parse(["--storage-port", "8081", "--separate-storage"])?.storagePort == 8081)
  }

  @Test("what makes no sense is refused with the flag's name")
  func refused() {
    let id = CatalogFile.id(1)
    for bad in [
      ["--port"], ["--port", "x"], ["--file", "1:2:3"], ["--file", "\(id):1"], ["--what", "1"], ["x"],
      ["--etag", "soft"],
      ["--first-byte-delay", "soon"], ["--storage-hops", "-1"], ["--limit-status", "200"], ["--fault", "cat"],
      ["--fault", "cut,after"],
      ["--fault", "cut,afterwards=1"], ["--fault", "gzip,probability=1.5"], ["--fault", "long,bytes=0"],
      ["--tls-cert", "cert.pem"],
      ["--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"],
    ] {
      do {
        _ = try MediaHubSimProgram.parse(bad)
        Issue.record("\(bad) was taken")
      } catch {
        if bad.count == 2, bad[0].hasPrefix("--limit") || bad[0] == "--fault" || bad[0] == "--etag" {
          #expect("\(error)".contains(bad[0]))
        }
      }
    }
  }

  @Test("the help has every flag and every kind of fault")
  func usage() {
    let flags =
      BehaviourFlag.all.map(\.name) + [
        "--port", "--demo", "--file", "--video", "--client-id", "--client-secret", "--help", "--separate-storage",
        "--storage-port",
        "--tls-cert", "--tls-key", "--storage-tls-cert", "--storage-tls-key", "--fault", "--seed",
      ]
    let lines = MediaHubSimProgram.usage.split(separator: "\n").map { $0.drop { $0 == " " } }
    for flag in flags { #expect(lines.contains { $0.hasPrefix(flag + " ") || $0 == flag }, "\(flag)") }
    let effects: [Fault.Effect] = [
      .cut(after: 0), .reset(after: 0), .stall(after: 0, for: nil), .short(bytes: 0), .long(bytes: 1, as: .junk),
      .status(500, retryAfter: nil),
      .delay(.zero), .slow(rate: 1), .wholeBody, .wrongStart(by: 1), .wrongTotal(by: 1), .otherETag, .change,
      .shifted(by: 1), .htmlPage,
      .htmlRange, .gzip, .header(name: "", value: "", instead: false), .part(bytes: 1), .wide(by: 1), .malformed,
      .missing,
    ]
    for effect in effects {
      #expect(lines.contains { $0.hasPrefix(effect.kind + ",") || $0.hasPrefix(effect.kind + " ") }, "\(effect.kind)")
    }
    #expect(lines.allSatisfy { $0.count <= 140 })
  }
}
