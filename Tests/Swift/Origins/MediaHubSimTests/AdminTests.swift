import Core
import Testing

@testable import MediaHubSim

struct AdminTests {
  @Test("settings merge, and a misspelt one is refused")
  func set() throws {
    let bench = try Bench()
    #expect(bench.post("/_sim/set", #"{"rate": "40MiB", "first_byte_delay_ms": 1.5}"#).status == 200)
    #expect(bench.post("/_sim/set", #"{"expires_in": "number"}"#).status == 200)
    let settings = bench.simulator.hub.state.withLock { $0.settings }
    #expect(
      settings.rate == 40 << 20 && settings.firstByteDelay == .microseconds(1500) && settings.expiresIn == .number)
    for bad in [#"{"rates": 1}"#, #"{"rate": "fast"}"#, #"{"rate": 1"#, #"[]"#, #"{"expires_in": "soon"}"#] {
      #expect(bench.post("/_sim/set", bad).status == 400, "\(bad)")
    }
  }

  @Test(
    "every kind of fault has a JSON form",
    arguments: [
      (#"{"kind":"cut","after":"1KiB"}"#, .cut(after: 1024)), (#"{"kind":"reset"}"#, .reset(after: 0)),
      (#"{"kind":"stall","after":5,"for_ms":100}"#, .stall(after: 5, for: .milliseconds(100))),
      (#"{"kind":"short","bytes":3}"#, .short(bytes: 3)), (#"{"kind":"long"}"#, .long(bytes: 1000, as: .junk)),
      (#"{"kind":"long","bytes":3,"as":"chunked"}"#, .long(bytes: 3, as: .chunked)),
      (#"{"kind":"status","status":429,"retry_after":2}"#, .status(429, retryAfter: 2)),
      (#"{"kind":"delay","ms":5}"#, .delay(.milliseconds(5))),
      (#"{"kind":"slow","rate":"1MiB"}"#, .slow(rate: 1 << 20)), (#"{"kind":"whole_body"}"#, .wholeBody),
      (#"{"kind":"wrong_start","by":-2}"#, .wrongStart(by: -2)), (#"{"kind":"wrong_total"}"#, .wrongTotal(by: 1)),
      (#"{"kind":"other_etag"}"#, .otherETag), (#"{"kind":"change"}"#, .change),
      (#"{"kind":"shifted","by":512}"#, .shifted(by: 512)),
      (#"{"kind":"html_page"}"#, .htmlPage), (#"{"kind":"html_range"}"#, .htmlRange), (#"{"kind":"gzip"}"#, .gzip),
      (#"{"kind":"malformed"}"#, .malformed), (#"{"kind":"missing"}"#, .missing),
    ] as [(String, Fault.Effect)])
  func fault(text: String, effect: Fault.Effect) throws {
    let fault = try Fault(JSON(parsing: text.utf8))
    #expect(fault.effect == effect)
    #expect(text.contains("\"\(effect.kind)\""))
  }

  @Test("a fault's conditions come from JSON, and its answer is bent over HTTP")
  func faultOverHTTP() throws {
    let bench = try Bench()
    let link = bench.link()
    let body = #"[{"kind":"status","status":500,"file":"\#(Bench.id)","from":10,"until":20,"skip":0,"count":0}]"#
    #expect(bench.post("/_sim/fault", body).status == 200)
    #expect(bench.range(link, "10-11").status == 500)
    #expect(bench.range(link, "10-11").status == 500)
    #expect(bench.range(link, "20-21").status == 206)
    #expect(bench.post("/_sim/fault", #"{"kind":"cut","afterwards":1}"#).status == 400)
    #expect(bench.post("/_sim/reset", "").status == 200)
    #expect(bench.range(link, "10-11").status == 206)
  }

  @Test("files by the thousand in one request")
  func files() throws {
    let bench = try Bench([])
    let items = (0..<10_000).map { #"{"id":"\#(CatalogFile.id($0))","name":"file \#($0).bin","size":\#($0)}"# }
    #expect(bench.post("/_sim/file", "[" + items.joined(separator: ",") + "]").status == 200)
    let page = bench.get("/v1/jobs/?limit=5000&start=5000&expand=file", headers: bench.bearer).json
    #expect(page["total"]?.int == 10_000 && page["jobs"]?.items?.count == 5000)
    #expect(bench.get(bench.link(CatalogFile.id(9999))).body.count == 9999)
    #expect(bench.post("/_sim/file", items[0]).status == 400)
    #expect(bench.post("/_sim/file", #"{"id":"short","size":1}"#).status == 400)
  }

  @Test("content is right under every fault, whole or in part")
  func content() throws {
    let bench = try Bench { $0.settings.rate = 1 }
    bench.simulator.hold()
    let path = "/_sim/content?file=\(Bench.id)&tag=a%20b"
    #expect(bench.get(path).body == bench.content(tag: "a b"))
    #expect(bench.get(path + "&offset=100&length=50").body == bench.content(100, 150, tag: "a b"))
    #expect(bench.get("/_sim/content?file=\(CatalogFile.id(1))&tag=t").status == 404)
  }

  @Test("gates, revocations and changes over HTTP, and the statistics of it")
  func others() throws {
    let bench = try Bench()
    let link = bench.link()
    let gate = bench.post("/_sim/gate", #"{"file":"\#(Bench.id)","from":100}"#).json["gate"]?.int ?? 0
    let client = RawClient(bench.simulator.root, link)
    #expect(bench.until { $0.held == 1 })
    #expect(bench.post("/_sim/release", #"{"gate":\#(gate)}"#).status == 200)
    #expect(client.answer().body == bench.content())
    let etag = bench.range(link, "0-1").headers["etag"]
    #expect(bench.post("/_sim/change", #"{"file":"\#(Bench.id)"}"#).status == 200)
    #expect(bench.range(link, "0-1").headers["etag"] != etag)
    let bearer = bench.bearer
    #expect(bench.post("/_sim/revoke", #"{"tokens":true}"#).status == 200)
    #expect(bench.get("/v1/jobs/", headers: bearer).status == 401)
    #expect(bench.post("/_sim/revoke", #"{"file":"\#(Bench.id)","status":401}"#).status == 200)
    #expect(bench.get(link).status == 401)
    let stats = bench.get("/_sim/stats").json
    #expect(stats["requests"]?["storage"]?.int == 4 && stats["links_minted"]?.int == 1)
    #expect(stats["bytes_sent"]?[Bench.id]?.int == Bench.size + 4)
    #expect(stats["ranges"]?[1]?["end"]?.int == 2)
  }
}

struct JSONTests {
  @Test(
    "text survives a round trip", arguments: [#"{"a":[1,-2.5,true,null,"ä\"\\\n"],"b":{}}"#, "[]", "\"\u{1F600}\""])
  func roundTrip(text: String) throws { #expect(try JSON(parsing: text.utf8).text == text) }

  @Test(
    "escapes are read", arguments: [(#""\u00e4""#, "ä"), (#""\ud83d\ude00""#, "\u{1F600}"), (#""\/\b""#, "/\u{8}")])
  func escapes(text: String, expected: String) throws { #expect(try JSON(parsing: text.utf8).string == expected) }

  @Test(
    "what is no JSON is refused",
    arguments: ["", "{", "[1,]", "{\"a\" 1}", "1 2", "\"a", "nul", String(repeating: "[", count: 100)])
  func refused(text: String) { #expect(throws: SimulatorError.self) { try JSON(parsing: text.utf8) } }
}
