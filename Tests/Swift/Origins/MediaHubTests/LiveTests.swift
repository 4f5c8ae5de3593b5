import Core
import FoundationEssentials
import Testing
import Transfer

@testable import MediaHub

/// Credentials of the real service, where there are some.
private enum Live {
  static let id = variable("MEDIAHUB_CLIENT_ID")
  static let secret = variable("MEDIAHUB_CLIENT_SECRET")

  private static func variable(_ name: String) -> String? {
    ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
  }
}

/// The real service: runs with MEDIAHUB_CLIENT_ID and MEDIAHUB_CLIENT_SECRET in the environment (`make test-live`),
/// prints no URL.
@Suite(.enabled(if: Live.id != nil && Live.secret != nil), .serialized)
struct LiveTests {
  @Test("token, jobs, one link and one ranged GET against the service", .timeLimit(.minutes(10)))
  func service() async throws {
    try await onLoop {
      let http = HTTPClient()
      let options = MediaHubClient.Options(
        base: "https://api.xvid.com/v1", clientID: Live.id ?? "", clientSecret: Redacted(Live.secret ?? ""))
      let client = MediaHubClient(options: options, http: http)
      let page = try await client.jobs(search: nil, start: 0, limit: 5)
      #expect(page.jobs.count <= 5 && page.total >= page.jobs.count)
      guard let output = page.jobs.flatMap(\.outputs).first(where: { $0.size > 0 }) else { return }
      let file = try await client.file(output.fileId)
      #expect(file.size == output.size && !file.name.isEmpty)
      let origin = try await client.source(file: output, recipient: "test-ci")
      let link = try await origin.link(replacing: nil)
      let range = ByteRange(0, min(65_536, output.size))
      let bytes = try await CollectedRange.fetch(range, of: origin, link: link, http)
      #expect(Int64(bytes.count) == range.count)
      // The same by a signature.
      var signed = options
      signed.signer = LinkSigner(clientID: Live.id ?? "", clientSecret: Redacted(Live.secret ?? ""))
      let other = try await MediaHubClient(options: signed, http: http).source(file: output, recipient: "test-ci").link(
        replacing: nil)
      #expect(try await CollectedRange.fetch(range, of: origin, link: other, http).count == bytes.count)
    }
  }
}
