import Core
import Testing

@testable import MediaHubSim

struct SignatureTests {
  @Test(
    "HMAC-SHA256 of RFC 4231",
    arguments: [
      (
        [UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8),
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
      ),
      (
        Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
      ),
      (
        [UInt8](repeating: 0xaa, count: 131), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
      ),
    ])
  func vectors(key: [UInt8], text: [UInt8], expected: String) { #expect(Signature.hex(of: text, key: key) == expected) }

  static let secret = "bWVkaWFodWItdGVzdC1zZWNyZXQtMDAwMQ=="

  @Test("the signature of a download's URL, as worked out by hand")
  func download() throws {
    let text =
      "/v1/files/downloads/?file_id=aaaaaaaaaaaaaaaaaaaaaaaa&autograph_tag=tag-1&redirect=true&multi_use=true"
      + "&client_id=bbbbbbbbbbbbbbbbbbbbbbbb&expiry_time=1900000000"
    let key = try #require(Signature.key(fromBase64: Self.secret))
    #expect(String(decoding: key, as: UTF8.self) == "mediahub-test-secret-0001")
    #expect(
      Signature.hex(of: text.utf8, key: key) == "78261ea6b7d48fcb1d3b1f2be0b6da2aa7aad2d67ea7802f022acb6c43803c48")
    for none in ["", "demo-secret", "a", "YQ=", "Y*=="] { #expect(Signature.key(fromBase64: none) == nil, "\(none)") }
  }

  private func signedBench() throws -> (Bench, (String) -> String) {
    let bench = try Bench { ($0.clientSecret, $0.clientID) = (Self.secret, "me") }
    let key = try #require(Signature.key(fromBase64: Self.secret))
    return (bench, { $0 + "&signature=" + Signature.hex(of: $0.utf8, key: key) })
  }

  private func target(tag: String = "t", client: String = "me", end: String = "4000000000") -> String {
    "/v1/files/downloads/?file_id=\(Bench.id)&autograph_tag=\(tag)&redirect=true&client_id=\(client)&expiry_time=\(end)"
  }

  @Test(
    "a signed request needs no bearer; it is the bytes as sent that are signed",
    arguments: ["t", "a%2Fb", "a%2fb", "%E6%97%A5", "a+b"])
  func accepted(tag: String) throws {
    let (bench, sign) = try signedBench()
    let answer = bench.get(sign(target(tag: tag)))
    #expect(answer.status == 302)
    let link = String((answer.headers["location"] ?? "").dropFirst(bench.simulator.root.count))
    #expect(bench.get(link).body == bench.content(tag: URLText.decode(Array(tag.utf8))))
    #expect(bench.simulator.statistics().signed == ["accepted": 1] && bench.simulator.statistics().tokensMinted == 0)
    #expect(bench.get(sign("/v1/files/\(Bench.id)?client_id=me&expiry_time=4000000000")).status == 200)
  }

  @Test("a link's life is its own, not that of the signed request")
  func life() throws {
    let (bench, sign) = try signedBench()
    bench.simulator.set { $0.linkSeconds = 0 }
    let link = bench.get(sign(target())).headers["location"] ?? ""
    #expect(bench.get(String(link.dropFirst(bench.simulator.root.count))).status == 403)
  }

  @Test("what is expired, altered, another client's or not the last word is 403, and counted")
  func refused() throws {
    let (bench, sign) = try signedBench()
    let good = sign(target())
    let parts = good.split(separator: "=").map(String.init)
    let bad = [
      sign(target(end: "1000000000")), sign(target(end: "soon")), sign(target(client: "you")),
      good.replacing("tag=t&", with: "tag=u&"),
      good.replacing("tag=t&", with: "tag=%74&"), good + "&multi_use=true",
      good.dropLast() + (good.hasSuffix("0") ? "1" : "0"),
      good.replacing(parts.last ?? "", with: (parts.last ?? "").uppercased()), target() + "&signature=",
    ]
    for (index, target) in bad.enumerated() { #expect(bench.get(String(target)).status == 403, "\(index)") }
    #expect(bench.simulator.statistics().signed == ["refused": bad.count])
    #expect(bench.get(good).status == 302)
    // Only what the service signs: the list of jobs is not.
    #expect(bench.get(sign("/v1/jobs/?client_id=me&expiry_time=4000000000")).status == 401)
  }

  @Test("a secret that is no base64 signs nothing, and the answer says so")
  func secret() throws {
    let answer = try Bench().get(target() + "&signature=00")
    #expect(answer.status == 403 && answer.text.contains("base64"))
  }
}
