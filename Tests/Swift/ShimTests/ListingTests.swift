import CShim
import CWire
import Foundation
import Testing

@Suite struct ListingTests {
  func record(
    _ name: [UInt8], cursor: UInt64, hasAttributes: Bool = true,
    change: (inout fsmvp_dirent, inout fsmvp_attr) -> Void = { _, _ in }
  ) -> [UInt8] {
    var entry = fsmvp_dirent()
    var attr = fsmvp_attr()
    attr.node = 100 &+ cursor
    attr.mode = UInt32(S_IFREG) | 0o444
    attr.size = 5
    entry.node = attr.node
    entry.mode = attr.mode
    entry.cursor = cursor
    entry.name_length = UInt16(name.count)
    entry.flags = hasAttributes ? UInt16(FSMVP_DIRENT_ATTR) : 0
    change(&entry, &attr)
    var bytes = withUnsafeBytes(of: entry) { Array($0) }
    if hasAttributes { bytes += withUnsafeBytes(of: attr) { Array($0) } }
    bytes += name
    while bytes.count % 8 != 0 { bytes.append(0) }
    return bytes
  }

  func convert(_ payload: [UInt8], after: UInt64 = 0, plus: Bool = false, room: Int = 4096) -> (Int, [UInt8]) {
    var out = [UInt8](repeating: 0, count: room)
    let used = listing_convert(payload, payload.count, after, plus, &out, room)
    return (used, out)
  }

  @Test func entriesAsTheKernelReadsThem() {
    let (used, out) = convert(record(Array("film.mp4".utf8), cursor: 3) + record(Array("x".utf8), cursor: 9))
    // fuse_dirent: ino, off, namelen, type, name padded to 8.
    #expect(used == 32 + 32)
    #expect(Array(out[0..<8]) == [103, 0, 0, 0, 0, 0, 0, 0])
    #expect(Array(out[8..<16]) == [3, 0, 0, 0, 0, 0, 0, 0])
    #expect(Array(out[16..<24]) == [8, 0, 0, 0, 8, 0, 0, 0])
    #expect(Array(out[24..<32]) == Array("film.mp4".utf8))
    #expect(Array(out[40..<41]) == [9])
    #expect(convert(record([65], cursor: 1), plus: true).0 == 128 + 32)
    #expect(convert([]).0 == 0)
  }

  @Test("the form of the answer is the kernel's choice, whatever form the records have")
  func formOfRecords() {
    let bare = record(Array("film.mp4".utf8), cursor: 3, hasAttributes: false)
    #expect(convert(bare).0 == 32 && convert(bare).1[24..<32].elementsEqual("film.mp4".utf8))
    let (used, out) = convert(bare, plus: true)
    // fuse_entry_out with the node 0: the kernel keeps nothing of it, and asks when it needs to.
    #expect(used == 128 + 32 && out[0..<8].allSatisfy { $0 == 0 })
    #expect(Array(out[128..<136]) == [103, 0, 0, 0, 0, 0, 0, 0])
  }

  @Test("each entry says how long its name and its attributes are kept")
  func timeouts() {
    let kept = record([65], cursor: 1) { _, attr in (attr.entry_ms, attr.attr_ms) = (1500, FSMVP_ATTR_FOREVER) }
    let out = convert(kept, plus: true).1
    // entry_valid, attr_valid in seconds, and the nanoseconds of both.
    #expect(Array(out[16..<24]) == [1, 0, 0, 0, 0, 0, 0, 0])
    #expect(Array(out[32..<36]) == [0, 0x65, 0xcd, 0x1d])
    #expect(out[24..<32].elementsEqual(withUnsafeBytes(of: UInt64(1_000_000_000)) { Array($0) }))
    #expect(attr_timeout(0) == 0 && attr_timeout(250) == 0.25 && attr_timeout(.max) == 1e9)
  }

  @Test func cutToTheRoom() {
    let payload = record([65], cursor: 1) + record([66], cursor: 2)

    #expect(convert(payload, room: 63).0 == 32)
    #expect(convert(payload, room: 64).0 == 64)
    #expect(convert(payload, room: 31).0 == Int(-EINVAL))
  }

  @Test func namesOfEveryLength() {
    #expect(convert(record([UInt8](repeating: 97, count: 255), cursor: 1)).0 == 24 + 256)
    #expect(convert(record([UInt8](repeating: 97, count: 256), cursor: 1)).0 == Int(-EPROTO))
    #expect(convert(record([], cursor: 1)).0 == Int(-EPROTO))
  }

  @Test func hostileRecords() {
    let good = record([65], cursor: 1)

    #expect(convert(record(Array("a/b".utf8), cursor: 1)).0 == Int(-EPROTO))
    #expect(convert(record([65, 0, 66], cursor: 1)).0 == Int(-EPROTO))
    #expect(convert(record([65], cursor: 1) { entry, _ in entry.name_length = 60_000 }).0 == Int(-EPROTO))
    #expect(convert(record([65], cursor: 1) { entry, _ in entry.name_length = 9 }).0 == Int(-EPROTO))
    #expect(
      convert(
        record([65], cursor: 1) {
          $0.node = 0; $1.node = 0
        }
      ).0 == Int(-EPROTO))
    #expect(convert(record([65], cursor: 1) { $1.node = 7 }).0 == Int(-EPROTO))
    #expect(convert(record([65], cursor: 1) { entry, _ in entry.mode = UInt32(S_IFSOCK) }).0 == Int(-EPROTO))
    #expect(convert(record([65], cursor: 1) { $1.mode = UInt32(S_IFSOCK) }).0 == Int(-EPROTO))
    #expect(convert(record([65], cursor: 1) { $1.size = .max }).0 == Int(-EPROTO))
    #expect(convert(record([65], cursor: .max)).0 == Int(-EPROTO))
    // A cursor that does not rise: the reader would never come to the end.
    #expect(convert(record([65], cursor: 0)).0 == Int(-EPROTO))
    #expect(convert(good + good).0 == Int(-EPROTO))
    #expect(convert(good, after: 1).0 == Int(-EPROTO))
    for length in 1..<good.count { #expect(convert(Array(good[0..<length])).0 == Int(-EPROTO)) }
  }

  @Test func garbageNeverReadsBeyondItsEnd() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<3_000 {
      let payload = (0..<Int.random(in: 0..<400, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(convert(payload).0 <= 4096)
    }
  }

  @Test func timesBeforeTheEpoch() {
    var attr = fsmvp_attr()
    var out = stat()
    attr.node = 1
    attr.mode = UInt32(S_IFDIR) | 0o755
    attr.mtime_ns = -1
    #expect(attr_to_stat(&attr, &out))
    #expect(out.st_mtim.tv_sec == -1 && out.st_mtim.tv_nsec == 999_999_999)
    attr.atime_ns = 2_000_000_001
    attr.ctime_ns = 3_000_000_000
    attr.mode = UInt32(S_IFLNK) | 0o777
    #expect(attr_to_stat(&attr, &out) && out.st_mode == UInt32(S_IFLNK) | 0o777)
    #expect(out.st_atim.tv_sec == 2 && out.st_atim.tv_nsec == 1 && out.st_ctim.tv_sec == 3)
    attr.size = 513
    #expect(attr_to_stat(&attr, &out) && out.st_blocks == 2)
  }
}
