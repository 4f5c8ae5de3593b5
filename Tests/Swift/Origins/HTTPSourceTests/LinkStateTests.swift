import ByteSource
import Core
import Testing

@testable import HTTPSource

private let start = Moment(nanoseconds: 1_000_000_000)

@Suite("Link state")
struct LinkStateTests {
  private func ready(_ now: Moment = start, generation: Int = 1, expires: Duration? = nil) -> LinkState {
    var link = LinkState(.init())
    let isAsked = link.want(now)
    let is1 = isAsked && !link.want(now)
    #expect(is1)
    _ = link.ready(generation: generation, expires: expires.map { now + $0 }, now: now)
    return link
  }

  @Test(
    "the first refusal is worth a link at once, a new link is tried again while it is young, an older one is replaced")
  func refusals() {
    var link = ready()
    let is2 = link.refused(1, isClear: false, start) == .replace
    #expect(is2)
    let is4 = link.replace() && !link.replace()
    #expect(is4)
    let is5 = link.refused(1, isClear: false, start) == .none
    #expect(is5, "another one is on its way")
    _ = link.ready(generation: 2, expires: nil, now: start)
    let is6 = link.refused(1, isClear: false, start) == .none
    #expect(is6, "of the link before")
    for (second, expected) in [(0, AccessRefusal.again), (4, .again), (5, .replaceLater)] {
      let is7 = link.refused(2, isClear: false, start + .seconds(second)) == expected
      #expect(is7, "after \(second) s")
    }
    _ = link.replace()
    _ = link.ready(generation: 3, expires: nil, now: start + .seconds(5))
    let is8 = link.refused(3, isClear: false, start + .seconds(14)) == .again
    #expect(is8, "twice as long")
    let is9 = link.refused(3, isClear: false, start + .seconds(15)) == .replaceLater
    #expect(is9)
    link.worked(2)
    let is10 = link.refused(3, isClear: false, start + .seconds(15)) == .again
    #expect(is10, "bytes of the link before prove nothing")
    link.worked(3)
    let is11 = link.refused(3, isClear: true, start + .seconds(16)) == .replace
    #expect(is11)
    _ = link.replace()
    _ = link.ready(generation: 4, expires: nil, now: start + .seconds(16))
    let is12 = link.refused(4, isClear: true, start + .seconds(16)) == .again
    #expect(is12, "one of several requests at once proves nothing")
    let is13 = link.refused(4, isClear: true, start + .seconds(17)) == .final
    #expect(is13)
  }

  @Test("a link that says when it ends is replaced before, once, and the old one serves until then")
  func renewal() {
    var link = ready(expires: .seconds(600))
    #expect(link.renewAt == start + .seconds(540))
    let is13 =
      !link.renew(start + .seconds(539)) && link.renew(start + .seconds(540)) && !link.renew(start + .seconds(541))
    #expect(is13)
    let is14 = link.isReady && !link.replace()
    #expect(is14, "one is on its way already")
    link = ready(expires: .seconds(600))
    _ = link.renew(start + .seconds(540))
    let is15 = link.failed(start + .seconds(541)) && link.isReady
    #expect(is15)
    let is16 = link.want(start + .seconds(600))
    #expect(is16, "over")
    let is17 = !link.failed(start + .seconds(601)) && link.phase == .none
    #expect(is17)
  }
}
