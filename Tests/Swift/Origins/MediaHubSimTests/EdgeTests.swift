import MediaHubSim
import Testing

@Suite("Simulator: what the storage says of versions")
struct EdgeTests {
  @Test(
    "two edges have ETags of their own by turns, an erratic origin another one each time, and the date can stand still")
  func edges() throws {
    let bench = try Bench()
    let link = bench.link()
    func tag() -> String { bench.range(link, "0-1").headers["etag"] ?? "" }
    #expect(bench.post("/_sim/set", #"{"etag":"edges"}"#).status == 200)
    let tags = (0..<4).map { _ in tag() }
    #expect(tags[0] == tags[2] && tags[1] == tags[3] && tags[0] != tags[1])
    #expect(bench.post("/_sim/set", #"{"etag":"erratic","date_changes":false}"#).status == 200)
    #expect(Set((0..<4).map { _ in tag() }).count == 4)
    let date = bench.range(link, "0-1").headers["last-modified"]
    let bytes = bench.range(link, "0-99").body
    #expect(bench.post("/_sim/change", #"{"file":"\#(Bench.id)"}"#).status == 200)
    let after = bench.range(link, "0-99")
    #expect(after.headers["last-modified"] == date && after.body != bytes)
  }

  @Test("a link that has ended is refused as it is told to be, with S3's code for 400", arguments: [400, 401, 410])
  func expired(status: Int) throws {
    let bench = try Bench { $0.settings.linkSeconds = -1 }
    #expect(bench.post("/_sim/set", #"{"expired_status":\#(status)}"#).status == 200)
    let answer = bench.get(bench.link())
    #expect(answer.status == status && answer.text.contains(status == 400 ? "ExpiredToken" : "AccessDenied"))
    #expect(bench.post("/_sim/set", #"{"expired_status":200}"#).status == 400)
  }

  @Test("a link that is too young is 404, and an older one beside it is not")
  func young() throws {
    let bench = try Bench()
    let old = bench.link()
    bench.simulator.set { $0.linkReadySeconds = 3 }
    #expect(bench.until { _ in bench.get(old).status == 200 })
    let link = bench.link()
    #expect(bench.get(link).status == 404 && bench.get(old).status == 200)
    #expect(bench.until { _ in bench.get(link).status == 200 })
  }

  @Test("an origin without ranges says so and answers with the whole file")
  func noRanges() throws {
    let bench = try Bench()
    bench.simulator.set { $0.ranges = false }
    let answer = bench.range(bench.link(), "100-199")
    #expect(answer.status == 200 && answer.headers["accept-ranges"] == "none" && answer.body == bench.content())
  }

  @Test("header lines can be odd, and a range shorter or wider than asked for, which the answer tells")
  func odd() throws {
    let bench = try Bench()
    let link = bench.link()
    func ask(_ fault: String) -> RawClient.Answer {
      #expect(bench.post("/_sim/fault", fault).status == 200)
      return bench.range(link, "5000-5099")
    }
    let aws = ask(#"{"kind":"header","name":"Content-Encoding","value":"aws-chunked"}"#)
    #expect(aws.headers["content-encoding"] == "aws-chunked" && aws.body == bench.content(5000, 5100))
    let spelled = ask(#"{"kind":"header","name":"content-range","value":"Bytes={first} - {last}/*","as":"instead"}"#)
    #expect(spelled.headers["content-range"] == "Bytes=5000 - 5099/*" && spelled.body == bench.content(5000, 5100))
    #expect(ask(#"{"kind":"header","name":"Content-Type","as":"instead"}"#).headers["content-type"] == nil)
    let part = ask(#"{"kind":"part","bytes":10}"#)
    #expect(part.headers["content-range"] == "bytes 5000-5009/\(Bench.size)" && part.body == bench.content(5000, 5010))
    let wide = ask(#"{"kind":"wide","by":"4KiB"}"#)
    #expect(wide.headers["content-range"] == "bytes 904-9195/\(Bench.size)" && wide.body == bench.content(904, 9196))
    #expect(ask(#"{"kind":"long","bytes":0,"as":"chunked"}"#).headers["transfer-encoding"] == "chunked")
  }

  @Test(
    "silence: what is open gets nothing more, in the middle of a body, before a head and on a kept connection; what is new does"
  )
  func silence() throws {
    let bench = try Bench()
    let link = bench.link()
    let kept = RawClient(bench.simulator.root, link, headers: ["Range": "bytes=0-9"], isKept: true)
    #expect(kept.answer().body == bench.content(0, 10))
    let gate = bench.simulator.hold(Gate(from: 1000))
    let (body, head) = (
      RawClient(bench.simulator.root, link),
      RawClient(bench.simulator.root, link, headers: ["Range": "bytes=2000-2009"])
    )
    #expect(body.head().status == 200 && body.body(1000) == bench.content(0, 1000))
    #expect(bench.until { $0.held == 2 })
    #expect(bench.post("/_sim/silence", "{}").status == 200)
    bench.simulator.release(gate)
    kept.ask(link, headers: ["Range": "bytes=0-9"])
    #expect(bench.until { $0.held == 3 })
    #expect(bench.get(link).body == bench.content())
    bench.simulator.reset()
    #expect([kept.head().status, head.head().status] == [0, 0] && body.rest() == [])
    #expect(bench.until { $0.held == 0 && $0.active == 0 })
  }

  @Test("a change can give a file another length")
  func length() throws {
    let bench = try Bench()
    #expect(bench.post("/_sim/change", #"{"file":"\#(Bench.id)","size":1000}"#).status == 200)
    let answer = bench.range(bench.link(), "0-9")
    #expect(answer.headers["content-range"] == "bytes 0-9/1000" && answer.body == bench.content(0, 10))
    #expect(bench.get("/v1/files/\(Bench.id)", headers: bench.bearer).json["file"]?["size"]?.int == 1000)
  }
}
