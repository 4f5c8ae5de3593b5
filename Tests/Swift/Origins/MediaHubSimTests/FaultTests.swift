import Core
import Testing

@testable import MediaHubSim

struct FaultTests {
  @Test("cut: the length is promised, the connection closed after k bytes, and the next request is served")
  func cut() throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.cut(after: 1000)))
    let answer = bench.range(link, "5000-9999")
    #expect(answer.headers["content-length"] == "5000")
    #expect(answer.end == .closedEarly && answer.body == bench.content(5000, 6000))
    #expect(bench.range(link, "5000-9999").end == .complete)
    #expect(bench.simulator.statistics().faults == ["cut": 1])
  }

  @Test("reset: a TCP reset after k bytes, or before the headers", arguments: [0, 1000] as [Int64])
  func reset(after: Int64) throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.reset(after: after)))
    let answer = bench.get(link)
    #expect(answer.end == .reset)
    #expect(answer.status == (after == 0 ? 0 : 200))
  }

  @Test("stall: k bytes, then nothing until the client gives up")
  func stall() throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.stall(after: 700, for: nil)))
    do {
      let client = RawClient(bench.simulator.root, link)
      #expect(client.head().headers["content-length"] == "\(Bench.size)")
      #expect(client.body(700) == bench.content(0, 700))
      #expect(bench.until { $0.held == 1 && $0.active == 1 })
    }
    #expect(bench.until { $0.held == 0 && $0.active == 0 })
  }

  @Test("stall for a time: the rest comes after it, headers included")
  func stallForATime() throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.stall(after: 0, for: .milliseconds(30))))
    #expect(bench.get(link).body == bench.content())
  }

  @Test("short: fewer bytes than the range says, with a length to match")
  func short() throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.short(bytes: 10)))
    let answer = bench.range(link, "100-199")
    #expect(answer.headers["content-range"] == "bytes 100-199/\(Bench.size)")
    #expect(answer.headers["content-length"] == "10" && answer.body == bench.content(100, 110))
  }

  @Test(
    "a burst of 5xx or 429 lasts its count, with Retry-After where asked",
    arguments: [503, 500, 429, 401, 403, 410] as [UInt32])
  func status(status: UInt32) throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.status(status, retryAfter: status == 429 ? 7 : nil), file: Bench.id, count: 2))
    let first = bench.get(link)
    #expect(first.status == Int(status) && first.headers["retry-after"] == (status == 429 ? "7" : nil))
    #expect(bench.get(link).status == Int(status))
    #expect(bench.get(link).status == 200)
  }

  @Test("whole body: 200 and the beginning of the file for a range")
  func wholeBody() throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.wholeBody))
    let answer = bench.range(link, "100-199")
    #expect(answer.status == 200 && answer.headers["content-range"] == nil && answer.body == bench.content())
  }

  @Test("wrong Content-Range: another start, another total, the right bytes")
  func wrongRange() throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.wrongStart(by: 5)))
    bench.simulator.add(Fault(.wrongTotal(by: -1)))
    let start = bench.range(link, "100-199")
    #expect(start.headers["content-range"] == "bytes 105-204/\(Bench.size)" && start.body == bench.content(100, 200))
    #expect(bench.range(link, "100-199").headers["content-range"] == "bytes 100-199/\(Bench.size - 1)")
  }

  @Test("other ETag: from an offset on, though If-Range should have refused; change: for good")
  func etags() throws {
    let bench = try Bench()
    let link = bench.link()
    let etag = bench.range(link, "0-9").headers["etag"] ?? ""
    bench.simulator.add(Fault(.otherETag, count: nil, from: 1000))
    #expect(bench.range(link, "999-1010").headers["etag"] == etag)
    let other = bench.range(link, "1000-1010", headers: ["If-Range": etag])
    #expect(other.status == 206 && other.headers["etag"] != etag && other.body == bench.content(1000, 1011))

    let before = bench.content(0, 100)
    bench.simulator.add(Fault(.change))
    let changed = bench.range(link, "0-99")
    #expect(changed.headers["etag"] != etag && changed.body != before && changed.body == bench.content(0, 100))
    #expect(bench.range(link, "0-99").headers["etag"] == changed.headers["etag"])
  }

  @Test("HTML: a small page with 200, or the length of the range with 206")
  func html() throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.htmlPage))
    bench.simulator.add(Fault(.htmlRange))
    let page = bench.range(link, "100-9999")
    #expect(
      page.status == 200 && page.headers["content-type"]?.hasPrefix("text/html") == true
        && page.text.hasPrefix("<!DOCTYPE"))
    let range = bench.range(link, "0-9999")
    #expect(range.status == 206 && range.headers["content-type"]?.hasPrefix("text/html") == true)
    #expect(range.body.count == 10_000 && range.text.hasPrefix("<!DOCTYPE"))
  }

  @Test("gzip: a Content-Encoding on plain bytes; shifted: the bytes of another place; slow and delay: the right ones")
  func others() throws {
    let bench = try Bench()
    let link = bench.link()
    for effect: Fault.Effect in [.gzip, .shifted(by: 4096), .slow(rate: 1 << 20), .delay(.milliseconds(1))] {
      bench.simulator.add(Fault(effect))
    }
    let gzip = bench.range(link, "0-99")
    #expect(gzip.headers["content-encoding"] == "gzip" && gzip.body == bench.content(0, 100))
    #expect(bench.range(link, "0-99").body == bench.content(4096, 4196))
    #expect(bench.range(link, "0-99").body == bench.content(0, 100))
    #expect(bench.range(link, "0-99").body == bench.content(0, 100))
    #expect(bench.simulator.statistics().faults == ["gzip": 1, "shifted": 1, "slow": 1, "delay": 1])
  }

  @Test("conditions: the file, the offsets, the requests to skip")
  func conditions() throws {
    let other = CatalogFile.id(4)
    let bench = try Bench([
      CatalogFile(id: Bench.id, name: "f", size: Bench.size), CatalogFile(id: other, name: "g", size: Bench.size),
    ])
    let (link, otherLink) = (bench.link(), bench.link(other))
    bench.simulator.add(Fault(.status(500, retryAfter: nil), file: Bench.id, skip: 1, from: 1000, until: 2000))
    #expect(bench.range(otherLink, "1000-1001").status == 206)
    #expect(bench.range(link, "999-1001").status == 206)
    #expect(bench.range(link, "2000-2001").status == 206)
    #expect(bench.range(link, "1000-1001").status == 206)
    #expect(bench.range(link, "1999-2001").status == 500)
    #expect(bench.range(link, "1999-2001").status == 206)
  }
}

struct APIFaultTests {
  @Test("a status, once, on each API route", arguments: [Route.token, .jobs, .files, .downloads])
  func status(route: Route) throws {
    let bench = try Bench()
    let bearer = bench.bearer
    func answer() -> Int {
      switch route {
      case .token: bench.token().status
      case .jobs: bench.get("/v1/jobs/", headers: bearer).status
      case .files: bench.get("/v1/files/\(Bench.id)", headers: bearer).status
      default:
        bench.get("/v1/files/downloads/?file_id=\(Bench.id)&autograph_tag=t&redirect=true", headers: bearer).status
      }
    }
    let usual = answer()
    for status: UInt32 in [401, 500] {
      bench.simulator.add(Fault(.status(status, retryAfter: nil), route: route))
      #expect(answer() == Int(status))
      #expect(answer() == usual)
    }
  }

  @Test("malformed and missing: half of the JSON, or the JSON without its fields")
  func bodies() throws {
    let bench = try Bench()
    let bearer = bench.bearer
    for route: Route in [.token, .jobs, .downloads] { bench.simulator.add(Fault(.malformed, route: route)) }
    #expect(bench.token().json == .null)
    #expect(bench.get("/v1/jobs/", headers: bearer).json == .null)
    let download = "/v1/files/downloads/?file_id=\(Bench.id)&autograph_tag=t&redirect=true"
    #expect(bench.get(download, headers: bearer).headers["location"]?.hasPrefix("http://[") == true)
    for route: Route in [.token, .jobs, .downloads] { bench.simulator.add(Fault(.missing, route: route)) }
    let token = bench.token().json
    #expect(token["access_token"] == nil && token["expires_in"] != nil)
    let jobs = bench.get("/v1/jobs/?expand=file", headers: bearer).json
    #expect(
      jobs["total"] == nil && jobs["jobs"]?[0]?["input"] == nil
        && jobs["jobs"]?[0]?["outputs"]?[0]?["file"]?["size"] == nil)
    let found = bench.get(download, headers: bearer)
    #expect(found.status == 302 && found.headers["location"] == nil)
  }

  @Test("an API answer can be cut and reset")
  func transport() throws {
    let bench = try Bench()
    let bearer = bench.bearer
    bench.simulator.add(Fault(.cut(after: 5), route: .jobs))
    let cut = bench.get("/v1/jobs/", headers: bearer)
    #expect(cut.end == .closedEarly && cut.body.count == 5)
    bench.simulator.add(Fault(.reset(after: 0), route: .jobs))
    #expect(bench.get("/v1/jobs/", headers: bearer).end == .reset)
  }
}

struct GateTests {
  @Test("a gate holds the headers until it is released")
  func headers() throws {
    let bench = try Bench()
    let link = bench.link()
    let gate = bench.simulator.hold(Gate(file: Bench.id))
    let client = RawClient(bench.simulator.root, link)
    #expect(bench.until { $0.held == 1 && $0.requests(.storage) == 1 && $0.active == 0 })
    bench.simulator.release(gate)
    #expect(client.answer().body == bench.content())
    #expect(bench.simulator.statistics().held == 0)
  }

  @Test("a gate at an offset lets what is before it through")
  func offset() throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.hold(Gate(from: 123_456))
    let client = RawClient(bench.simulator.root, link)
    #expect(client.head().status == 200)
    #expect(client.body(123_456) == bench.content(0, 123_456))
    #expect(bench.until { $0.held == 1 && $0.bytesSent[Bench.id] == 123_456 })
    #expect(bench.range(link, "0-99").status == 206)
    bench.simulator.release()
    #expect(client.body(Int(Bench.size)) == bench.content(123_456))
  }

  @Test("a client that goes away leaves its gate; a gate of the API holds the API alone")
  func others() throws {
    let bench = try Bench()
    let (link, bearer) = (bench.link(), bench.bearer)
    bench.simulator.hold(Gate(route: .jobs))
    do {
      let client = RawClient(bench.simulator.root, "/v1/jobs/", headers: bearer)
      #expect(bench.until { $0.held == 1 })
      #expect(bench.get(link).status == 200)
      withExtendedLifetime(client) {}
    }
    #expect(bench.until { $0.held == 0 })
  }
}
