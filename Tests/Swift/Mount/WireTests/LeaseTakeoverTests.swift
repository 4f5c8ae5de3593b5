import CWire
import Core
import Testing

@testable import Wire

/// A lease table as a dead control plane left it, taken over by the next one.
@Suite struct LeaseTakeoverTests {
  private func name(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test("valid rows stand with what they say, their rows and words are in use, and new leases go beside them")
  func standing() throws {
    let test = try TestRegion()
    let old = LeaseTable(region: test.region)
    let first = try #require(old.grant(node: 11, root: 0, name: name("a"), length: 200 * 65536))
    let second = try #require(old.grant(node: 12, root: 1, name: name("b.bytes"), length: 0))
    first.mark(3..<5)
    first.mark(60..<70)
    first.mark(199..<200)
    let (table, standing, _, revoked) = LeaseTable.takeOver(test.region, roots: 2)
    #expect(revoked == [] && table.count == 2)
    #expect(
      standing.map(\.node) == [11, 12] && standing.map(\.root) == [0, 1] && standing.map(\.length) == [200 * 65536, 0])
    #expect(standing.map(\.name) == [name("a"), name("b.bytes")])
    #expect(standing.map(\.lease.id) == [first.id, second.id])
    #expect(standing[0].lease.marked == [3..<5, 60..<70, 199..<200] && standing[1].lease.marked == [])
    standing[0].lease.mark(5..<60)
    #expect(standing[0].lease.marked == [3..<70, 199..<200])
    let third = try #require(table.grant(node: 13, root: 0, name: name("c"), length: 1))
    #expect(third.id == fsmvp_pack(2, 2) && third.firstWord == 5)
    // The row and the words of one that ends are had again, in the next generation.
    #expect(table.revoke(standing[0].lease))
    table.free(standing[0].lease)
    let fourth = try #require(table.grant(node: 14, root: 0, name: name("d"), length: 1))
    #expect(fourth.id == fsmvp_pack(0, 4) && fourth.firstWord == 0 && fourth.marked == [])
  }

  @Test("a revoked row that nobody acknowledged is told again, and its row and words are out of use until that is")
  func unacknowledged() throws {
    let test = try TestRegion()
    let old = LeaseTable(region: test.region, rows: 4, mapWords: 8)
    let first = try #require(old.grant(node: 1, root: 0, name: name("a"), length: 200 * 65536))
    let second = try #require(old.grant(node: 2, root: 0, name: name("b"), length: 1))
    old.revoke(first)
    let (table, standing, _, revoked) = LeaseTable.takeOver(test.region, roots: 1, rows: 4, mapWords: 8)
    #expect(standing.map(\.lease.id) == [second.id] && revoked == [first.id])
    let third = try #require(table.grant(node: 3, root: 0, name: name("c"), length: 1))
    #expect(third.index == 2 && third.firstWord == 5)
    #expect(table.grant(node: 4, root: 0, name: name("d"), length: 200 * 65536) == nil)
    table.freeUnacknowledged()
    let fourth = try #require(table.grant(node: 4, root: 0, name: name("d"), length: 200 * 65536))
    #expect(fourth.index == 0 && fourth.firstWord == 0 && fourth.generation == 4)
  }

  @Test(
    "a death at each store of a grant leaves a row that is either valid or taken back", arguments: [1, 2] as [UInt32])
  func halfGranted(generation: UInt32) throws {
    let test = try TestRegion()
    let old = LeaseTable(region: test.region)
    let lease = try #require(old.grant(node: 1, root: 0, name: name("a"), length: 1))
    // 1: it died while it wrote the row for the first time; 2: right after it was valid.
    fsmvp_store_release32(&test.leases[0].generation, generation)
    let (table, standing, _, revoked) = LeaseTable.takeOver(test.region, roots: 1)
    #expect(standing.count == Int(generation) - 1 && revoked == [])
    let next = try #require(table.grant(node: 2, root: 0, name: name("b"), length: 1))
    #expect(next.id != lease.id || generation == 1)
    #expect(next.index == (generation == 1 ? 0 : 1))
  }

  @Test(
    "a row that no honest control plane writes is revoked",
    arguments: [
      { $0.root = 1 }, { $0.node = 0 }, { $0.length = .max }, { $0.length = 65 * 65536 }, { $0.map_offset = 4 },
      { $0.map_offset = 1 << 40 },
      { $0.map_words = 0 }, { $0.map_words = .max }, { $0.block_shift = 3 }, { $0.name_length = 0 },
      { $0.name_length = 64 },
      { $0.name.0 = 0x2e }, { $0.name.1 = 0x2f }, { $0.flags = 1 }, { $0.flags = 2 },
    ] as [@Sendable (inout fsmvp_lease) -> Void])
  func hostile(edit: @Sendable (inout fsmvp_lease) -> Void) throws {
    let test = try TestRegion()
    let old = LeaseTable(region: test.region)
    let good = try #require(old.grant(node: 1, root: 0, name: name("good"), length: 1))
    let bad = try #require(old.grant(node: 2, root: 0, name: name("bad"), length: 1))
    edit(&test.leases[1])
    let (_, standing, _, revoked) = LeaseTable.takeOver(test.region, roots: 1)
    #expect(standing.map(\.lease.id) == [good.id] && revoked == [bad.id])
    #expect(test.leases[1].generation == 3)
  }

  @Test("of two rows that name the same words the first stands")
  func overlapping() throws {
    let test = try TestRegion()
    let old = LeaseTable(region: test.region)
    let first = try #require(old.grant(node: 1, root: 0, name: name("a"), length: 1))
    let second = try #require(old.grant(node: 2, root: 0, name: name("b"), length: 1))
    test.leases[1].map_offset = 0
    let (table, standing, _, revoked) = LeaseTable.takeOver(test.region, roots: 1)
    #expect(standing.map(\.lease.id) == [first.id] && revoked == [second.id])
    table.freeUnacknowledged()
    #expect(try #require(table.grant(node: 3, root: 0, name: name("c"), length: 1)).firstWord == 1)
  }

  @Test("a full table of 16,384 leases, every third one ended, is taken over with every word where it was")
  func full() throws {
    let test = try TestRegion()
    let old = LeaseTable(region: test.region)
    var leases: [RegionLease] = []
    while let lease = old.grant(node: UInt64(leases.count + 1), root: 0, name: name("n\(leases.count)"), length: 1) {
      leases.append(lease)
    }
    #expect(leases.count == 16_384)
    for (index, lease) in leases.enumerated() where index % 3 == 0 {
      old.revoke(lease)
      if index % 2 == 0 { old.free(lease) }
    }
    let (table, standing, _, revoked) = LeaseTable.takeOver(test.region, roots: 1)
    let kept = leases.enumerated().filter { $0.offset % 3 != 0 }.map(\.element)
    #expect(standing.map(\.lease.id) == kept.map(\.id) && table.count == kept.count)
    #expect(standing.map(\.lease.firstWord) == kept.map(\.firstWord) && revoked.count == 16_384 - kept.count)
    // Doubtful rows and their words stay out of use until the shim has released them, and then all of them can be
    // granted again.
    #expect(table.grant(node: 1, root: 0, name: name("a"), length: 1) == nil)
    table.freeUnacknowledged()
    var words: Set<Int> = []
    while let lease = table.grant(node: 1, root: 0, name: name("a"), length: 1) { words.insert(lease.firstWord) }
    #expect(words == Set(stride(from: 0, to: 16_384, by: 3)))
  }

  @Test("a high-water mark past the table is cut to it")
  func highWater() throws {
    let test = try TestRegion()
    fsmvp_store_release32(&test.header.pointee.leases_high, .max)
    let (table, standing, _, revoked) = LeaseTable.takeOver(test.region, roots: 1)
    #expect(standing.isEmpty && revoked.isEmpty && table.grant(node: 1, root: 0, name: name("a"), length: 1) != nil)
  }
}

@Suite struct SuccessionTests {
  @Test("what a shim has in its own hands is a receive buffer with a length, a slot LOCAL or DONE, and nothing else")
  func holdsWork() throws {
    let test = try TestRegion()
    #expect(!test.region.holdsWork)
    test.submitGetattr(3)
    #expect(!test.region.holdsWork)
    let ring = test.ring()
    let request = try #require(taken(ring).first)
    #expect(!test.region.holdsWork)
    ring.complete(request.id, .failed(.io))
    #expect(test.region.holdsWork)
    test.step(3, FSMVP_DONE, FSMVP_FREE)
    #expect(!test.region.holdsWork)
    test.step(200, FSMVP_FREE, FSMVP_FILLING)
    test.step(200, FSMVP_FILLING, FSMVP_LOCAL)
    fsmvp_store_release32(&test.header.pointee.slots_high, 201)
    #expect(test.region.holdsWork)
    test.step(200, FSMVP_LOCAL, FSMVP_FREE)
    fsmvp_store_release32(test.region.receive(15).half(0), 80)
    #expect(test.region.holdsWork)
  }

  @Test("replies are counted over operations, through control or not")
  func replies() throws {
    let test = try TestRegion()
    #expect(test.region.replies == 0)
    for (op, segment) in [
      (FSMVP_OP_READ, FSMVP_SEGMENT_LOCAL), (FSMVP_OP_OTHER, FSMVP_SEGMENT_LOCAL), (FSMVP_OP_OPEN, FSMVP_SEGMENT_TOTAL),
    ] {
      test.region.record(op: op.rawValue, segment: segment, from: 1, to: 2)
    }
    test.region.record(op: FSMVP_OP_OPEN.rawValue, segment: FSMVP_SEGMENT_PICKUP, from: 1, to: 2)
    #expect(test.region.replies == 3)
  }

  @Test("open handles are those from OPENING to RELEASED")
  func openHandles() throws {
    let test = try TestRegion()
    for (index, state) in [0, 1, 2, 3, 4, 9].enumerated() {
      fsmvp_store_release(&test.handles[index].word, fsmvp_pack(UInt32(state), 5))
      test.handles[index].node = UInt64(100 + index)
    }
    fsmvp_max_release32(&test.header.pointee.handles_high, 6)
    var nodes: [UInt64] = []
    HandleRows(region: test.region).forEachOpen { nodes.append($0.node) }
    #expect(nodes == [102, 103])
  }

  @Test("released rows are handed out in portions, to the last one, whatever the mark says")
  func portions() throws {
    let test = try TestRegion()
    for index in 0..<10 {
      fsmvp_store_release(&test.handles[index].word, fsmvp_pack(FSMVP_HANDLE_RELEASED.rawValue, 3))
    }
    fsmvp_max_release32(&test.header.pointee.handles_high, 9)
    let rows = HandleRows(region: test.region)
    var seen: [UInt64] = []
    var next: Int? = 0
    var portions = 0
    while let first = next {
      next = rows.forEachReleased(from: first, count: 4) { seen.append($0.handle & 0xffff_ffff) }
      portions += 1
    }
    #expect(seen == Array(0..<9) && portions == 3)
    var few: [UInt64] = []
    let rest = rows.forEachReleased(from: 0, count: 100, atMost: 3) { few.append($0.handle & 0xffff_ffff) }
    #expect(few == [0, 1, 2] && rest == 3)
    #expect(rows.forEachReleased(from: 100, count: 4) { _ in Issue.record("past the mark") } == nil)
    fsmvp_store_release32(&test.header.pointee.handles_high, .max)
    #expect(rows.forEachReleased(from: 65_530, count: .max) { _ in Issue.record("not released") } == nil)
  }

  @Test("a bad word is counted once, and again when it changes")
  func refused() throws {
    let test = try TestRegion()
    let ring = test.ring()
    fsmvp_store_release(test.words + 5, fsmvp_pack(42, 0))
    for _ in 0..<3 { #expect(taken(ring).isEmpty) }
    #expect(ring.hostileCount == 1)
    fsmvp_store_release(test.words + 5, fsmvp_pack(43, 0))
    for _ in 0..<3 { #expect(taken(ring).isEmpty) }
    #expect(ring.hostileCount == 2)
  }
}
