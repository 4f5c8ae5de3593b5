import Core
import Testing

@testable import Buckets

/// The values that requests are read as: paths, ids, ranges, preconditions, addresses, JSON.
@Suite("The values of bucket requests")
struct BucketValueTests {
  @Test("paths: absolute, of names that a folder may have; slashes at the end and doubled ones do not count")
  func paths() throws {
    for (text, names) in [
      ("/", []), ("/a", ["a"]), ("/a/b/", ["a", "b"]), ("//a//b", ["a", "b"]), ("/ a /b\n", [" a ", "b\n"]),
      ("/#?&%", ["#?&%"]), ("/...", ["..."]), ("/" + String(repeating: "n", count: 255), nil),
    ] {
      let path = try BucketPath(text)
      if let names { #expect(path.names.map(\.text) == names) }
    }
    for text in [
      "", "a", "a/b", "/a/../b", "/.", "/" + String(repeating: "n", count: 256), "/a\u{0}b",
      String(repeating: "/abc", count: 1025),
    ] {
      let error = #expect(throws: BucketError.self) { try BucketPath(text) }
      #expect(error?.status == 400)
    }
    let path = try BucketPath("/a/b")
    #expect(path.text == "/a/b" && path.parent.text == "/a" && path.name.text == "b" && path.parent.parent.isRoot)
    #expect(path.isInside(path.parent) && path.isInside(path) && !path.parent.isInside(path))
    #expect(!(try BucketPath("/ab").isInside(try BucketPath("/a"))))
    #expect(try BucketPath(folder: "").isRoot)
    #expect(try BucketPath("/é") != BucketPath("/e\u{301}"), "names are bytes")
    for name in ["", ".", "..", "a/b", String(repeating: "n", count: 256)] {
      #expect(throws: BucketError.self) { try path.child(name) }
    }
  }

  @Test("ids: a UUID in any case; made ones are of version 4 and differ")
  func ids() {
    let one = BucketID.make()
    #expect(BucketID.parse(one) == one && BucketID.parse(one.uppercased()) == one && one != BucketID.make())
    #expect(Array(one)[14] == "4" && "89ab".contains(Array(one)[19]))
    for text in [
      "", "x", "0d7ebca9-ea90-4000-aae7-afb07258cea", "0d7ebca9ea904000aae7afb07258cea3", one + "0",
      "g" + one.dropFirst(),
    ] {
      #expect(BucketID.parse(text) == nil)
    }
  }

  @Test("ranges of a file of ten bytes")
  func ranges() {
    let table: [(String?, FileRange)] = [
      (nil, .whole), ("bytes=0-3", .part(ByteRange(0, 4))), ("bytes=9-", .part(ByteRange(9, 10))),
      ("bytes=-3", .part(ByteRange(7, 10))), ("bytes=-99", .part(ByteRange(0, 10))),
      ("bytes=5-99999999999999999999", .part(ByteRange(5, 10))), ("Bytes = 1-1", .whole),
      ("bytes= 1 - 1", .part(ByteRange(1, 2))),
      ("bytes=10-", .unsatisfiable), ("bytes=99999999999999999999-", .unsatisfiable), ("bytes=-0", .unsatisfiable),
      ("bytes=3-2", .whole), ("bytes=0-1,3-4", .whole), ("bytes=a-b", .whole), ("lines=0-1", .whole),
      ("bytes=", .whole), ("bytes=-", .whole), ("bytes=--1", .whole),
    ]
    for (text, range) in table { #expect(FileRange(text, size: 10) == range, "\(text ?? "-")") }
    #expect(FileRange("bytes=0-", size: 0) == .unsatisfiable)
  }

  @Test("preconditions: lists, `*`, weak ETags, with and without quotes")
  func preconditions() throws {
    #expect(try Precondition(ifMatch: nil, ifNoneMatch: nil) == .none)
    #expect(try Precondition(ifMatch: "\"a\", W/\"b\" ,c", ifNoneMatch: nil) == .matches(["a", "b", "c"]))
    #expect(try Precondition(ifMatch: nil, ifNoneMatch: " * ") == .matchesNone([]))
    #expect(throws: BucketError.self) { try Precondition(ifMatch: "a", ifNoneMatch: "*") }
    #expect(throws: BucketError.self) { try Precondition(ifMatch: " , ", ifNoneMatch: nil) }
    let table: [(Precondition, String?, Bool)] = [
      (.none, nil, true), (.none, "a", true), (.matches([]), nil, false), (.matches([]), "a", true),
      (.matches(["a"]), nil, false), (.matches(["a", "b"]), "b", true), (.matches(["a"]), "b", false),
      (.matchesNone([]), nil, true), (.matchesNone([]), "a", false), (.matchesNone(["a"]), "b", true),
      (.matchesNone(["a"]), "a", false), (.matchesNone(["a"]), nil, true),
    ]
    for (precondition, etag, holds) in table { #expect(precondition.holds(for: etag) == holds) }
  }

  @Test("addresses of `bucket_listen`: this machine alone, or a Unix path")
  func addresses() {
    #expect(BucketAddress("127.0.0.1:5001") == .loopback(port: 5001))
    #expect(BucketAddress("LocalHost:0") == .loopback(port: 0))
    #expect(BucketAddress("/run/b.sock") == .unix("/run/b.sock"))
    #expect(BucketAddress("unix:/run/b.sock") == .unix("/run/b.sock"))
    for text in [
      "", "5001", "0.0.0.0:5001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "example.org:80",
      "b.sock", "[::1]:5001",
    ] {
      #expect(BucketAddress(text) == nil, "\(text)")
    }
  }

  @Test("JSON: what a string may not hold is escaped, and nothing else")
  func json() {
    let value = JSONText.object([
      ("a\"b", .text("\u{1}\n\\ü😀\u{7f}")), ("n", .number(-5)), ("l", .list([.flag(true), .none])),
      ("x", .link(BucketLink(codec: .raw, hash: "ab"))),
    ])
    #expect(
      String(decoding: value.bytes, as: UTF8.self)
        == #"{"a\"b":"\u0001\n\\ü😀\u007f","n":-5,"l":[true,null],"x":{"codec":85,"hash":"ab"}}"#)
  }

  @Test("base64 is RFC 4648's")
  func base64() {
    for (plain, text) in [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("\u{ff}\u{fe}", "w7/Dvg=="),
    ] {
      #expect(String(decoding: Base64Stream.encode(Array(plain.utf8)), as: UTF8.self) == text)
    }
  }

  @Test("times are RFC 3339 and RFC 9110")
  func times() {
    #expect(BucketTime.text(1_796_018_228_203_031_330) == "2026-11-30T05:57:08.203Z")
    #expect(BucketTime.header(1_796_018_228_203_031_330) == "Mon, 30 Nov 2026 05:57:08 GMT")
  }

  @Test("media types go by the last extension")
  func types() {
    #expect(
      MimeType.of(BucketName("A.TXT")) == "text/plain" && MimeType.of(BucketName("a.tar.gz")) == "application/gzip")
    for name in ["txt", ".txt", "a.", "a.unheard"] { #expect(MimeType.of(BucketName(name)) == MimeType.unknown) }
  }
}
