import Core
import Testing

@testable import HTTPSource

struct LinkMintTests {
  private func link(_ generation: Int) -> Link {
    Link(url: Redacted("https://s.example/\(generation)"), generation: generation)
  }

  @Test("a burst of failures of one link mints one new link; who comes late gets it")
  func burst() {
    var mint = LinkMint()
    #expect(mint.want(replacing: nil) == .mint(generation: 1))
    #expect(mint.want(replacing: nil) == .join)
    mint.minted(link(1))
    #expect(mint.want(replacing: nil) == .use(link(1)))
    #expect(mint.want(replacing: 1) == .mint(generation: 2))
    #expect(mint.want(replacing: 1) == .join)
    // The old one is known to be bad: wait for the new one.
    #expect(mint.want(replacing: nil) == .join)
    mint.minted(link(2))
    #expect(mint.want(replacing: 1) == .use(link(2)))
    #expect(mint.want(replacing: 2) == .mint(generation: 3))
  }

  @Test("after a mint that failed the next one tries, with the same generation")
  func failure() {
    var mint = LinkMint()
    _ = mint.want(replacing: nil)
    mint.failed()
    #expect(mint.want(replacing: nil) == .mint(generation: 1))
    mint.minted(link(1))
    _ = mint.want(replacing: 1)
    mint.failed()
    #expect(mint.want(replacing: 1) == .mint(generation: 2))
  }

  @Test("a link of an earlier process is replaced by a later generation")
  func foreign() {
    var mint = LinkMint()
    #expect(mint.want(replacing: 7) == .mint(generation: 8))
  }
}
