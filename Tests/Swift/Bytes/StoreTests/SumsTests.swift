import ByteSource
import Core
import Glibc
import Testing

@testable import Store

@Suite("Sums")
struct SumsTests {
  static let header = SumsHeader(
    identity: 0x0123_4567_89ab_cdef, seed: .max, length: 5 << 30, blockSize: 65_536,
    validators: [
      Validator(etag: "\"a\"", lastModified: "Mon, 01 Jan 2024 00:00:00 GMT"), Validator(),
      Validator(lastModified: "x"),
    ])

  @Test("a header is read as it was written, the longest validators first forgotten where the oldest")
  func roundTrip() {
    #expect(SumsHeader(Self.header.bytes) == Self.header)
    #expect(Self.header.bytes.count == 4096 && Array("fsmvsums".utf8) == Array(Self.header.bytes.prefix(8)))
    var long = Self.header
    long.validators = (0..<4).map {
      Validator(etag: "\"" + String(repeating: "\($0)", count: 1022) + "\"", lastModified: "d")
    }
    #expect(SumsHeader(long.bytes)?.validators == Array(long.validators.suffix(3)))
    long.validators = [Validator(etag: "\"" + String(repeating: "0", count: 1023) + "\"")]
    #expect(SumsHeader(long.bytes)?.validators == [Validator()], "longer than any that is kept of an answer")
  }

  @Test("any byte changed, a page cut short or another version is no header")
  func junk() {
    let page = Self.header.bytes
    for offset in [0, 7, 8, 12, 16, 24, 32, 40, 47, 48, 60, 100, 4000, 4087, 4088, 4095] {
      var bent = page
      bent[offset] ^= 1
      #expect(SumsHeader(bent) == nil, "\(offset)")
    }
    #expect(
      SumsHeader([]) == nil && SumsHeader(Array(page.dropLast())) == nil
        && SumsHeader([UInt8](repeating: 0, count: 4096)) == nil)
  }

  @Test(
    "a page that is whole but cannot be ours is none",
    arguments: [
      { $0.length = -1 }, { $0.blockSize = 0 }, { $0.validators = [Validator(etag: "W/\"a\"")] },
      { $0.validators = [Validator(etag: "a")] },
      { $0.validators = [Validator(lastModified: "a\nb")] }, { $0.validators = [Validator(etag: "\"")] },
    ] as [@Sendable (inout SumsHeader) -> Void])
  func insane(change: @Sendable (inout SumsHeader) -> Void) {
    var header = Self.header
    change(&header)
    #expect(SumsHeader(header.bytes) == nil)
  }

  @Test("the header goes before any sum, sums in batches of neighbours, and a few wait for more while more is coming")
  func plan() {
    var plan = SumsPlan(Self.header, isWritten: false)
    plan.add(0..<10)
    #expect(!plan.isDue(isIdle: true), "there is no header yet")
    plan.accept([Validator(etag: "\"a\"")], pinning: 1, seed: 5)
    #expect(plan.isDue(isIdle: false) && plan.header.seed == 5)
    #expect(plan.next(isIdle: false) == .header(plan.header))
    #expect(plan.next(isIdle: true) == nil, "what was there before the first answer is nothing")
    plan.add(7..<10)
    #expect(!plan.isDue(isIdle: false) && plan.isDue(isIdle: true))
    plan.add(20..<200)
    plan.remove(30..<31)
    #expect(plan.next(isIdle: false) == .sum(7..<10, known: BlockSums(seed: 5)))
    #expect(plan.next(isIdle: false) == .sum(20..<30, known: BlockSums(seed: 5)))
    #expect(plan.next(isIdle: false) == .sum(31..<159, known: BlockSums(seed: 5)))
    plan.accept([Validator(etag: "\"a\"")], pinning: 1, seed: 6)
    #expect(plan.next(isIdle: true) == .sum(159..<200, known: BlockSums(seed: 5)), "nothing new was accepted")
    plan.add(3..<30)
    plan.accept([Validator(etag: "\"a\""), Validator(etag: "\"b\"")], pinning: 1, seed: 7)
    #expect(plan.next(isIdle: true) == .header(plan.header) && plan.header.seed == 5)
    #expect(plan.next(isIdle: true) == .sum(3..<30, known: BlockSums(seed: 5)))
    plan.add(3..<30)
    plan.accept([Validator(etag: "\"c\"")], pinning: 2, seed: 8)
    #expect(
      plan.next(isIdle: true) == .header(plan.header) && plan.header.seed == 8 && plan.header.validators.count == 1)
    #expect(plan.next(isIdle: true) == nil, "sums of another version are worth nothing")
    plan.add(3..<30)
    plan.fail()
    plan.add(3..<30)
    #expect(plan.isBroken && plan.next(isIdle: true) == nil)
  }

  @Test("what is known of a block when it was written is not read back; what is not of this seed is not known")
  func known() {
    var plan = SumsPlan(Self.header, isWritten: true)
    plan.know(BlockSums(seed: .max, blocks: [3: 33, 4: 44, 5: 55, 9: 99]))
    plan.know(BlockSums(seed: 1, blocks: [6: 66]))
    plan.add(3..<8)
    plan.remove(5..<6)
    plan.add(5..<6)
    #expect(plan.next(isIdle: true) == .sum(3..<8, known: BlockSums(seed: .max, blocks: [3: 33, 4: 44])))
    plan.add(9..<10)
    plan.accept([], pinning: 1, seed: 2)
    plan.add(9..<10)
    #expect(plan.next(isIdle: true) == .header(plan.header))
    #expect(plan.next(isIdle: true) == .sum(9..<10, known: BlockSums(seed: 2)))
    #expect(plan.rule == SumsRule(seed: 2, blockSize: 65_536, length: 5 << 30))
    plan.fail()
    #expect(plan.rule == nil)
  }

  @Test("the blocks that lie in one buffer are summed from there, the short last one too")
  func rule() {
    let rule = SumsRule(seed: 3, blockSize: 100, length: 1050)
    let content = ScriptedContent.bytes(1050)
    func sum(_ block: Int) -> UInt64 {
      content.withUnsafeBytes {
        rule.sum(UnsafeRawBufferPointer(rebasing: $0[block * 100..<min(1050, block * 100 + 100)]))
      }
    }
    func blocks(_ offset: Int, _ lengths: [Int]) -> [Int: UInt64] {
      var copy = content
      return copy.withUnsafeMutableBytes { bytes in
        var start = offset
        let parts = lengths.map { length in
          defer { start += length }
          return iovec(iov_base: bytes.baseAddress.map { $0 + start }, iov_len: length)
        }
        return rule.sums(of: parts, at: Int64(offset)).blocks
      }
    }
    #expect(blocks(0, [300]) == [0: sum(0), 1: sum(1), 2: sum(2)])
    #expect(blocks(50, [300, 100, 250]) == [1: sum(1), 2: sum(2), 5: sum(5), 6: sum(6)])
    #expect(blocks(900, [150]) == [9: sum(9), 10: sum(10)])
    #expect(blocks(910, [100, 40]).isEmpty)
    #expect(blocks(1000, [50]) == [10: sum(10)] && blocks(1001, [49]).isEmpty && blocks(150, []).isEmpty)
  }

  @Test("sums tell good blocks from changed ones, and from those without a sum; another seed knows none of them")
  func file() throws {
    let scratch = try ScratchFolder()
    let length: Int64 = 10 * 4096 + 100
    let made = try scratch.folder.make("x.bytes", size: length, CacheClaims())
    defer {
      scratch.folder.remove("x.bytes")
      close(made.descriptor)
    }
    let content = ScriptedContent.bytes(Int(length))
    #expect(pwrite(made.descriptor, content, content.count, 0) == content.count)
    let sums = SumsFile(
      folder: scratch.folder, name: SumsFile.name(of: "x.bytes"), bytes: made.descriptor, length: length,
      blockSize: 4096)
    var header = Self.header
    header.length = length
    header.blockSize = 4096
    #expect(sums.sum(0..<1, known: BlockSums(seed: 7)) != nil, "never without a header")
    #expect(
      sums.write(header) == nil && sums.sum(0..<4, known: BlockSums(seed: 7)) == nil
        && sums.sum(6..<11, known: BlockSums(seed: 7)) == nil)
    let found = try #require(sums.read(identity: header.identity))
    #expect(found.header == header && found.blocks.ranges == [ByteRange(0, 4), ByteRange(6, 11)])
    #expect(
      sums.check(0..<4, seed: 7) == [0..<4] && sums.check(6..<11, seed: 7) == [6..<11]
        && sums.check(0..<4, seed: 8).isEmpty)
    #expect(sums.check(0..<11, seed: 7) == [0..<4, 6..<11])
    for offset in [4096 * 2, 4096 * 7 + 4095, Int(length) - 1] {
      #expect(pwrite(made.descriptor, [content[offset] ^ 1], 1, off_t(offset)) == 1)
    }
    #expect(sums.check(0..<11, seed: 7) == [0..<2, 3..<4, 6..<7, 8..<10])
    #expect(SumsFile.stands(for: "x.bytes", in: scratch.folder, length: length, identity: header.identity))
    #expect(!SumsFile.stands(for: "x.bytes", in: scratch.folder, length: length + 1, identity: header.identity))
    #expect(
      sums.read(identity: 1) == nil && !SumsFile.stands(for: "x.bytes", in: scratch.folder, length: length, identity: 1)
    )
    var status = stat()
    #expect(fstatat(scratch.folder.descriptor, "x.sums", &status, 0) == 0 && status.st_mode & 0o777 == 0o600)
  }
}

enum ScriptedContent {
  static func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }
}
