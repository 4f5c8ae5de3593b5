import ByteSource
import ControlModel
import Core
import MediaHub

/// The service's catalogue of files; MediaHub's client, or a test's fake.
protocol Catalogue: Sendable {
  @TransferLoop func file(_ id: String) async throws(MediaHubError) -> MediaHubOutput
  @TransferLoop func job(_ id: String) async throws(MediaHubError) -> MediaHubJob
  @TransferLoop func origin(file: MediaHubOutput, recipient: String) async throws(MediaHubError) -> any ByteSource
  func origin(fileID: String, name: String, size: Int64, recipient: String) -> any ByteSource
}

extension MediaHubClient: Catalogue {
  func origin(file: MediaHubOutput, recipient: String) async throws(MediaHubError) -> any ByteSource {
    try await source(file: file, recipient: recipient)
  }
  nonisolated func origin(fileID: String, name: String, size: Int64, recipient: String) -> any ByteSource {
    source(fileID: fileID, name: name, size: size, recipient: recipient)
  }
}

/// Everything of the world that staging touches, the journal's file excepted. It is a value, which `StagedVolume` holds
/// for its whole life.
struct Dependencies: Sendable {
  var catalogue: any Catalogue
  var clock: any TimeSource
}
