import Core
import Testing

@testable import MediaHub

struct WebAddressTests {
  private static let base = "http://a/b/c/d;p?q"

  @Test(
    "references resolve as RFC 3986 section 5.4 says",
    arguments: [
      ("g:h", "g:h"), ("g", "http://a/b/c/g"), ("./g", "http://a/b/c/g"), ("g/", "http://a/b/c/g/"),
      ("/g", "http://a/g"),
      ("//g", "http://g"),
      ("?y", "http://a/b/c/d;p?y"), ("g?y", "http://a/b/c/g?y"), ("#s", "http://a/b/c/d;p?q#s"),
      ("g#s", "http://a/b/c/g#s"),
      ("g?y#s", "http://a/b/c/g?y#s"), (";x", "http://a/b/c/;x"), ("g;x", "http://a/b/c/g;x"),
      ("g;x?y#s", "http://a/b/c/g;x?y#s"),
      ("", "http://a/b/c/d;p?q"), (".", "http://a/b/c/"), ("./", "http://a/b/c/"), ("..", "http://a/b/"),
      ("../", "http://a/b/"),
      ("../g", "http://a/b/g"), ("../..", "http://a/"), ("../../", "http://a/"), ("../../g", "http://a/g"),
      // Abnormal ones.
      ("../../../g", "http://a/g"), ("../../../../g", "http://a/g"), ("/./g", "http://a/g"), ("/../g", "http://a/g"),
      ("g.", "http://a/b/c/g."),
      (".g", "http://a/b/c/.g"), ("g..", "http://a/b/c/g.."), ("..g", "http://a/b/c/..g"), ("./../g", "http://a/b/g"),
      ("./g/.", "http://a/b/c/g/"), ("g/./h", "http://a/b/c/g/h"), ("g/../h", "http://a/b/c/h"),
      ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
      ("g;x=1/../y", "http://a/b/c/y"), ("g?y/./x", "http://a/b/c/g?y/./x"), ("g?y/../x", "http://a/b/c/g?y/../x"),
      ("g#s/./x", "http://a/b/c/g#s/./x"), ("g#s/../x", "http://a/b/c/g#s/../x"), ("http:g", "http:g"),
    ])
  func resolves(reference: String, target: String) throws {
    let base = try #require(WebAddress(Self.base))
    #expect(base.resolve(try #require(WebAddress(reference))).text == target)
  }

  @Test("a base without a path takes a relative one at its root")
  func emptyBasePath() throws {
    #expect(try #require(WebAddress("https://a")).resolve(try #require(WebAddress("g"))).text == "https://a/g")
  }

  @Test(
    "links may go to https, and to this machine",
    arguments: [
      ("https://s.example/x", true), ("HTTPS://S.example/x", true), ("http://127.0.0.1:80/x", true),
      ("http://localhost/x", true),
      ("http://[::1]:8/x", true), ("http://s.example/x", false), ("http://127.0.0.1.s.example/x", false),
      ("http://127.0.0.1@s.example/x", false),
      ("https://user:pw@s.example/x", false), ("http://localhost%2f@s.example/x", false), ("ftp://127.0.0.1/", false),
      ("file:///etc/passwd", false),
      ("https:///x", false), ("http://127.0.0.256/", false), ("http://127.1/", false), ("http://[::2]/", false),
      ("/x", false),
      ("http://127.0.0.+1/", false),
    ])
  func allowed(url: String, isAllowed: Bool) throws { #expect(try #require(WebAddress(url)).isAllowed == isAllowed) }

  @Test(
    "a Location becomes an absolute URL, its bytes untouched but those no URL may hold",
    arguments: [
      ("https://s.example/a%20b?sig=x%2By/z==&n=1", "https://s.example/a%20b?sig=x%2By/z==&n=1"),
      ("/s/a?b=c", "https://hub.example/s/a?b=c"),
      ("a", "https://hub.example/v1/files/downloads/a"), ("//s.example/a", "https://s.example/a"),
      ("?x=1", "https://hub.example/v1/files/downloads/?x=1"),
      ("https://s.example/a b/ü#part", "https://s.example/a%20b/%C3%BC"),
    ])
  func location(location: String, url: String) throws {
    let request = FakeService.base + "/files/downloads/?file_id=1&autograph_tag=t"
    #expect(try LinkTarget.resolve(Redacted(location), from: request).reveal() == url)
  }

  @Test(
    "a Location that is no URL, or leads where it must not, is refused",
    arguments: [
      ("https://s.example/\r\nX: y", LinkTarget.Refusal.unreadable), ("https:///x", .unreadable),
      ("https://s.example/\0", .unreadable),
      ("1http://s.example/", .unreadable), ("mailto:a@b", .unreadable), ("http://s.example/x", .insecure),
      ("ftp://s.example/", .insecure),
      ("https://localhost\\@s.example/", .insecure), ("http://127.0.0.1\\@s.example/", .insecure),
      ("https://a:b@s.example/", .insecure),
    ])
  func refused(location: String, refusal: LinkTarget.Refusal) {
    #expect(throws: refusal) {
      try LinkTarget.resolve(Redacted(location), from: FakeService.base + "/files/downloads/")
    }
  }

  @Test(
    "everything but unreserved characters is percent-encoded",
    arguments: [
      ("azAZ09-._~", "azAZ09-._~"), ("a b", "a%20b"), ("+&#%/?=", "%2B%26%23%25%2F%3F%3D"), ("..", ".."),
      ("ü€", "%C3%BC%E2%82%AC"),
      ("\0\n", "%00%0A"), ("👩‍🎬", "%F0%9F%91%A9%E2%80%8D%F0%9F%8E%AC"), ("", ""),
    ])
  func encoded(text: String, encoding: String) { #expect(PercentEncoding.encode(text) == encoding) }
}
