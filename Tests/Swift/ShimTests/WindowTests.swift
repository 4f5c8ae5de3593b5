import CLinux
import CShim
import CWire
import Foundation
import Testing

/// A window of a few frames and a lease over it, as a control plane would write them. The bytes of block k, wherever it
/// lies, are words of k and the word's number in the block.
// SAFETY: shared words are accessed by the contract's verbs.
final class Window: @unchecked Sendable {
  static let block = 1 << 18
  let scratch: Scratch
  let leases = UnsafeMutablePointer<leases>.allocate(capacity: 1)
  let memory: Int32
  let folder: Int32
  let length: UInt64
  let frames: Int
  let id = fsmvp_pack(5, 2)
  let map: UnsafeMutablePointer<UInt64>

  init(blocks: Int, frames: Int, cut: Int = 0) throws {
    scratch = try Scratch()
    length = UInt64(blocks * Self.block - cut)
    self.frames = frames
    memory = clinux_memfd("test-window", Int64(frames * Self.block))
    folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    try #require(memory >= 0 && folder >= 0)
    map = scratch.region.pointee.maps + 64
    leases.initialize(to: CShim.leases())
    try #require(leases_open(leases, scratch.region, [folder, memory], 2) == 0)
    write()
  }

  deinit {
    close(memory)
    close(folder)
    leases.deallocate()
  }

  func write(_ change: (inout fsmvp_lease) -> Void = { _ in }) {
    var lease = fsmvp_lease()
    lease.generation = 2
    lease.root = 1
    lease.node = 42
    lease.length = length
    lease.map_offset = 64 * 8
    lease.map_words = UInt32((length + UInt64(Self.block) - 1) >> UInt64(FSMVP_WINDOW_SHIFT))
    lease.block_shift = FSMVP_WINDOW_SHIFT
    lease.flags = FSMVP_LEASE_WINDOW
    change(&lease)
    scratch.region.pointee.leases[5] = lease
  }

  static func words(_ block: Int) -> [UInt64] { (0..<Self.block / 8).map { UInt64(block) << 32 | UInt64($0) } }

  /// The bytes, then the word.
  func put(_ block: Int, at frame: Int, generation: UInt32 = 1, isWhole: Bool = true, words: [UInt64]? = nil) {
    let written = (words ?? Self.words(block)).withUnsafeBytes {
      pwrite(memory, $0.baseAddress, $0.count, off_t(frame * Self.block))
    }
    if written != Self.block { Issue.record("frame \(frame) cannot be written") }
    fsmvp_store_release(map + block, fsmvp_frame_word(UInt32(frame), isWhole, generation))
  }

  func clear(_ block: Int) {
    fsmvp_store_relaxed(map + block, 0)
    fsmvp_fence_full()
  }

  /// - Parameter vouched: the last use of a frame that a vouch is for.
  func read(
    _ offset: Int, _ size: Int, _ how: lease_how? = nil, vouched: UInt32 = .max >> 1, into: inout [UInt64],
    node: UInt64 = 42,
    generation: UInt32 = 2
  ) -> Int {
    let how = how == LEASE_VOUCHED ? lease_vouched(vouched) : UInt64(how?.rawValue ?? 0)
    return into.withUnsafeMutableBytes {
      lease_read(leases, fsmvp_pack(5, generation), node, UInt64(offset), UInt32(size), how, 0, $0.baseAddress)
    }
  }

  /// Whether these are the file's bytes from `offset`, a multiple of 8.
  static func isRight(_ got: [UInt64], _ offset: Int, _ size: Int) -> Bool {
    (0..<size / 8).allSatisfy { index in
      let at = offset + index * 8
      return got[index] == UInt64(at / block) << 32 | UInt64(at % block / 8)
    }
  }

  var hostile: UInt64 { scratch.region.pointee.header.pointee.count_hostile }
  func lastUse(_ frame: Int) -> UInt64 { fsmvp_load_relaxed(scratch.region.pointee.frames + frame) }
}

@Suite struct WindowTests {
  let block = Window.block

  @Test func wholeBlocksAreServedWhereverTheyLieAndTheirPlacesAreStamped() throws {
    let window = try Window(blocks: 6, frames: 8, cut: 100)
    for (block, frame) in [(0, 7), (1, 0), (2, 5), (3, 4), (4, 6), (5, 1)] { window.put(block, at: frame) }
    var bytes = [UInt64](repeating: 0, count: 1 << 17)
    for (offset, size) in [
      (0, 8), (0, block), (block - 8, 16), (8, 1 << 20), (block, 1 << 20), (block - 8, 1 << 20),
      (5 * block, block - 104),
    ] {
      #expect(window.read(offset, size, into: &bytes) == size, "\(offset) \(size)")
      #expect(Window.isRight(bytes, offset, size), "\(offset) \(size)")
    }
    #expect(window.read(5 * block + 8, block, into: &bytes) == block - 108, "cut to the file")
    #expect(window.read(6 * block - 100, 1, into: &bytes) == 0)
    #expect(window.hostile == 0)
    let before = fsmvp_now()
    #expect(window.read(0, block + 1, into: &bytes) == block + 1)
    for frame in [7, 0] {
      #expect(window.lastUse(frame) | 127 >= before && window.lastUse(frame) & ~127 <= fsmvp_now())
    }
    for frame in [5, 4, 6, 1] { #expect(window.lastUse(frame) > 0 && window.lastUse(frame) < before) }
    for frame in [2, 3] { #expect(window.lastUse(frame) == 0) }
  }

  @Test func aBlockThatIsNotHereIsNoDataVouchedForOrNot() throws {
    let window = try Window(blocks: 4, frames: 4)
    window.put(0, at: 0)
    window.put(2, at: 1)
    var bytes = [UInt64](repeating: 0, count: 1 << 17)
    for how in [nil, LEASE_VOUCHED, LEASE_MAY_BLOCK] as [lease_how?] {
      #expect(window.read(0, block, how, into: &bytes) == block)
      #expect(window.read(0, block + 1, how, into: &bytes) == Int(-ENODATA))
      #expect(window.read(block, 8, how, into: &bytes) == Int(-ENODATA))
      #expect(window.read(2 * block, 2 * block, how, into: &bytes) == Int(-ENODATA))
    }
    window.clear(0)
    #expect(window.read(0, 8, LEASE_VOUCHED, into: &bytes) == Int(-ENODATA))
    // A word without a frame, whatever else is in it.
    window.map[0] = UInt64.max << 32 | UInt64(FSMVP_FRAME_WHOLE)
    #expect(window.read(0, 8, LEASE_VOUCHED, into: &bytes) == Int(-ENODATA))
    #expect(window.hostile == 0)
  }

  @Test func aBlockThatIsNotWholeIsReadOnlyByWhoIsVouchedFor() throws {
    let window = try Window(blocks: 2, frames: 2)
    window.put(0, at: 1, isWhole: false)
    window.put(1, at: 0)
    var bytes = [UInt64](repeating: 0, count: 1 << 17)
    #expect(window.read(0, 8, into: &bytes) == Int(-ENODATA))
    #expect(window.read(0, 8, LEASE_MAY_BLOCK, into: &bytes) == Int(-ENODATA))
    #expect(window.read(block - 8, 16, into: &bytes) == Int(-ENODATA))
    #expect(window.read(block - 8, 16, LEASE_VOUCHED, into: &bytes) == 16)
    #expect(Window.isRight(bytes, block - 8, 16))
  }

  @Test("an answer of a dead control plane serves no block that its successor has only begun")
  func aVouchIsForTheUsesOfPlacesThatThereWere() throws {
    let window = try Window(blocks: 2, frames: 3)
    let zeros = [UInt64](repeating: 0, count: Window.block / 8)
    window.put(0, at: 1, generation: 7, isWhole: false)
    window.put(1, at: 0, generation: 4, isWhole: false)
    var bytes = [UInt64](repeating: 0, count: 1 << 17)
    #expect(
      window.read(block - 8, 16, LEASE_VOUCHED, vouched: 7, into: &bytes) == 16 && Window.isRight(bytes, block - 8, 16))
    // The successor cleared the words and gives the block a frame anew; its bytes are not there yet.
    window.clear(0)
    window.put(0, at: 2, generation: 8, isWhole: false, words: zeros)
    #expect(window.read(0, 8, LEASE_VOUCHED, vouched: 7, into: &bytes) == Int(-ENODATA))
    #expect(window.read(block - 8, 16, LEASE_VOUCHED, vouched: 7, into: &bytes) == Int(-ENODATA))
    // An answer of the successor itself may read the range at once, and an earlier answer once all of the block is
    // there.
    window.put(0, at: 2, generation: 8, isWhole: false)
    #expect(window.read(0, 8, LEASE_VOUCHED, vouched: 8, into: &bytes) == 8 && Window.isRight(bytes, 0, 8))
    window.put(0, at: 2, generation: 8, isWhole: true)
    #expect(window.read(0, 8, LEASE_VOUCHED, vouched: 7, into: &bytes) == 8 && Window.isRight(bytes, 0, 8))
    #expect(window.hostile == 0)
  }

  @Test("a vouch holds over the round of the generations, and a later use is later beyond it, too")
  func vouchesOverTheRound() throws {
    let window = try Window(blocks: 1, frames: 2)
    var bytes = [UInt64](repeating: 0, count: 1)
    for (used, vouched, may) in [
      (UInt32.max, UInt32.max, true), (.max, 1, true), (.max, 0x7fff_fffe, true), (1, .max, false),
      (0x7fff_fff0, .max, false),
      (0x8000_0001, 0x8000_0000, false), (0x8000_0000, 0x8000_0001, true), (1, 1, true), (2, 1, false),
    ] {
      window.put(0, at: 1, generation: used, isWhole: false)
      #expect(
        window.read(0, 8, LEASE_VOUCHED, vouched: vouched, into: &bytes) == (may ? 8 : Int(-ENODATA)),
        "\(used) \(vouched)")
    }
  }

  @Test func framesThatCannotBeAreCountedAndGiveNothing() throws {
    let window = try Window(blocks: 2, frames: 2)
    var bytes = [UInt64](repeating: 0, count: 1 << 17)
    var counted: UInt64 = 0
    for frame in [2, FSMVP_FRAMES - 1, FSMVP_FRAMES, 0x7fff_fffe] {
      window.map[0] = fsmvp_frame_word(frame, true, 1)
      for how in [nil, LEASE_VOUCHED] as [lease_how?] {
        #expect(window.read(0, 8, how, into: &bytes) == Int(-EPROTO), "\(frame)")
        counted += 1
        #expect(window.hostile == counted)
      }
    }
    window.put(0, at: 0)
    #expect(window.read(0, 8, into: &bytes, node: 43) == Int(-EBADF))
    // A folder has no frames.
    window.write { $0.root = 0 }
    #expect(window.read(0, 8, into: &bytes) == Int(-EPROTO))
    #expect(window.hostile == counted + 1)
    // The row of a lease that ended may have words of another one, so they are not counted as hostile.
    window.write { $0.generation = 4 }
    #expect(window.read(0, 8, LEASE_VOUCHED, into: &bytes) == Int(-ESTALE))
    #expect(window.hostile == counted + 1)
  }

  @Test func aWindowLargerThanItsTableOfPlacesIsReadUpToThat() throws {
    let window = try Window(blocks: 1, frames: Int(FSMVP_FRAMES) + 1)
    var bytes = [UInt64](repeating: 0, count: 1)
    window.put(0, at: Int(FSMVP_FRAMES) - 1)
    #expect(window.read(0, 8, into: &bytes) == 8 && Window.isRight(bytes, 0, 8))
    window.put(0, at: Int(FSMVP_FRAMES))
    #expect(window.read(0, 8, into: &bytes) == Int(-EPROTO))
  }

  @Test func rowsThatCannotBe() throws {
    let window = try Window(blocks: 3, frames: 2)
    window.put(0, at: 0)
    var view = lease_view()
    let changes: [(inout fsmvp_lease) -> Void] = [
      { $0.root = 2 }, { $0.node = 0 }, { $0.length = 1 << 63 }, { $0.length = 3 << 18 | 1 }, { $0.block_shift = 16 },
      { $0.block_shift = 17 },
      { $0.block_shift = .max }, { $0.map_offset = 4 }, { $0.map_offset = .max - 7 }, { $0.map_words = 2 },
      { $0.map_words = .max },
      { $0.name_length = 1 }, { $0.flags = 2 }, { $0.flags = 3 }, { $0.flags = .max }, { $0.flags = 0 },
    ]
    for (number, change) in changes.enumerated() {
      window.write(change)
      #expect(lease_view(window.scratch.region, 2, window.id, &view) == -EPROTO, "change \(number)")
    }
    window.write()
    #expect(lease_view(window.scratch.region, 2, window.id, &view) == 0 && view.window && view.name.0 == 0)
  }

  @Test func aFilesLeaseThatNamesTheWindowAsItsFolderReadsNothing() throws {
    let window = try Window(blocks: 1, frames: 1)
    window.write { lease in
      lease.flags = 0
      lease.name_length = 1
      lease.name.0 = 0x61
    }
    window.map[0] = .max
    var bytes = [UInt64](repeating: 0, count: 1)
    #expect(window.read(0, 8, into: &bytes) == Int(-EAGAIN))
    #expect(window.read(0, 8, LEASE_MAY_BLOCK, into: &bytes) == Int(-ENOTDIR))
  }

  @Test func nothingIsKeptForAWindowSoItsRevocationIsDoneAtOnce() throws {
    let window = try Window(blocks: 1, frames: 1)
    window.put(0, at: 0)
    var bytes = [UInt64](repeating: 0, count: 1)
    #expect(window.read(0, 8, LEASE_MAY_BLOCK, into: &bytes) == 8)
    #expect(lease_file_get(window.leases, window.id) == nil)
    #expect(lease_file_revoke(window.leases, window.id))
    lease_file_sweep(window.leases)
  }

  /// Blocks come and go in few frames while they are read: what is served is the file's, of one use of a frame, or
  /// nothing.
  @Test func aPlaceGivenToAnotherBlockDuringTheCopyIsNeverServed() throws {
    let blocks = 8
    let frames = 3
    let window = try Window(blocks: blocks, frames: frames)
    let contents = (0..<blocks).map { Window.words($0) }
    let file = contents.flatMap(\.self)
    let over = Shared()
    let wrong = Shared()
    let right = Shared()
    let lost = Shared()
    inOwnThreads(3) { thread in
      var random = UInt32(thread + 1)
      func next(_ bound: Int) -> Int {
        random = random &* 1_664_525 &+ 1_013_904_223
        return Int(random >> 8) % bound
      }
      if thread == 0 {
        var held = [Int?](repeating: nil, count: frames)
        var turn: UInt32 = 0
        while turn < 4000 || ((right.value == 0 || lost.value == 0) && wrong.value == 0) {
          turn += 1
          let frame = next(frames)
          if let block = held[frame] { window.clear(block) }
          var block = next(blocks)
          while held.contains(block) { block = (block + 1) % blocks }
          held[frame] = block
          window.put(block, at: frame, generation: turn, isWhole: turn % 4 != 0, words: contents[block])
        }
        over.add(1)
        return
      }
      var bytes = [UInt64](repeating: 0, count: 1 << 17)
      while over.value == 0 {
        let offset = next(blocks * Window.block / 8) * 8
        let size = min([8, 65_536, Window.block, 2 * Window.block][next(4)], blocks * Window.block - offset)
        let got = window.read(offset, size, next(2) == 0 ? nil : LEASE_VOUCHED, into: &bytes)
        if got == size {
          right.add(1)
          let differs = file.withUnsafeBytes { $0.baseAddress.map { memcmp(bytes, $0 + offset, size) } }
          if differs != 0 { wrong.add(1) }
        } else if got == Int(-ENODATA) {
          lost.add(1)
        } else {
          wrong.add(1)
        }
      }
    }
    #expect(wrong.value == 0)
    #expect(right.value > 0 && lost.value > 0)
    #expect(window.hostile == 0)
  }

  /// The lease ends and its words and frames are another's at once: a reader in the middle has nothing.
  @Test func aLeaseThatEndsDuringTheCopyServesNothing() throws {
    let window = try Window(blocks: 1, frames: 1)
    let own = Window.words(0)
    let size = Window.block
    let others = own.map { ~$0 }
    window.put(0, at: 0, words: own)
    let over = Shared()
    let wrong = Shared()
    let right = Shared()
    inOwnThreads(2) { thread in
      let generation = UnsafeMutableRawPointer(window.scratch.region.pointee.leases + 5).assumingMemoryBound(
        to: UInt32.self)
      if thread == 0 {
        for turn in 1...1500 as ClosedRange<UInt32> {
          window.put(0, at: 0, words: own)
          fsmvp_store_release32(generation, 2 * turn)
          let seen = right.value
          // Now and then it stands until it was read.
          if seen % 8 == 0 { while right.value == seen, wrong.value == 0 { sched_yield() } }
          // From another moment of the copy each time.
          for _ in 0..<turn % 64 * 16 { _ = fsmvp_now() }
          fsmvp_store_release32(generation, 2 * turn + 1)
          fsmvp_fence_full()
          // The same word, for other bytes.
          window.put(0, at: 0, words: others)
        }
        over.add(1)
        return
      }
      var bytes = [UInt64](repeating: 0, count: Window.block / 8)
      while over.value == 0 {
        let got = window.read(0, Window.block, into: &bytes, generation: fsmvp_load_acquire32(generation) & ~1)
        if got == Window.block {
          right.add(1)
          if memcmp(bytes, own, size) != 0 { wrong.add(1) }
        } else if got != Int(-ESTALE) {
          wrong.add(1)
        }
      }
    }
    #expect(wrong.value == 0)
    #expect(right.value > 0)
  }
}
