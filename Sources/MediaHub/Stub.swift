import Core
import Transfer
// Interface for those who build against it meanwhile; the real files replace this one.

package struct MediaHubJob: Sendable, Equatable, Codable {
  package var id: String
  package var name: String
  package var outputs: [MediaHubOutput]
  package init(id: String, name: String, outputs: [MediaHubOutput]) { self.id = id; self.name = name; self.outputs = outputs }
}
package struct MediaHubOutput: Sendable, Equatable, Codable {
  package var fileId: String
  package var name: String
  package var size: Int64
  package var contentType: String
  package init(fileId: String, name: String, size: Int64, contentType: String) {
    self.fileId = fileId; self.name = name; self.size = size; self.contentType = contentType
  }
}
package struct MediaHubPage: Sendable, Equatable, Codable {
  package var jobs: [MediaHubJob]
  package var total: Int
  package var start: Int
  package var limit: Int
  package init(jobs: [MediaHubJob], total: Int, start: Int, limit: Int) { self.jobs = jobs; self.total = total; self.start = start; self.limit = limit }
}
/// One sentence each, fit for a person; no secrets.
package enum MediaHubError: Error, Sendable, Equatable {
  case unreachable(String)
  case refused(String)
  case malformed(String)
  case notFound(String)
}

@TransferLoop
package final class MediaHubClient {
  package struct Options: Sendable {
    package var base: String
    package var clientID: String
    package var clientSecret: Redacted<String>
    package var scope: String?
    package init(base: String, clientID: String, clientSecret: Redacted<String>, scope: String? = nil) {
      self.base = base; self.clientID = clientID; self.clientSecret = clientSecret; self.scope = scope
    }
  }
  package init(options: Options, http: HTTPClient, clock: any TimeSource = SystemClock()) {}
  package func jobs(search: String?, start: Int, limit: Int) async throws(MediaHubError) -> MediaHubPage { preconditionFailure() }
  package func job(_ id: String) async throws(MediaHubError) -> MediaHubJob { preconditionFailure() }
  package func file(_ id: String) async throws(MediaHubError) -> MediaHubOutput { preconditionFailure() }
  /// The object behind a file for one recipient. Mints the first link at once, so that a wrong file or tag shows here.
  package func origin(file: MediaHubOutput, recipient: String) async throws(MediaHubError) -> any Origin { preconditionFailure() }
  /// The same without asking the service: for an item staged earlier. The first link is minted when it is needed.
  package nonisolated func origin(fileID: String, size: Int64, recipient: String) -> any Origin { preconditionFailure() }
}
