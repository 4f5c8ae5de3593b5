import ByteSource
import Core
import Transfer

/// An object behind links that a service hands out, fetched by HTTP. Links are minted when they are needed, one at a
/// time. `MediaHubClient` makes it, and the volume keeps it for its item; the source owns the links, in memory alone,
/// on the transfer loop.
@TransferLoop
package final class HTTPSource: ByteSource {
  package nonisolated let size: Int64
  package nonisolated let policy: SourcePolicy
  private let maker: any LinkMaker
  private let client: HTTPClient
  private var links: LinkMint
  private var minting: Task<Result<Link, TransferError>, Never>?
  /// A reader waits for the link that is being minted.
  private var isUrgent = false

  /// - Parameters:
  ///   - client: for the ranges.
  ///   - first: a link that was minted already.
  package nonisolated init(
    size: Int64, policy: SourcePolicy = SourcePolicy(), links maker: any LinkMaker, client: HTTPClient,
    first: Link? = nil
  ) {
    self.size = size
    self.policy = policy
    self.maker = maker
    self.client = client
    links = LinkMint(first)
  }

  package nonisolated func accessState(leastPause: Duration, longestPause: Duration) -> any AccessState {
    LinkState(.init(leastPause: leastPause, longestPause: longestPause))
  }

  package func access(replacing stale: Int?, isUrgent: Bool) async throws(SourceFailure) -> any SourceAccess {
    do throws(TransferError) {
      return HTTPAccess(
        link: try await link(replacing: stale, isUrgent: isUrgent), size: size, policy: policy, client: client)
    } catch {
      throw error.asSourceFailure
    }
  }

  package func hurry() {
    isUrgent = true
    maker.hurry()
  }

  /// A link to fetch from; with `stale`, another than that of this generation.
  package func link(replacing stale: Int?, isUrgent: Bool = true) async throws(TransferError) -> Link {
    switch links.want(replacing: stale) {
    case .use(let link): return link
    case .join:
      if isUrgent { hurry() }
      guard let minting else { throw .unreachable("the request for a link was lost") }
      return try await minting.value.get()
    case .mint(let generation):
      self.isUrgent = isUrgent
      // A task of its own: one reader that gives up must not take the link from the others.
      let task = Task { await self.mint(generation) }
      minting = task
      return try await task.value.get()
    }
  }

  private func mint(_ generation: Int) async -> Result<Link, TransferError> {
    defer { minting = nil }
    do throws(TransferError) {
      let link = try await maker.link(generation: generation, isUrgent: isUrgent)
      links.minted(link)
      return .success(link)
    } catch {
      links.failed()
      return .failure(error)
    }
  }
}
