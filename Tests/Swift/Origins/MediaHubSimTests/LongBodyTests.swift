import Core
import Support
import Testing

@testable import MediaHubSim

struct LongBodyTests {
  private func longBench(_ way: Fault.Excess, bytes: Int64 = 50) throws -> (Bench, String) {
    let bench = try Bench()
    let link = bench.link()
    bench.simulator.add(Fault(.long(bytes: bytes, as: way)))
    return (bench, link)
  }

  @Test("junk: the answer is right, more bytes follow it, and the next answer comes after them")
  func junk() throws {
    let (bench, link) = try longBench(.junk)
    let client = RawClient(bench.simulator.root, link, headers: ["Range": "bytes=100-199"], isKept: true)
    let answer = client.answer()
    #expect(answer.headers["content-length"] == "100" && answer.headers["connection"]?.lowercased() != "close")
    #expect(answer.body == bench.content(100, 200))
    #expect(client.body(50) == bench.content(200, 250))
    client.ask(link, headers: ["Range": "bytes=100-199"])
    #expect(client.answer().body == bench.content(100, 200))
    #expect(client.rest().isEmpty)
  }

  @Test(
    "length: a Content-Length of more than the Content-Range, and as many bytes; past the file's end they are made up")
  func length() throws {
    let (bench, link) = try longBench(.length)
    let answer = bench.range(link, "\(Bench.size - 100)-")
    #expect(answer.headers["content-range"] == "bytes \(Bench.size - 100)-\(Bench.size - 1)/\(Bench.size)")
    #expect(answer.headers["content-length"] == "150")
    #expect(answer.body == bench.content(Bench.size - 100) + [UInt8](repeating: UInt8(ascii: "*"), count: 50))
  }

  @Test("close: no length at all, and more bytes than the range until the connection ends")
  func close() throws {
    let (bench, link) = try longBench(.close)
    let client = RawClient(bench.simulator.root, link, headers: ["Range": "bytes=100-199"], isKept: true)
    let head = client.head()
    #expect(head.status == 206 && head.headers["content-range"] == "bytes 100-199/\(Bench.size)")
    #expect(head.headers["content-length"] == nil && head.headers["transfer-encoding"] == nil)
    #expect(client.rest() == bench.content(100, 250))
  }

  @Test("chunked: the chunks are more than the range, and the connection is kept")
  func chunked() throws {
    let (bench, link) = try longBench(.chunked)
    let client = RawClient(bench.simulator.root, link, headers: ["Range": "bytes=100-199"], isKept: true)
    let head = client.head()
    #expect(head.headers["content-length"] == nil && head.headers["transfer-encoding"] == "chunked")
    var body: [UInt8] = []
    while true {
      var line = ""
      while !line.hasSuffix("\r\n"), let byte = client.body(1).first {
        line.unicodeScalars.append(Unicode.Scalar(byte))
      }
      let count = try #require(Int(line.dropLast(1), radix: 16))
      body += client.body(count)
      _ = client.body(2)
      if count == 0 { break }
    }
    #expect(body == bench.content(100, 250))
    client.ask(link)
    #expect(client.answer().body == bench.content())
  }

  @Test(
    "a long body is seen by curl as what it is",
    arguments: [(Fault.Excess.length, "150"), (.chunked, "150"), (.close, "150"), (.junk, "100")])
  func curl(way: Fault.Excess, size: String) throws {
    let (bench, link) = try longBench(way)
    let done = shell(
      "curl -s -o /dev/null -w '%{http_code} %{size_download}' -r 100-199 '\(bench.simulator.root + link)'")
    #expect(done.output == "206 \(size)" && done.status == 0)
  }
}
