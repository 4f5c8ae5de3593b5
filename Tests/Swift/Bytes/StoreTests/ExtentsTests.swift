import Core
import Support
import Testing

@testable import Store

@Suite("Extents")
struct ExtentsTests {
  private static func made() -> Extents { Extents(size: 1000, blockSize: 100) }

  @Test("a byte is held from its receipt on and present once it is written, and each counts once")
  func states() {
    var extents = Self.made()
    #expect(extents.receive(ByteRange(50, 250)) == 200 && extents.receive(ByteRange(200, 300)) == 50)
    #expect(extents.heldCount == 250 && extents.presentCount == 0)
    #expect(extents.write(ByteRange(50, 200)) == 1..<2)
    #expect(extents.write(ByteRange(200, 250)) == nil && extents.write(ByteRange(250, 300)) == 2..<3)
    #expect(extents.presentCount == 250 && extents.present.ranges == [ByteRange(50, 300)])
  }

  @Test("received bytes that are lost are missing again, written ones stay", arguments: [true, false])
  func lost(isWritten: Bool) {
    var extents = Self.made()
    _ = extents.receive(ByteRange(0, 300))
    if isWritten { _ = extents.write(ByteRange(100, 200)) }
    extents.lose(ByteRange(0, 300))
    #expect(extents.heldCount == (isWritten ? 100 : 0) && extents.held.count == extents.heldCount)
  }

  @Test(
    "distrusted bytes go by whole blocks, but not those that are on their way",
    arguments: [(0, 0), (250, 200), (999, 900), (1500, -1)])
  func distrust(at offset: Int64, low: Int64) {
    var extents = Self.made()
    _ = extents.receive(ByteRange(0, 1000))
    _ = extents.write(ByteRange(0, 250))
    _ = extents.write(ByteRange(900, 1000))
    let gone = extents.distrust(ByteRange(offset, offset + 1))
    #expect(gone == (low < 0 ? nil : ByteRange(low, low + 100)))
    let kept: Int64 = low < 0 ? 1000 : low == 200 ? 950 : 900
    #expect(extents.heldCount == kept && extents.held.count == kept)
    #expect(extents.presentCount == extents.present.count)
  }

  @Test("bytes that were left are held and not present; bad and dropped ones are missing; the rest is taken once")
  func left() {
    var extents = Self.made()
    extents.begin(left: RangeSet([ByteRange(0, 400), ByteRange(600, 1000)]))
    #expect(extents.heldCount == 800 && extents.presentCount == 0)
    extents.checked(ByteRange(0, 200), good: [ByteRange(0, 100)])
    #expect(extents.unchecked.ranges == [ByteRange(200, 400), ByteRange(600, 1000)])
    #expect(
      extents.left.ranges == [ByteRange(0, 100), ByteRange(200, 400), ByteRange(600, 1000)] && extents.heldCount == 700)
    #expect(extents.believe([ByteRange(0, 300)]) == [ByteRange(0, 100), ByteRange(200, 300)])
    #expect(extents.believe([ByteRange(0, 300)]) == [])
    extents.dropLeft()
    #expect(
      extents.left.isEmpty && extents.unchecked.isEmpty
        && extents.held.ranges == [ByteRange(0, 100), ByteRange(200, 300)])
  }

  @Test(
    "whatever comes and goes in whatever order, the counts are right and nothing is present that is not held",
    arguments: 0..<50 as Range<UInt64>)
  func random(seed: UInt64) {
    var random = SplitMix(seed: seed)
    var extents = Self.made()
    if seed % 2 == 0 { extents.begin(left: RangeSet([ByteRange(100, 700)])) }
    for _ in 0..<200 {
      let start = Int64.random(in: 0..<1000, using: &random)
      let range = ByteRange(start, min(1000, start + Int64.random(in: 1...300, using: &random)))
      switch Int.random(in: 0..<6, using: &random) {
      case 0, 1: _ = extents.receive(range)
      case 2:
        for piece in RangeSet(extents.held.missing(in: range)).missing(in: range) where extents.left.isEmpty {
          _ = extents.write(piece)
        }
      case 3: if extents.left.isEmpty { extents.lose(range) }
      case 4: _ = extents.distrust(range)
      default: if Bool.random(using: &random) { extents.dropLeft(range) } else { extents.checked(range, good: [range]) }
      }
      #expect(extents.heldCount == extents.held.count && extents.presentCount == extents.present.count, "seed \(seed)")
      #expect(extents.present.ranges.allSatisfy(extents.held.contains), "seed \(seed)")
    }
  }
}
