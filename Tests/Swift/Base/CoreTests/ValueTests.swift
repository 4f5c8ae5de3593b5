import Testing

@testable import Core

@Suite("Small values")
struct ValueTests {
  @Test(
    "sizes are read as people write them",
    arguments: [
      ("4096", 4096), ("64MiB", 64 << 20), ("1.5 GiB", 3 << 29), ("2 kB", 2000), ("7B", 7), ("1_000", 1000),
      ("40mib", 40 << 20),
    ] as [(String, Int64)])
  func sizes(text: String, value: Int64) { #expect(ByteCount.parse(text) == value) }

  @Test("what is no size is refused", arguments: ["", "MiB", "-1", "12 parsecs", "1.5", "99999999999 TiB", "0x10"])
  func noSizes(text: String) { #expect(ByteCount.parse(text) == nil) }

  @Test(
    "sizes are written short",
    arguments: [(0, "0 B"), (1023, "1023 B"), (512 << 20, "512 MiB"), (3 << 29, "1.5 GiB"), (1100, "1.1 KiB")]
      as [(Int64, String)])
  func formatted(value: Int64, text: String) { #expect(ByteCount.format(value) == text) }

  @Test("a secret does not print")
  func redacted() {
    struct Holder { let token: Redacted<String> }
    let token = Redacted("s3cret")
    var dumped = ""
    dump(Holder(token: token), to: &dumped)
    #expect(!"\(token) \(Holder(token: token)) \(String(reflecting: token)) \(dumped)".contains("s3cret"))
    #expect(token.reveal() == "s3cret")
  }

  @Test("the stable hash is the published FNV-1a and keeps parts apart")
  func hash() {
    var empty = StableHash()
    #expect(empty.value == 0xcbf2_9ce4_8422_2325)
    empty.combine([UInt8]())
    #expect(StableHash.hex("ab", "c") != StableHash.hex("a", "bc"))
    #expect(StableHash.hex("file", "tag") == StableHash.hex("file", "tag"))
    #expect(StableHash.hex("x").count == 16)
  }

  @Test(
    "this machine is 127.0.0.0/8, ::1 and localhost, in no other spelling",
    arguments: [
      ("127.0.0.1", true), ("127.255.0.9", true), ("localhost", true), ("LocalHost", true), ("[::1]", true),
      ("::1", true),
      ("127.1", false),
      ("0177.0.0.1", false), ("127.0.0.256", false), ("128.0.0.1", false), ("127.0.0.1.example.com", false),
      ("localhost.example.com", false),
      ("", false), ("127.0.0.", false),
    ])
  func loopback(host: String, isHere: Bool) { #expect(Loopback.contains(host) == isHere) }

  @Test("ranges grow to blocks but not past the file")
  func aligned() {
    #expect(ByteRange(70_000, 70_001).aligned(to: 65536, limit: 1_000_000) == ByteRange(65536, 131072))
    #expect(ByteRange(70_000, 70_001).aligned(to: 65536, limit: 80_000) == ByteRange(65536, 80_000))
  }

  @Test("moments order and subtract")
  func moments() {
    let start = Moment(nanoseconds: 1_000)
    #expect(start + .milliseconds(2) > start)
    #expect((start + .seconds(1)) - start == .seconds(1))
    #expect(start - (start + .seconds(1)) == .seconds(-1))
    #expect(Duration.microseconds(1).milliseconds == 1)
  }

  @Test(
    "per cent are rounded down, so that 100 is all of it",
    arguments: [
      (0, 1000, 0), (999, 1000, 99), (1000, 1000, 100), (5000, 1000, 100), (-5, 1000, 0), (-1, 10, 0), (0, 0, 100),
      (0, 100, 0),
      (29, 100, 29), (Int64.max - 1, .max, 99),
    ] as [(Int64, Int64, Int)])
  func percent(part: Int64, whole: Int64, percent: Int) { #expect(ByteCount.percent(part, of: whole) == percent) }
}
