import Core
import Testing

@testable import MediaHubSim

struct ContentTests {
  private func file(_ size: Int64, kind: CatalogFile.Kind = .plain) -> CatalogFile {
    CatalogFile(id: CatalogFile.id(7), name: "f", size: size, kind: kind)
  }

  @Test("any part of a file is the same bytes as in the whole", arguments: CatalogFile.Kind.allCases)
  func partsAgree(kind: CatalogFile.Kind) {
    let content = file(2_500_001, kind: kind).content(tag: "a", version: 1)
    let whole = content.bytes(0, count: 2_500_001)
    var random = SplitMix(state: 11)
    for _ in 0..<150 {
      let start = Int.random(in: 0..<whole.count, using: &random)
      let count = Int.random(
        in: 0...min(whole.count - start, Bool.random(using: &random) ? 60 : 20_000), using: &random)
      #expect(content.bytes(Int64(start), count: count) == Array(whole[start..<start + count]), "\(start) + \(count)")
    }
  }

  @Test("every page tells its offset, also past 4 GiB")
  func pagesAreStamped() {
    let content = file(5 << 30).content(tag: "a", version: 1)
    for page: Int64 in [0, 1, 127, 128, 1_048_577, (5 << 30) / 4096 - 1] {
      #expect(content.bytes(page * 4096, count: 8) == Array(bigEndian(UInt64(page * 4096)).reversed()))
    }
  }

  @Test("two recipients' copies, two versions and two files differ, at equal length")
  func copiesDiffer() {
    let base = file(100_000).content(tag: "a", version: 1).bytes(0, count: 100_000)
    let other = CatalogFile(id: CatalogFile.id(8), name: "f", size: 100_000)
    let copy = file(100_000).content(tag: "b", version: 1).bytes(0, count: 100_000)
    #expect(copy != base)
    #expect(zip(copy, base).filter { $0 != $1 }.count < 200)
    #expect(file(100_000).content(tag: "a", version: 2).bytes(0, count: 100_000) != base)
    #expect(other.content(tag: "a", version: 1).bytes(0, count: 100_000) != base)
  }

  @Test("a shifted content wraps at its end")
  func shifted() {
    let base = BytesContent(bytes: Array(0..<10))
    #expect(ShiftedContent(base: base, distance: 3).bytes(5, count: 5) == [8, 9, 0, 1, 2])
    #expect(ShiftedContent(base: base, distance: -1).bytes(0, count: 3) == [9, 0, 1])
  }
}

struct RangeHeaderTests {
  @Test(
    "ranges are read as RFC 9110 says",
    arguments: [
      (nil, .whole), ("bytes=0-9", .part(ByteRange(0, 10))), ("bytes=90-", .part(ByteRange(90, 100))),
      ("bytes=90-500", .part(ByteRange(90, 100))), ("bytes=-10", .part(ByteRange(90, 100))),
      ("bytes=-500", .part(ByteRange(0, 100))),
      ("bytes=100-", .unsatisfiable), ("bytes=100-120", .unsatisfiable), ("bytes=-0", .unsatisfiable),
      ("bytes=5-4", .whole),
      ("bytes=0-1,3-4", .whole), ("items=0-1", .whole), ("bytes=x-1", .whole), ("bytes=", .whole),
      ("bytes=0-9223372036854775807", .part(ByteRange(0, 100))),
    ] as [(String?, RangeHeader)])
  func table(text: String?, expected: RangeHeader) { #expect(RangeHeader(text, size: 100) == expected) }

  @Test("no range of an empty file can be satisfied")
  func emptyFile() { #expect(RangeHeader("bytes=0-", size: 0) == .unsatisfiable) }
}

struct PacerTests {
  @Test("lateness is made good, a pause is not")
  func schedule() {
    var pacer = Pacer()
    let start = Moment(nanoseconds: 1_000_000_000_000)
    #expect(pacer.reserve(100, rate: 1000, now: start) == start + .milliseconds(100))
    #expect(pacer.reserve(100, rate: 1000, now: start + .milliseconds(150)) == start + .milliseconds(200))
    #expect(pacer.reserve(100, rate: 1000, now: start + .seconds(5)) == start + .milliseconds(5100))
  }
}
