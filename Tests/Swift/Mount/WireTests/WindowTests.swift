import CLinux
import CWire
import Core
import Glibc
import Testing

@testable import Wire

@Suite struct WindowTests {
  private func word(_ frame: UInt32, _ generation: UInt32, whole: Bool) -> UInt64 {
    fsmvp_frame_word(frame, whole, generation)
  }

  @Test("a block's word says where it is until it is taken away; blocks past the file are ignored")
  func words() throws {
    let test = try TestRegion()
    let window = try #require(LeaseTable(region: test.region).grantWindow(node: 1, root: 1, length: 3 * 262_144))
    #expect(window.blocks == 3 && window.blockSize == 262_144)
    window.put(block: 0, frame: 16_383, generation: 5, isWhole: true)
    window.put(block: 2, frame: 0, generation: 6, isWhole: false)
    for block in [-1, 3, 1 << 40] {
      window.put(block: block, frame: 1, generation: 9, isWhole: true)
      window.clear(block: block)
    }
    #expect((0..<4).map { test.maps[$0] } == [word(16_383, 5, whole: true), 0, word(0, 6, whole: false), 0])
    #expect(window.presence(cells: 128) == [15, 0, 15])
    #expect(
      fsmvp_frame_number(test.maps[0]) == 16_384 && fsmvp_frame_is_whole(test.maps[0])
        && fsmvp_generation(test.maps[0]) == 5)
    window.put(block: 2, frame: 0, generation: 6, isWhole: true)
    window.clear(block: 0)
    #expect((0..<3).map { test.maps[$0] } == [0, 0, word(0, 6, whole: true)])
    #expect(test.region.windowGeneration == 6)
  }

  @Test("the latest generation goes round with the generations, and never back")
  func generationsGoRound() throws {
    let test = try TestRegion()
    let window = try #require(LeaseTable(region: test.region).grantWindow(node: 1, root: 1, length: 262_144))
    for (generation, latest) in [
      (0x7000_0000, 0x7000_0000), (5, 0x7000_0000), (0xe000_0000, 0xe000_0000), (.max, .max), (1, 1), (.max, 1),
    ]
      as [(UInt32, UInt32)]
    {
      window.put(block: 0, frame: 0, generation: generation, isWhole: true)
      #expect(test.region.windowGeneration == latest, "\(generation)")
    }
  }

  @Test(
    "a window has a word for each of its blocks",
    arguments: [(0, 1), (1, 1), (262_144, 1), (262_145, 2), (5 << 30, 20_480)] as [(Int64, Int)])
  func blocks(length: Int64, blocks: Int) throws {
    let test = try TestRegion()
    let window = LeaseTable(region: test.region).grantWindow(node: 1, root: 0, length: length)
    #expect(window?.blocks == blocks && test.leases[0].map_words == UInt32(blocks))
  }

  @Test(
    "a window too long for the section of maps, or of a length that is none, is not granted; files and windows share rows and words"
  )
  func full() throws {
    let table = LeaseTable(region: try TestRegion().region, rows: 2, mapWords: 4)
    #expect(table.grantWindow(node: 1, root: 0, length: -1) == nil)
    #expect(table.grantWindow(node: 1, root: 0, length: .max) == nil)
    #expect(table.grantWindow(node: 1, root: 0, length: 4 * 262_144 + 1) == nil)
    let file = try #require(table.grant(node: 1, root: 0, name: [0x61], length: 1))
    #expect(table.grantWindow(node: 2, root: 1, length: 4 * 262_144) == nil)
    let window = try #require(table.grantWindow(node: 2, root: 1, length: 3 * 262_144))
    #expect(file.firstWord == 0 && window.firstWord == 1 && table.count == 2)
    #expect(table.grantWindow(node: 3, root: 1, length: 1) == nil)
    table.revoke(window)
    table.free(window)
    #expect(table.count == 1 && table.grant(node: 3, root: 0, name: [0x62], length: 192 * 65536)?.firstWord == 1)
  }

  @Test("after its end a window's words are another lease's, and nothing of it gets there")
  func ended() throws {
    let test = try TestRegion()
    let table = LeaseTable(region: test.region)
    let first = try #require(table.grantWindow(node: 1, root: 0, length: 262_144))
    first.put(block: 0, frame: 7, generation: 1, isWhole: true)
    #expect(table.revoke(first) && !table.revoke(first))
    #expect(test.leases[0].generation == 3)
    first.put(block: 0, frame: 8, generation: 2, isWhole: true)
    #expect(test.maps[0] == word(7, 1, whole: true))
    table.free(first)
    let second = try #require(table.grantWindow(node: 2, root: 0, length: 262_144))
    #expect(second.id == fsmvp_pack(0, 4) && second.firstWord == 0 && test.maps[0] == 0)
    second.put(block: 0, frame: 7, generation: 2, isWhole: true)
    first.clear(block: 0)
    #expect(test.maps[0] == word(7, 2, whole: true))
  }

  // MARK: Taking over

  @Test("a window that stood stands with an empty map, and the next uses of frames are told where to go on")
  func standing() throws {
    let test = try TestRegion()
    let old = LeaseTable(region: test.region)
    let file = try #require(old.grant(node: 11, root: 0, name: [0x61], length: 65536))
    file.mark(0..<1)
    let window = try #require(old.grantWindow(node: 12, root: 1, length: 3 * 262_144))
    let gone = try #require(old.grantWindow(node: 13, root: 1, length: 1))
    window.put(block: 0, frame: 3, generation: 40, isWhole: true)
    window.put(block: 1, frame: 4, generation: 41, isWhole: false)
    // The highest was taken away again before the death.
    window.put(block: 2, frame: 5, generation: 99, isWhole: true)
    window.clear(block: 2)
    old.revoke(gone)
    let (table, standing, windows, revoked) = LeaseTable.takeOver(test.region, roots: 1, window: 1)
    #expect(standing.map(\.lease.id) == [file.id] && standing[0].lease.marked == [0..<1])
    #expect(
      windows.map(\.window.id) == [window.id] && windows.map(\.node) == [12] && windows.map(\.length) == [3 * 262_144])
    #expect(revoked == [gone.id] && table.count == 2)
    #expect((1..<4).map { test.maps[$0] } == [0, 0, 0])
    #expect(test.region.windowGeneration == 99)
    // It goes on, and ends, as one that was granted here.
    windows[0].window.put(block: 1, frame: 4, generation: 100, isWhole: true)
    #expect(test.maps[2] == word(4, 100, whole: true))
    #expect(table.revoke(windows[0].window))
    table.free(windows[0].window)
    #expect(try #require(table.grantWindow(node: 14, root: 1, length: 3 * 262_144)).id == fsmvp_pack(1, 4))
  }

  @Test(
    "a window's row that no honest control plane writes is revoked",
    arguments: [
      { $0.root = 0 }, { $0.root = 2 }, { $0.node = 0 }, { $0.length = .max }, { $0.length = 4 * 262_144 },
      { $0.map_offset = 4 },
      { $0.map_words = 0 }, { $0.map_words = 2 }, { $0.map_words = .max }, { $0.block_shift = 16 },
      { $0.name_length = 1 },
      { $0.flags = 0 },
      { $0.flags = 3 }, { $0.map_offset = 0 },
    ] as [@Sendable (inout fsmvp_lease) -> Void])
  func hostile(edit: @Sendable (inout fsmvp_lease) -> Void) throws {
    let test = try TestRegion()
    let old = LeaseTable(region: test.region)
    let good = try #require(old.grantWindow(node: 1, root: 1, length: 1))
    let bad = try #require(old.grantWindow(node: 2, root: 1, length: 3 * 262_144))
    edit(&test.leases[1])
    let (_, standing, windows, revoked) = LeaseTable.takeOver(test.region, roots: 1, window: 1)
    #expect(standing.isEmpty && windows.map(\.window.id) == [good.id] && revoked == [bad.id])
    #expect(test.leases[1].generation == 3)
  }

  @Test("without a window no lease over one stands")
  func none() throws {
    let test = try TestRegion()
    let window = try #require(LeaseTable(region: test.region).grantWindow(node: 1, root: 1, length: 1))
    let taken = LeaseTable.takeOver(test.region, roots: 1)
    #expect(taken.windows.isEmpty && taken.revoked == [window.id])
  }

  // MARK: Answers and frames

  @Test("a READ's answer names the lease that its bytes are behind, and never one of an answer before")
  func otherLease() throws {
    let test = try TestRegion()
    let ring = test.ring()
    func answer(_ answer: SlotAnswer) throws -> UInt64 {
      test.submitRead(200, offset: 0, size: 10)
      ring.complete(try #require(taken(ring).first?.id), answer)
      defer { test.step(200, FSMVP_DONE, FSMVP_FREE) }
      return test.slots[200].lease
    }
    #expect(try answer(.bytes(ByteRange(0, 10), from: 0x2_0000_0007)) == 0x2_0000_0007)
    #expect(try answer(.bytes(ByteRange(0, 10))) == 0)
    #expect(try answer(.bytes(ByteRange(0, 10), from: 9)) == 9)
    #expect(try answer(.bytes(ByteRange(5, 10), from: 9)) == 0)
    #expect(try answer(.failed(.io)) == 0)
  }

  @Test("an answer says for which uses of frames it vouches")
  func vouchedGeneration() throws {
    let test = try TestRegion()
    let ring = test.ring()
    let window = try #require(LeaseTable(region: test.region).grantWindow(node: 1, root: 1, length: 262_144))
    for generation in [41, 42] as [UInt32] {
      window.put(block: 0, frame: 3, generation: generation, isWhole: false)
      test.submitRead(130, offset: 0, size: 4096)
      ring.walk { ring.complete($0.id, .bytes(ByteRange(0, 4096), from: window.id)) }
      #expect(test.slots[130].window_generation == generation)
      test.step(130, FSMVP_DONE, FSMVP_FREE)
    }
  }

  @Test("an answer is under way until the shim has replied or asks again, and the slot's next use is another answer's")
  func underWay() throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submitRead(200, offset: 0, size: 10)
    let id = try #require(taken(ring).first?.id)
    #expect(!ring.isUnderWay(id))
    ring.complete(id, .bytes(ByteRange(0, 10)))
    #expect(ring.isUnderWay(id))
    test.step(200, FSMVP_DONE, FSMVP_SUBMITTED)
    #expect(!ring.isUnderWay(id))
    #expect(taken(ring).map(\.id) == [id])
    ring.complete(id, .bytes(ByteRange(0, 10)))
    #expect(ring.isUnderWay(id))
    test.step(200, FSMVP_DONE, FSMVP_FREE)
    #expect(!ring.isUnderWay(id))
    test.submitRead(200, offset: 0, size: 10)
    let next = try #require(taken(ring).first?.id)
    ring.complete(next, .bytes(ByteRange(0, 10)))
    #expect(!ring.isUnderWay(id) && ring.isUnderWay(next))
  }

  @Test("the last use of a frame is what the shim wrote")
  func lastUse() throws {
    let test = try TestRegion()
    #expect(test.region.lastUse(ofFrame: 16_383) == 0)
    fsmvp_store_relaxed(test.frames + 16_383, 123_456_789_012)
    #expect(test.region.lastUse(ofFrame: 16_383) == 123_456_789_012 && test.region.lastUse(ofFrame: 0) == 0)
  }

  @Test("the window's file has its size for good, takes no memory, and is told from other files")
  func file() throws {
    let window = OwnedDescriptor(try WindowFile.make().get())
    #expect(WindowFile.isOne(window.number) && WindowFile.frames == 16_384 && WindowFile.frameSize == 262_144)
    #expect(ftruncate(window.number, 0) == -1 && ftruncate(window.number, 1 << 33) == -1)
    #expect(clinux_add_seals(window.number, 8) == -1, "nobody can seal it against writing")
    var status = stat()
    #expect(fstat(window.number, &status) == 0 && status.st_size == 4 << 30 && status.st_blocks == 0)
    #expect(fcntl(window.number, F_GETFD) & FD_CLOEXEC != 0)
    let region = try TestRegion()
    let unsealed = OwnedDescriptor(clinux_memfd("test", 4 << 30))
    for other in [
      region.descriptor, unsealed, OwnedDescriptor(clinux_open("/dev/null", O_RDONLY, 0)),
      OwnedDescriptor(clinux_open("/", O_RDONLY, 0)),
    ] {
      #expect(!WindowFile.isOne(other.number))
    }
  }
}

@Suite("How much of a file is here")
struct PresenceTests {
  @Test("cells are as many as blocks at most; neither empty nor full looks like neither")
  func cells() {
    #expect(Presence.cells(of: 0, atMost: 4) { $0.count } == [])
    #expect(Presence.cells(of: 3, atMost: 128) { $0.lowerBound == 1 ? 0 : $0.count } == [15, 0, 15])
    #expect(Presence.cells(of: 1000, atMost: 2) { $0.lowerBound == 0 ? 1 : 499 } == [1, 14])
    #expect(Presence.cells(of: 1000, atMost: 4) { $0.count / 2 } == [7, 7, 7, 7])
  }
}
