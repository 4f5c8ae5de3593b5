import Support
import Testing

@testable import Core

@Suite("Ordered table")
struct OrderedTableTests {
  @Test("it holds what a dictionary holds, in order", arguments: [1, 2, 3])
  func againstDictionary(seed: UInt64) {
    var random = SplitMix(seed: seed)
    var table = OrderedTable<Int>()
    var model: [UInt64: Int] = [:]
    let range = [300, 3000, 100_000][Int(seed) - 1]
    for step in 0..<20_000 {
      let key = UInt64(random.below(range))
      switch random.below(5) {
      case 0, 1, 2:
        table[key] = step
        model[key] = step
      case 3:
        table[key] = nil
        model[key] = nil
      default:
        _ = table.edit(key) { $0 += 1 }
        if let value = model[key] { model[key] = value + 1 }
      }
      #expect(table[key] == model[key] && table.count == model.count)
      if step % 1000 == 0 {
        let sorted = model.sorted { $0.key < $1.key }
        #expect(table.map(\.key) == sorted.map(\.key) && table.map(\.value) == sorted.map(\.value))
        let from = UInt64(random.below(range))
        #expect(table.page(from: from, limit: 7).map(\.key) == Array(sorted.map(\.key).filter { $0 >= from }.prefix(7)))
        #expect(table.next(from: from)?.key == sorted.map(\.key).first { $0 >= from })
        var free = from
        while model[free] != nil { free += 1 }
        #expect(table.firstFree(from: from) == free)
      }
    }
    for key in model.keys { table[key] = nil }
    #expect(table.isEmpty && table.first == nil && table.next(from: 0) == nil)
  }

  @Test("the first free number lies behind a run of entries without a gap, however many chunks it fills")
  func firstFree() {
    var table = OrderedTable<Void>()
    for key in UInt64(10)..<3000 { table[key] = () }
    #expect(table.firstFree(from: 9) == 9 && table.firstFree(from: 10) == 3000 && table.firstFree(from: 2999) == 3000)
    table[1500] = nil
    #expect(table.firstFree(from: 10) == 1500 && table.firstFree(from: 1501) == 3000)
    for key in UInt64(10)..<1400 { table[key] = nil }
    table[100] = ()
    #expect(table.firstFree(from: 100) == 101 && table.firstFree(from: 1400) == 1500)
  }
}
