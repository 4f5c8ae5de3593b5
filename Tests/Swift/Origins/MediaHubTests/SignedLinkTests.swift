import ControlModel
import Core
import HTTPSource
import Support
import Testing

@testable import MediaHub
@testable import Transfer

/// Links that are asked for with a signature instead of a token.
struct SignedLinkTests {
  private static let secret = "bWVkaWFodWItdGVzdC1zZWNyZXQtMDAwMQ=="
  private static let output = MediaHubOutput(fileId: "f/1", name: "a.mp4", size: 9, contentType: "video/mp4")
  /// The signature of the path and query below, computed by another implementation.
  private static let signature = "212b4a7829c23c3e9f8b112a575d4a845a4e11162dc4f3e11c86283c51d543dc"
  private static let target =
    "/v1/files/downloads/?file_id=f%2F1&autograph_tag=Zo%C3%AB%20%26%20Co%20%F0%9F%8E%AC&redirect=true&multi_use=true&client_id=b%2B1"
    + "&expiry_time=1767247201&signature=" + signature

  private func options(base: String) throws -> MediaHubClient.Options {
    let secret = Redacted(Self.secret)
    var options = MediaHubClient.Options(base: base, clientID: "b+1", clientSecret: secret)
    let signer: LinkSigner = try #require(LinkSigner(clientID: "b+1", clientSecret: secret))
    options.signer = signer
    return options
  }

  @Test("the signature is the specification's, over every byte from the base's path on")
  func vector() throws {
    let signer = try #require(LinkSigner(clientID: "bbbbbbbbbbbbbbbbbbbbbbbb", clientSecret: Redacted(Self.secret)))
    let target = "/v1/files/downloads/?file_id=aaaaaaaaaaaaaaaaaaaaaaaa&autograph_tag=tag-1&redirect=true"
    #expect(
      signer.signed(target, wallSeconds: 1_900_000_000 - LinkSigner.validity) == target
        + "&multi_use=true&client_id=bbbbbbbbbbbbbbbbbbbbbbbb&expiry_time=1900000000"
        + "&signature=78261ea6b7d48fcb1d3b1f2be0b6da2aa7aad2d67ea7802f022acb6c43803c48")
    #expect(!"\(signer)".contains("hub"))
  }

  @Test("a secret that is not base64 is no key", arguments: ["", "demo-secret", "a+b/c=", "====", "Zg", "Zm9v YmFy"])
  func noKey(secret: String) { #expect(LinkSigner(clientID: "me", clientSecret: Redacted(secret)) == nil) }

  @Test("a link is asked for by one request without token; jobs and files go on with theirs")
  func noToken() async throws {
    let options = try options(base: FakeService.base + "/")
    try await onLoop {
      let service = FakeService { path, _ in
        switch path {
        case "/files/downloads/": FakeService.redirect("https://s.example/1?Expires=1767225661")
        case "/files/f":
          FakeService.json(#"{"file": {"id": "f", "name": "a.mp4", "size": 9, "mime_type": "video/mp4"}}"#)
        default: nil
        }
      }
      let clock = ManualClock()
      let client = MediaHubClient(options: options, sender: service, ranges: HTTPClient(), clock: clock) { _ in }
      let origin = try await client.source(file: Self.output, recipient: "Zoë & Co 🎬")
      #expect(service.paths == ["/files/downloads/"])
      #expect(service.requests[0].url == "https://hub.example" + Self.target && service.requests[0].bearer == nil)
      // The link's own query gives the expiry, by our clock.
      let link = try await origin.link(replacing: nil)
      #expect(link.expires == clock.now() + .seconds(60))
      _ = try await client.file("f")
      #expect(
        service.paths == ["/files/downloads/", "/oauth2/token/", "/files/f"] && service.requests[2].bearer != nil)
    }
  }

  @Test("what arrives at the service is what was signed, byte for byte")
  func bytes() async throws {
    let server = ScriptedServer { _ in ScriptedServer.answer(302, headers: "Location: https://s.example/x\r\n") }
    let options = try options(base: server.url("/v1"))
    try await onLoop {
      let client = MediaHubClient(options: options, sender: HTTPClient(), ranges: HTTPClient(), clock: ManualClock()) {
        _ in
      }
      let link = try await client.link(fileID: "f/1", recipient: "Zoë & Co 🎬", generation: 3)
      #expect(link == Link(url: Redacted("https://s.example/x"), generation: 3))
    }
    #expect(server.requests.map(\.target) == [Self.target])
    #expect(server.requests[0].header("Authorization") == nil)
  }

  @Test("a refused signature is told with what may be wrong, and not tried again", arguments: [401, 403])
  func refused(status: Int) async throws {
    let options = try options(base: FakeService.base)
    try await onLoop {
      let service = FakeService { _, _ in FakeService.status(status) }
      let client = MediaHubClient(options: options, sender: service, ranges: HTTPClient()) { _ in }
      let error = await failure { try await client.source(file: Self.output, recipient: "t") }
      #expect(
        error
          == .refused(
            "MediaHub refused a signed request (\(status)); check client_id, client_secret, link_auth and this "
              + "machine's clock"
          ))
      #expect(service.requests.count == 1)
    }
  }
}
