import ByteSource
import ControlModel
import Core
import HTTPSource
import Testing

@testable import MediaHub
@testable import Transfer

/// Links to a file for one recipient.
struct OriginTests {
  private static let output = MediaHubOutput(fileId: "f/1", name: "a.mp4", size: 9, contentType: "video/mp4")

  /// Gives another link each time.
  @TransferLoop
  private static func linking() -> FakeService {
    let serial = Serial()
    return FakeService { path, _ in
      path == "/files/downloads/" ? FakeService.redirect("https://s.example/\(serial.next())?sig=hush") : nil
    }
  }

  @Test(
    "a recipient arrives as it was typed, whatever it holds",
    arguments: [
      ("Jane Doe", "Jane%20Doe"), ("a+b&c=d#e%f/g?h", "a%2Bb%26c%3Dd%23e%25f%2Fg%3Fh"), ("..", ".."),
      ("Zoë 👩‍🎬", "Zo%C3%AB%20%F0%9F%91%A9%E2%80%8D%F0%9F%8E%AC"),
      (String(repeating: "x", count: 255), String(repeating: "x", count: 255)),
    ])
  func recipients(tag: String, encoding: String) async throws {
    try await onLoop {
      let service = Self.linking()
      let origin = try await service.client().source(file: Self.output, recipient: tag)
      #expect(origin.size == 9)
      let request = try #require(service.requests.last)
      #expect(
        request.url == FakeService.base + "/files/downloads/?file_id=f%2F1&autograph_tag=\(encoding)&redirect=true")
      #expect(request.bearer?.reveal() == "T1")
    }
  }

  @Test("the first link is minted when the item is staged, and used until somebody says it is stale")
  func firstLink() async throws {
    try await onLoop {
      let service = Self.linking()
      let origin = try await service.client().source(file: Self.output, recipient: "t")
      #expect(service.paths.count == 2)
      let link = try await origin.link(replacing: nil)
      #expect(link == Link(url: Redacted("https://s.example/1?sig=hush"), generation: 1))
      #expect(try await origin.link(replacing: nil) == link)
      #expect(service.paths.count == 2)
      #expect(!"\(link)".contains("hush"))
    }
  }

  @Test("an item staged earlier asks for nothing until it is read")
  func earlier() async throws {
    try await onLoop {
      let service = Self.linking()
      let origin = service.client().source(fileID: "f", name: "a.mp4", size: 0, recipient: "t")
      await Task {}.value
      #expect(service.requests.isEmpty)
      let link = try await origin.link(replacing: nil)
      #expect(link.generation == 1)
    }
  }

  @Test("all who found the same link stale share one new one; who comes later with it gets that too")
  func burst() async throws {
    try await onLoop {
      let service = Self.linking()
      let origin = try await service.client().source(file: Self.output, recipient: "t")
      let stale = try await origin.link(replacing: nil)
      let before = service.requests.count
      service.isHolding = true
      let readers = (0..<16).map { _ in Task { try await origin.link(replacing: stale.generation) } }
      while service.requests.count == before { await Task.yield() }
      let late = Task { try await origin.link(replacing: nil) }
      await Task {}.value
      service.release()
      for reader in readers + [late] { #expect(try await reader.value.generation == 2) }
      #expect(try await origin.link(replacing: stale.generation).generation == 2)
      #expect(service.requests.count == before + 1)
      let second = try await origin.link(replacing: nil)
      #expect(try await origin.link(replacing: second.generation).generation == 3)
    }
  }

  @Test("one reader that gives up does not take the link from the others")
  func cancelled() async throws {
    try await onLoop {
      let service = Self.linking()
      let origin = service.client().source(fileID: "f", name: "a.mp4", size: 1, recipient: "t")
      service.isHolding = true
      let first = Task { try await origin.link(replacing: nil) }
      let second = Task { try await origin.link(replacing: nil) }
      while service.requests.isEmpty { await Task.yield() }
      first.cancel()
      service.release()
      let link = try await second.value
      #expect(link.generation == 1)
    }
  }

  @Test(
    "a link that cannot be had says why",
    arguments: [
      (
        FakeService.status(400),
        .refused("MediaHub gives no link to file f/1 for this recipient (400); the file may not be AutoGraph-enabled")
      ),
      (FakeService.status(404), .notFound("there is no file f/1 in MediaHub; `fsmvp jobs` lists what there is")),
      (
        FakeService.status(403),
        .refused(
          "MediaHub gave a token and then refused it (403): client_id and client_secret are right, but this "
            + "application may not do that; "
            + "check the application's rights")
      ),
      (
        FakeService.status(200),
        .malformed(
          "MediaHub at https://hub.example answered a request for a link, but the link is missing in the answer or "
            + "cannot be used"
        )
      ),
      (
        FakeService.redirect(nil),
        .malformed(
          "MediaHub at https://hub.example answered a request for a link, but the link is missing in the answer or "
            + "cannot be used"
        )
      ),
      (
        FakeService.redirect(""),
        .malformed(
          "MediaHub at https://hub.example answered a request for a link, but the link is missing in the answer or "
            + "cannot be used"
        )
      ),
      (
        FakeService.redirect("http://["),
        .malformed(
          "MediaHub at https://hub.example answered a request for a link, but the link is missing in the answer or "
            + "cannot be used"
        )
      ),
      (
        FakeService.redirect("http://s.example/?sig=hush"),
        .refused("MediaHub gave a link to file f/1 that is not plain https, so it is not used")
      ),
      (
        FakeService.status(500),
        .unreachable("MediaHub at https://hub.example has trouble of its own (500); try again in a while")
      ),
    ] as [(FakeService.Answer, MediaHubError)])
  func failures(answer: FakeService.Answer, error: MediaHubError) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/files/downloads/" ? answer : nil }
      #expect(await failure { try await service.client().source(file: Self.output, recipient: "t") } == error)
    }
  }

  @Test("a store is told what to do about a failure: again, or not")
  func remedies() {
    #expect(MediaHubError.unreachable("x").asTransferError.asSourceFailure.remedy == .retry(after: nil))
    #expect(MediaHubError.malformed("x").asTransferError.asSourceFailure.remedy == .retry(after: nil))
    #expect(MediaHubError.refused("x").asTransferError.asSourceFailure.remedy == .give)
    #expect(MediaHubError.notFound("x").asTransferError.asSourceFailure.remedy == .give)
  }

  @Test("without credentials no request is sent, and a reader gets the error at once: waiting cannot help")
  func noCredentials() async throws {
    try await onLoop {
      let service = Self.linking()
      let error = await failure { try await service.client(id: "").source(file: Self.output, recipient: "a") }
      guard case .unconfigured(let sentence) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(sentence.contains("client_id") && service.requests.isEmpty)
      #expect(error?.asTransferError.asSourceFailure == .forbidden(sentence))
    }
  }

  @Test("an empty recipient is refused without a request")
  func noRecipient() async throws {
    try await onLoop {
      let service = Self.linking()
      #expect(
        await failure { try await service.client().source(file: Self.output, recipient: "") }
          == .refused("MediaHub marks each copy for its recipient; name one"))
      #expect(service.requests.isEmpty)
    }
  }
}

@TransferLoop
private final class Serial {
  private var last = 0
  func next() -> Int {
    last += 1
    return last
  }
}
