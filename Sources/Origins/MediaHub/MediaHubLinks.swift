import ByteSource
import Core
import HTTPSource
import Transfer

/// Links to one file for one recipient. `MediaHubClient` makes it for an `HTTPSource`, which owns it; it runs on the
/// transfer loop and keeps no link.
@TransferLoop
final class MediaHubLinks: LinkMaker {
  private let client: MediaHubClient
  private let fileID: String
  private let recipient: String
  /// The turn of the request under way.
  private lazy var turn = RequestTurn(isUrgent: false)

  /// Kinds of files that servers send as HTML, JSON or XML.
  private nonisolated static let textKinds: Set = [
    "htm", "html", "xhtml", "json", "xml", "mpd", "ttml", "dfxp", "fcpxml", "smil", "svg", "txt",
  ]

  nonisolated init(client: MediaHubClient, fileID: String, recipient: String) {
    self.client = client
    self.fileID = fileID
    self.recipient = recipient
  }

  /// How a file of that name may come: its links are https, or lead to this machine.
  nonisolated static func policy(ofFileNamed name: String) -> SourcePolicy {
    SourcePolicy(
      mayBeText: name.split(separator: ".").dropFirst().last.map { textKinds.contains($0.lowercased()) } ?? false)
  }

  func link(generation: Int, isUrgent: Bool) async throws(TransferError) -> Link {
    do throws(MediaHubError) {
      return try await mint(generation, isUrgent: isUrgent)
    } catch {
      throw error.asTransferError
    }
  }

  func hurry() { turn.isUrgent = true }

  func mint(_ generation: Int, isUrgent: Bool) async throws(MediaHubError) -> Link {
    turn = RequestTurn(isUrgent: isUrgent)
    return try await client.link(fileID: fileID, recipient: recipient, generation: generation, turn: turn)
  }
}
