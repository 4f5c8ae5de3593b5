import Core
import Transfer

/// One file for one recipient, as something to fetch ranges from. Links are minted when they are needed, one at a time.
@TransferLoop
final class MediaHubOrigin: Origin {
  nonisolated let size: Int64
  private let client: MediaHubClient
  private let fileID: String
  private let recipient: String
  private var links = LinkMint()
  private var minting: Task<Result<Link, MediaHubError>, Never>?

  nonisolated init(client: MediaHubClient, fileID: String, size: Int64, recipient: String) {
    self.client = client
    self.fileID = fileID
    self.size = size
    self.recipient = recipient
  }

  func link(replacing stale: Link?) async throws(TransferError) -> Link {
    do throws(MediaHubError) {
      return try await mint(replacing: stale)
    } catch {
      throw error.asTransferError
    }
  }

  func mint(replacing stale: Link?) async throws(MediaHubError) -> Link {
    switch links.want(replacing: stale) {
    case .use(let link): return link
    case .join:
      guard let minting else { throw .unreachable("the request for a link of MediaHub was lost") }
      return try await minting.value.get()
    case .mint(let generation):
      // A task of its own: one reader that gives up must not take the link from the others.
      let task = Task { await self.request(generation) }
      minting = task
      return try await task.value.get()
    }
  }

  private func request(_ generation: Int) async -> Result<Link, MediaHubError> {
    defer { minting = nil }
    do throws(MediaHubError) {
      let link = try await client.link(fileID: fileID, recipient: recipient, generation: generation)
      links.minted(link)
      return .success(link)
    } catch {
      links.failed()
      return .failure(error)
    }
  }
}
