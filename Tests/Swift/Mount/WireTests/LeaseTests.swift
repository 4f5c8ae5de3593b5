import CWire
import Core
import Glibc
import Support
import Testing

@testable import Wire

@Suite struct LeaseTests {
  private func name(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test("names the shim could not open, or not be told, get no lease")
  func names() throws {
    let table = LeaseTable(region: try TestRegion().region)
    for bad in ["", ".", "..", ".hidden", "a/b", "/", "a\0b", String(repeating: "x", count: 64)] {
      #expect(table.grant(node: 1, root: 0, name: name(bad), length: 1) == nil, "\(bad)")
    }
    #expect(table.grant(node: 1, root: 0, name: name("a"), length: -1) == nil)
    #expect(table.grant(node: 1, root: 0, name: name(String(repeating: "x", count: 63)), length: 1) != nil)
    #expect(table.count == 1)
  }

  @Test(
    "a file has as many blocks as it needs",
    arguments: [(0, 1), (1, 1), (65536, 1), (65537, 2), (64 * 65536, 64), (64 * 65536 + 1, 65), (5 << 40, 80 << 20)]
      as [(Int64, Int)])
  func blocks(length: Int64, blocks: Int) throws {
    let test = try TestRegion()
    let lease = LeaseTable(region: test.region).grant(node: 1, root: 0, name: name("a"), length: length)
    // The whole section is 512 Mi blocks; all of these fit.
    #expect(lease?.blocks == blocks)
    #expect(test.leases[0].map_words == UInt32((blocks + 63) / 64))
  }

  @Test("a file longer than the section of maps gets no lease, and nothing is lost by asking")
  func tooLong() throws {
    let table = LeaseTable(region: try TestRegion().region)
    #expect(table.grant(node: 1, root: 0, name: name("a"), length: .max) == nil)
    #expect(table.grant(node: 1, root: 0, name: name("a"), length: 1)?.id == 0x2_0000_0000)
  }

  @Test("marks set exactly their blocks' bits, whatever words they lie in; what is past the file is ignored")
  func marks() throws {
    let test = try TestRegion()
    let lease = try #require(
      LeaseTable(region: test.region).grant(node: 1, root: 0, name: name("a"), length: 200 * 65536))
    #expect(lease.blockSize == 65536)
    lease.mark(3..<5)
    lease.mark(63..<130)
    lease.mark(199..<1000)
    lease.mark(-5..<1)
    lease.mark(40..<40)
    let present = (0..<256).filter { test.maps[$0 / 64] >> UInt64($0 % 64) & 1 == 1 }
    #expect(present == [0, 3, 4] + Array(63..<130) + [199])
    // The same as a person sees it: by hundreds of blocks, and by single ones.
    #expect(lease.presence(cells: 2) == [6, 4])
    #expect(lease.presence(cells: 1000).indices.filter { lease.presence(cells: 1000)[$0] == 15 } == present)
    lease.unmark(64..<129)
    #expect((0..<256).filter { test.maps[$0 / 64] >> UInt64($0 % 64) & 1 == 1 } == [0, 3, 4, 63, 129, 199])
  }

  @Test(
    "a revoked lease is invalid at once, its row is another lease's only after it was freed, and its late marks go nowhere"
  )
  func revoke() throws {
    let test = try TestRegion()
    let table = LeaseTable(region: test.region)
    let first = try #require(table.grant(node: 1, root: 0, name: name("a"), length: 65536))
    first.mark(0..<1)
    #expect(table.revoke(first))
    #expect(!table.revoke(first))
    #expect(test.leases[0].generation == 3)
    let second = try #require(table.grant(node: 2, root: 0, name: name("b"), length: 65536))
    #expect(second.id == 0x2_0000_0001)
    table.free(first)
    let third = try #require(table.grant(node: 3, root: 0, name: name("c"), length: 65536))
    #expect(third.id == 0x4_0000_0000)
    #expect(test.leases[0].map_offset == 0)
    #expect(test.maps[0] == 0, "the map is empty before the lease is valid")
    first.mark(0..<1)
    #expect(test.maps[0] == 0)
    third.mark(0..<1)
    first.unmark(0..<1)
    #expect(test.maps[0] == 1)
    #expect(table.count == 2)
  }

  @Test("full tables say so, and have room again after a lease was freed")
  func full() throws {
    let table = LeaseTable(region: try TestRegion().region, rows: 3, mapWords: 4)
    let leases = (0..<3).compactMap { table.grant(node: UInt64($0), root: 0, name: name("a"), length: 1) }
    #expect(leases.count == 3)
    #expect(table.grant(node: 9, root: 0, name: name("a"), length: 1) == nil)
    table.revoke(leases[1])
    #expect(table.grant(node: 9, root: 0, name: name("a"), length: 1) == nil)
    table.free(leases[1])
    #expect(
      table.grant(node: 9, root: 0, name: name("a"), length: 129 * 65536) == nil,
      "one word is left, and one was freed elsewhere")
    #expect(table.grant(node: 9, root: 0, name: name("a"), length: 1) != nil)
  }

  @Test("a row's generations are even when valid and never 0, over their wrap too")
  func wrap() throws {
    let test = try TestRegion()
    let table = LeaseTable(region: test.region)
    table.begin(row: 0, generation: .max - 3)
    var seen: [UInt32] = []
    for _ in 0..<4 {
      let lease = try #require(table.grant(node: 1, root: 0, name: name("a"), length: 1))
      seen.append(lease.generation)
      #expect(test.leases[0].generation == lease.generation)
      #expect(lease.id != 0)
      table.revoke(lease)
      #expect(test.leases[0].generation == lease.generation &+ 1)
      table.free(lease)
    }
    #expect(seen == [.max - 1, 2, 4, 6])
  }

  @Test("a reader that sees the same even generation before and after has one lease's fields, not two's")
  func oddAndEven() throws {
    let test = try TestRegion()
    let stop = Signal()
    let torn = Counter()
    let whole = Counter()
    let reader = TestThread {
      let row = UnsafeMutableRawPointer(test.leases)
      let bytes = SharedBytes(base: row)
      while !stop.isSet {
        let before = fsmvp_load_acquire32(bytes.half(LeaseField.generation))
        guard before != 0, before & 1 == 0 else { continue }
        let node = bytes.load(LeaseField.node)
        let length = bytes.load(LeaseField.length)
        let words = bytes.load32(LeaseField.mapWords)
        let first = bytes.load(LeaseField.name)
        let map = fsmvp_load_acquire(test.region.mapWord(0))
        fsmvp_fence_acquire()
        guard fsmvp_load_relaxed32(bytes.half(LeaseField.generation)) == before else { continue }
        whole.add()
        // Each lease says its number in every field, and marks it in its map, if anything.
        let number = node & 0xff
        let isOne =
          length == number * 4_194_304 && words == UInt32(number) && first & 0xff == 0x40 + number
          && (map == 0 || map == number)
        if !isOne { torn.add() }
      }
    }
    let table = LeaseTable(region: test.region, rows: 1)
    for turn in 0..<6000 {
      let number = turn % 26 + 1
      guard
        let lease = table.grant(
          node: UInt64(number), root: 0, name: [UInt8(0x40 + number)], length: Int64(number) * 4_194_304)
      else {
        Issue.record("no lease in turn \(turn)")
        break
      }
      for bit in 0..<5 where number >> bit & 1 == 1 && turn % 2 == 0 && number.nonzeroBitCount == 1 {
        lease.mark(bit..<bit + 1)
      }
      // Now and then the lease stands until it was read whole; mostly it ends while it is being read.
      let seen = whole.value
      if turn % 8 == 0 { while whole.value == seen, torn.value == 0 { sched_yield() } }
      table.revoke(lease)
      table.free(lease)
    }
    stop.set(1)
    reader.join()
    #expect(torn.value == 0)
    #expect(whole.value > 0)
  }
}

extension Signal { var isSet: Bool { isAt(1) } }

@Suite struct MapAllocatorTests {
  @Test(
    "a map allocator hands out what a plain row of booleans would, first fit, and takes it back whole",
    arguments: 1...20)
  func model(seed: UInt64) {
    // So that a seed that fails can be run again.
    var dice = SplitMix(seed: seed)
    let size = 200
    var allocator = MapAllocator(words: size)
    var used = [Bool](repeating: false, count: size)
    var runs: [(Int, Int)] = []
    for turn in 0..<2000 {
      if dice.below(2) == 0 || runs.isEmpty {
        let count = 1 + dice.below(dice.below(4) == 0 ? 120 : 12)
        let expected = (0...size).first { start in start + count <= size && !used[start..<start + count].contains(true)
        }
        let start = allocator.allocate(count)
        #expect(start == expected, "seed \(seed), turn \(turn)")
        guard let start else { continue }
        for word in start..<start + count { used[word] = true }
        runs.append((start, count))
      } else {
        let (start, count) = runs.remove(at: dice.below(runs.count))
        allocator.release(start, count)
        for word in start..<start + count { used[word] = false }
      }
      let free = (0..<size).filter { !used[$0] }
      #expect(allocator.free.flatMap { Array($0) } == free, "seed \(seed), turn \(turn)")
      #expect(
        zip(allocator.free, allocator.free.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound },
        "runs do not touch")
    }
    for (start, count) in runs { allocator.release(start, count) }
    #expect(allocator == MapAllocator(words: size))
  }
}
