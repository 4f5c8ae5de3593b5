import Core
import Testing

@testable import MediaHubSim

struct StorageTests {
  @Test("a range is 206 with its place, its length and its bytes")
  func range() throws {
    let bench = try Bench()
    let answer = bench.range(bench.link(), "1000-70000")
    #expect(answer.status == 206)
    #expect(answer.headers["content-range"] == "bytes 1000-70000/\(Bench.size)")
    #expect(answer.headers["content-length"] == "69001")
    #expect(answer.headers["accept-ranges"] == "bytes")
    #expect(answer.body == bench.content(1000, 70001))
    let asked = bench.simulator.statistics().asked
    #expect(asked == [.init(file: Bench.id, range: ByteRange(1000, 70001), isRanged: true)])
    #expect(bench.simulator.statistics().bytesSent == [Bench.id: 69001])
  }

  @Test("without a range it is 200 and everything; HEAD has the headers only")
  func whole() throws {
    let bench = try Bench()
    let link = bench.link()
    #expect(bench.get(link).body == bench.content())
    let head = RawClient(bench.simulator.root, link, method: "HEAD").answer(hasBody: false)
    #expect(head.status == 200 && head.headers["content-length"] == "\(Bench.size)")
    #expect(bench.until { $0.active == 0 })
  }

  @Test("a range past the end is 416 with the size; an empty file is an empty 200")
  func unsatisfiable() throws {
    let empty = CatalogFile(id: CatalogFile.id(5), name: "empty", size: 0)
    let bench = try Bench([CatalogFile(id: Bench.id, name: "f", size: Bench.size), empty])
    let answer = bench.range(bench.link(), "\(Bench.size)-")
    #expect(answer.status == 416 && answer.headers["content-range"] == "bytes */\(Bench.size)")
    let nothing = bench.get(bench.link(empty.id))
    #expect(nothing.status == 200 && nothing.headers["content-length"] == "0")
  }

  @Test("ranges past 4 GiB are exact")
  func large() throws {
    let bench = try Bench([CatalogFile(id: Bench.id, name: "f", size: 6 << 30)])
    let start: Int64 = 5 << 30
    let answer = bench.range(bench.link(), "\(start - 10)-\(start + 9)")
    #expect(answer.headers["content-range"] == "bytes \(start - 10)-\(start + 9)/\(6 << 30)")
    #expect(answer.body == bench.content(start - 10, start + 10))
  }

  @Test("If-Range holds for the file's own ETag or date, and gets the whole file otherwise")
  func ifRange() throws {
    let bench = try Bench()
    let link = bench.link()
    let first = bench.range(link, "0-9")
    let etag = first.headers["etag"] ?? ""
    let date = first.headers["last-modified"] ?? ""
    #expect(bench.range(bench.link(), "5-9", headers: ["If-Range": etag]).status == 206)
    #expect(bench.range(link, "5-9", headers: ["If-Range": date]).status == 206)
    #expect(bench.range(link, "5-9", headers: ["If-Range": "\"other\""]).status == 200)
    #expect(bench.range(bench.link(tag: "other"), "5-9").headers["etag"] != etag)
    bench.simulator.change(file: Bench.id)
    let changed = bench.range(link, "5-9", headers: ["If-Range": etag])
    #expect(changed.status == 200 && changed.headers["etag"] != etag && changed.headers["last-modified"] != date)
    #expect(changed.body == bench.content())
  }

  @Test("validators can be weak or missing")
  func validators() throws {
    let bench = try Bench { ($0.settings.etag, $0.settings.lastModified) = (.weak, false) }
    let weak = bench.range(bench.link(), "0-9").headers
    #expect(weak["etag"]?.hasPrefix("W/\"") == true && weak["last-modified"] == nil)
    bench.simulator.set { $0.etag = .none }
    #expect(bench.range(bench.link(), "0-9").headers["etag"] == nil)
  }

  @Test("a throttled answer takes at least its time", arguments: [true, false])
  func throttle(ofConnection: Bool) throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.set { if ofConnection { $0.ratePerConnection = 600_000 } else { $0.rate = 600_000 } }
    let start = SystemClock().now()
    #expect(bench.get(link).body == bench.content())
    #expect(SystemClock().now() - start > .milliseconds(450))
  }

  @Test("a rate that is lifted lets waiting answers go")
  func lifted() throws {
    let bench = try Bench { $0.settings.rate = 1 }
    let client = RawClient(bench.simulator.root, bench.link())
    #expect(client.head().status == 200)
    bench.simulator.set { $0.rate = 0 }
    #expect(client.body(Int(Bench.size)) == bench.content())
  }

  @Test("stop ends held, stalled and throttled answers")
  func stops() throws {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.stall(after: 10, for: nil)))
    let stalled = RawClient(bench.simulator.root, link)
    #expect(stalled.head().status == 200)
    #expect(bench.until { $0.held == 1 })
    bench.simulator.hold()
    let held = RawClient(bench.simulator.root, link)
    #expect(bench.until { $0.held == 2 })
    bench.simulator.stop()
    #expect(held.head().status == 0)
    #expect(stalled.body(100).count == 10)
  }
}
