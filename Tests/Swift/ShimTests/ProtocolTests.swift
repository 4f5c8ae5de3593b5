import CShim
import CWire
import Foundation
import Testing

@Suite struct FrameTests {
  func parse(_ bytes: [UInt8]) -> (Int32, fsmvp_frame) {
    var frame = fsmvp_frame()
    return (frame_parse(bytes, bytes.count, &frame), frame)
  }
  func frame(_ length: UInt32, _ type: UInt32, body: Int) -> [UInt8] {
    withUnsafeBytes(of: fsmvp_frame(length: length, type: type, number: 7)) { Array($0) }
      + [UInt8](repeating: 1, count: body)
  }

  @Test func ordersOfControl() {
    let orders: [(UInt32, Int)] = [
      (FSMVP_FRAME_INVALIDATE.rawValue, 24), (FSMVP_FRAME_REVOKED.rawValue, 8), (FSMVP_FRAME_QUIT.rawValue, 0),
      (FSMVP_FRAME_LOG_LEVEL.rawValue, 4), (FSMVP_FRAME_DRAIN.rawValue, 0),
      (FSMVP_FRAME_INVALIDATE_NODES.rawValue, 8), (FSMVP_FRAME_INVALIDATE_NODES.rawValue, 4080),
      (FSMVP_FRAME_INVALIDATE_NAMES.rawValue, 0),
    ]
    for (type, body) in orders {
      let whole = frame(UInt32(16 + body), type, body: body)
      #expect(parse(whole + [9, 9]).0 == Int32(16 + body))
      #expect(parse(whole).1.number == 7)
      for length in 0..<whole.count { #expect(parse(Array(whole[0..<length])).0 == 0) }
      #expect(parse(frame(UInt32(17 + body), type, body: body + 1)).0 == -EPROTO)
      #expect(parse(frame(UInt32(15 + body), type, body: body)).0 == -EPROTO)
    }
  }

  @Test func whatControlMayNotSend() {
    #expect(parse(frame(16, FSMVP_FRAME_INVALIDATE_NODES.rawValue, body: 0)).0 == -EPROTO)
    #expect(parse(frame(4104, FSMVP_FRAME_INVALIDATE_NODES.rawValue, body: 4088)).0 == -EPROTO)
    for type: UInt32 in [0, 1, 2, 10, .max] { #expect(parse(frame(16, type, body: 0)).0 == -EPROTO) }
    for length: UInt32 in [0, 15, 4097, .max] { #expect(parse(frame(length, 5, body: 0)).0 == -EPROTO) }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<5_000 {
      let bytes = (0..<Int.random(in: 0..<64, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(parse(bytes).0 <= Int32(bytes.count))
    }
  }
}

@Suite struct HelloTests {
  func disagreement(features: UInt64, needs: UInt64, theirs: UInt64, theirNeeds: UInt64) -> String? {
    var hello = fsmvp_hello()
    hello.features = theirs
    hello.needs = theirNeeds
    var message = [CChar](repeating: 0, count: Int(SHIM_MESSAGE_MAX))
    guard !hello_agrees(features, needs, &hello, &message) else { return nil }
    return String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  @Test("a feature is a reason to refuse only for the side that needs it, and then in one sentence")
  func features() {
    #expect(disagreement(features: 0, needs: 0, theirs: .max, theirNeeds: 0) == nil)
    #expect(disagreement(features: 6, needs: 2, theirs: 3, theirNeeds: 2) == nil)
    let lacked = disagreement(features: 1, needs: 0, theirs: 3, theirNeeds: 2)
    #expect(lacked?.contains("the control plane needs feature 2") == true)
    let missed = disagreement(features: 5, needs: 4, theirs: 3, theirNeeds: 1)
    #expect(missed?.contains("this shim needs feature 3") == true)
    for sentence in [lacked, missed] { #expect(sentence?.contains("\n") == false) }
  }
}

@Suite struct InitTests {
  func request(major: UInt32 = 7, minor: UInt32 = 45, flags: UInt32 = .max, flags2: UInt32 = .max, length: Int = 104)
    -> [UInt8]
  {
    let words: [UInt32] = [UInt32(length), 26, 2, 0, 0, 0, 0, 0, 0, 0, major, minor, 131_072, flags, flags2]
    let bytes = words.withUnsafeBytes { Array($0) }
    return Array((bytes + [UInt8](repeating: 0, count: 44)).prefix(length))
  }
  func answer(_ request: [UInt8], page: UInt64 = 4096) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: 80)
    return init_answer(request, UInt32(request.count), page, &out) == 0 ? [] : out
  }

  /// FUSE_NO_OPENDIR_SUPPORT, without which no kernel is served.
  let opendir: UInt32 = 1 << 24

  @Test(
    "a READ is at most 1 MiB on kernels with pages of any size",
    arguments: [
      (4096, 256), (8192, 128), (16_384, 64), (65_536, 16), (262_144, 4), (1 << 20, 1), (1 << 21, 1), (1024, 256),
      (0, 1),
    ])
  func maximumOfPages(page: Int, pages: Int) {
    #expect(init_max_pages(UInt64(page)) == UInt16(pages))
    let bytes = answer(request(), page: UInt64(page))
    #expect(Int(bytes[44]) | Int(bytes[45]) << 8 == pages)
    #expect(page > 1 << 20 || pages * page <= Int(FSMVP_READ_MAX))
  }

  @Test("a kernel before 5.4 is refused, and one without what the shim needs")
  func oldKernels() {
    #expect(answer(request(minor: 30)) == [])
    #expect(answer(request(minor: 31)) != [])
    #expect(answer(request(flags: .max & ~opendir)) == [])
    #expect(init_minor(request(minor: 27), 104) == 27)
    #expect(init_minor(request(major: 8), 104) == 0)
    #expect(init_minor(request(), 40) == 0)
  }

  @Test func goldenBytes() {
    #expect(
      answer(request()) == [
        80, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,  // length, error, unique
        7, 0, 0, 0, 38, 0, 0, 0, 0, 0, 16, 0,  // 7.38, read ahead up to 1 MiB
        0x01, 0x70, 0x44, 0x41,  // flags
        0x80, 0x0e, 0x80, 0x0e,  // 3712 background requests
        0, 16, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0,  // max_write 4096, 1 ns, 256 pages
        0, 0, 0, 0, 0, 0, 0, 0,  // nothing that nothing here uses: no passthrough
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
      ])
  }

  @Test func onlyWhatWasOffered() {
    // A kernel before INIT_EXT: 56 bytes, and what lies in the frame of flags2 is not read.
    let old = answer(request(minor: 31, flags: 1 | 1 << 22 | opendir, length: 56))
    #expect(Array(old[28..<32]) == [1, 0, 0x40, 1])
    #expect(Array(old[44..<56]) == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    let bare = answer(request(flags: opendir))
    #expect(Array(bare[28..<32]) == [0, 0, 0, 1])
    #expect(Array(bare[40..<56]) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    // ASYNC_DIO and ATOMIC_O_TRUNC are never taken.
    #expect(Array(answer(request(flags: 1 << 15 | 1 << 3 | opendir))[28..<32]) == [0, 0, 0, 1])
  }

  @Test func whatCannotBeAnswered() {
    #expect(answer(request(major: 8)) == [])
    #expect(answer(request(minor: 22)) == [])
    #expect(answer(request(length: 55)) == [])
    var other = request()
    other[4] = 1
    #expect(answer(other) == [])
  }
}
