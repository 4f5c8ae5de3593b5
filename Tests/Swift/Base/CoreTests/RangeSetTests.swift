import Support
import Testing

@testable import Core

@Suite("RangeSet")
struct RangeSetTests {
  private static func set(_ pairs: (Int64, Int64)...) -> RangeSet { RangeSet(pairs.map { ByteRange($0.0, $0.1) }) }

  @Test("neighbours that touch become one range")
  func touching() {
    #expect(Self.set((0, 10), (20, 30), (10, 20)).ranges == [ByteRange(0, 30)])
  }

  @Test("removing the middle leaves both ends")
  func removal() {
    var set = Self.set((0, 100))
    set.remove(ByteRange(40, 60))
    #expect(set.ranges == [ByteRange(0, 40), ByteRange(60, 100)])
    #expect(set.count == 80)
  }

  @Test("missing parts come in order and are cut to what was asked")
  func missing() {
    let set = Self.set((10, 20), (30, 40))
    #expect(set.missing(in: ByteRange(0, 50)) == [ByteRange(0, 10), ByteRange(20, 30), ByteRange(40, 50)])
    #expect(set.missing(in: ByteRange(12, 35)) == [ByteRange(20, 30)])
    #expect(set.firstMissing(in: ByteRange(15, 35)) == ByteRange(20, 30))
    #expect(set.firstMissing(in: ByteRange(31, 39)) == nil)
  }

  @Test("an empty range is always contained and never inserted")
  func empty() {
    var set = RangeSet()
    set.insert(ByteRange(5, 5))
    #expect(set.isEmpty && set.contains(ByteRange(7, 7)))
  }

  @Test("agrees with a plain array of flags over random changes", arguments: 1...20)
  func model(seed: UInt64) {
    var random = SplitMix(seed: seed)
    var set = RangeSet()
    var flags = [Bool](repeating: false, count: 200)
    for _ in 0..<300 {
      let start = Int64(random.next() % 200)
      let end = min(200, start + Int64(random.next() % 40))
      let range = ByteRange(start, end)
      switch random.next() % 3 {
      case 0:
        set.remove(range)
        for i in start..<end { flags[Int(i)] = false }
      default:
        set.insert(range)
        for i in start..<end { flags[Int(i)] = true }
      }
      #expect(set.contains(range) == (start..<end).allSatisfy { flags[Int($0)] })
      let gaps = set.missing(in: ByteRange(0, 200))
      #expect(gaps.reduce(0) { $0 + $1.count } == Int64(flags.filter { !$0 }.count))
      #expect(set.firstMissing(in: ByteRange(0, 200)) == gaps.first)
      for (a, b) in zip(set.ranges, set.ranges.dropFirst()) { #expect(a.end < b.start) }
    }
  }
}
