import Core
import Testing

@testable import MediaHub

struct LinkExpiryTests {
  /// 2026-01-31T12:00:00Z
  private let now: Int64 = 1_769_860_800

  @Test(
    "a link says how long it lives, in the words of its storage",
    arguments: [
      // Signatures of version 4, of S3 and of Google.
      ("X-Amz-Date=20260131T120000Z&X-Amz-Expires=900&X-Amz-Signature=x", 900),
      ("X-Amz-Expires=900&a=b&X-Amz-Date=20260131T115500Z", 600),
      ("X-Goog-Date=20260131T120000Z&X-Goog-Expires=60", 60),
      // Signed by a clock that is an hour ahead of ours: its life begins now.
      ("X-Amz-Date=20260131T130000Z&X-Amz-Expires=900", 900),
      // By one that is behind: over before it was given, which cannot be.
      ("X-Amz-Date=20260131T110000Z&X-Amz-Expires=900", nil),
      ("X-Amz-Date=20260131T120000Z&X-Amz-Expires=604800", 604_800),
      ("X-Amz-Date=20260131T120000Z&X-Amz-Expires=604801", nil),
      ("X-Amz-Date=20260131T120000Z&X-Amz-Expires=0", nil), ("X-Amz-Date=20260131T120000Z&X-Amz-Expires=-5", nil),
      ("X-Amz-Date=20260131T120000Z&X-Amz-Expires=9e9", nil),
      ("X-Amz-Date=20260131T120000Z&X-Amz-Expires=99999999999999999999", nil),
      ("X-Amz-Date=20260131T120000Z", nil), ("X-Amz-Expires=900", nil),
      ("X-Amz-Date=20261331T120000Z&X-Amz-Expires=900", nil),
      ("X-Amz-Date=20260131T250000Z&X-Amz-Expires=900", nil),
      ("X-Amz-Date=2026-01-31T12:00:00Z&X-Amz-Expires=900", nil),
      ("X-Amz-Date=20260131T120000&X-Amz-Expires=900", nil), ("X-Amz-Date=&X-Amz-Expires=900", nil),
      // CloudFront, and signatures of version 2.
      ("Expires=1769860860&Signature=x&Key-Pair-Id=y", 60), ("Expires=1769860800", nil), ("Expires=1769860799", nil),
      ("Expires=1901232000", 604_800), ("Expires=253402300800", nil), ("Expires=99999999999999999999", nil),
      ("Expires=soon", nil),
      ("Expires=", nil), ("Expires", nil), ("Expires=+1769860860", nil), ("Expires=1769860860.5", nil),
      ("expires=1769860860", nil),
      // Azure.
      ("sv=2024&se=2026-01-31T12%3A05%3A00Z&sp=r&sig=x", 300), ("se=2026-01-31T12:05:00Z&sig=x", 300),
      ("se=2026-01-31T12%3a05Z&sig=x", 300),
      ("se=2026-02-01&sig=x", 43_200), ("se=2026-01-31T12%3A05%3A00Z", nil),
      ("se=2026-02-31T12%3A05%3A00Z0&sig=x", nil),
      ("se=2026-01-31T12%3A05%3A00%2B&sig=x", nil), ("se=tomorrow00&sig=x", nil),
      ("se=9999-12-31T23:59:59Z&sig=x", 604_800),
      // A parameter that comes twice says nothing.
      ("Expires=1769860860&Expires=1769860870", nil),
      ("X-Amz-Date=20260131T120000Z&X-Amz-Expires=900&X-Amz-Expires=1", nil),
      ("", nil), ("&&==&", nil), ("a=b", nil),
    ] as [(String, Int64?)])
  func table(query: String, seconds: Int64?) {
    #expect(LinkExpiry.left(of: "https://s.example/a/b.mp4?" + query, wallSeconds: now) == seconds.map { .seconds($0) })
  }

  @Test("a path, a fragment and no query at all say nothing")
  func elsewhere() {
    for url in [
      "https://s.example/Expires=1769860860", "https://s.example/x#Expires=1769860860", "", "https://s.example/?",
    ] {
      #expect(LinkExpiry.left(of: url, wallSeconds: now) == nil)
    }
  }

  @Test("random queries never trap")
  func fuzz() {
    var random = SystemRandomNumberGenerator()
    let words = [
      "X-Amz-Date=", "X-Amz-Expires=", "Expires=", "se=", "sig=", "&", "20260131T120000Z", "9", "-", ":", "T", "Z",
      "%3A", "é", "=",
    ]
    for _ in 0..<20_000 {
      let query = (0..<Int.random(in: 0...9, using: &random)).map { _ in words.randomElement(using: &random) ?? "" }
        .joined()
      if let left = LinkExpiry.left(of: "https://s.example/?" + query, wallSeconds: now) {
        #expect(left > .zero && left <= .seconds(604_800))
      }
    }
  }
}
