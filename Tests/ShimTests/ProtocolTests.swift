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
    withUnsafeBytes(of: fsmvp_frame(length: length, type: type, number: 7)) { Array($0) } + [UInt8](repeating: 1, count: body)
  }

  @Test func ordersOfControl() {
    let orders: [(UInt32, Int)] = [
      (FSMVP_FRAME_INVALIDATE.rawValue, 24), (FSMVP_FRAME_REVOKED.rawValue, 8), (FSMVP_FRAME_QUIT.rawValue, 0),
      (FSMVP_FRAME_LOG_LEVEL.rawValue, 4), (FSMVP_FRAME_DRAIN.rawValue, 0),
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
    for type: UInt32 in [0, 1, 2, 8, .max] { #expect(parse(frame(16, type, body: 0)).0 == -EPROTO) }
    for length: UInt32 in [0, 15, 4097, .max] { #expect(parse(frame(length, 5, body: 0)).0 == -EPROTO) }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<5_000 {
      let bytes = (0..<Int.random(in: 0..<64, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(parse(bytes).0 <= Int32(bytes.count))
    }
  }
}

@Suite struct InitTests {
  func request(major: UInt32 = 7, minor: UInt32 = 45, flags: UInt32 = .max, flags2: UInt32 = .max, length: Int = 104) -> [UInt8] {
    let words: [UInt32] = [UInt32(length), 26, 2, 0, 0, 0, 0, 0, 0, 0, major, minor, 131_072, flags, flags2]
    let bytes = words.withUnsafeBytes { Array($0) }
    return Array((bytes + [UInt8](repeating: 0, count: 44)).prefix(length))
  }
  func answer(_ request: [UInt8]) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: 80)
    return Array(out[0..<Int(init_answer(request, UInt32(request.count), &out))]) == [] ? [] : out
  }

  @Test func goldenBytes() {
    #expect(
      answer(request()) == [
        80, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,  // length, error, unique
        7, 0, 0, 0, 38, 0, 0, 0, 0, 0, 16, 0,  // 7.38, read ahead up to 1 MiB
        0x01, 0x70, 0x44, 0x41,  // flags
        0x80, 0x0e, 0x80, 0x0e,  // 3712 background requests
        0, 16, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0,  // max_write 4096, 1 ns, 256 pages
        0x20, 0, 0, 0, 2, 0, 0, 0,  // passthrough, two levels of stacking
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
      ])
  }

  @Test func onlyWhatWasOffered() {
    // A kernel before INIT_EXT: 56 bytes, and what lies in the place of flags2 is not read.
    let old = answer(request(minor: 31, flags: 1 | 1 << 22, length: 56))
    #expect(Array(old[28..<32]) == [1, 0, 0x40, 0])
    #expect(Array(old[44..<56]) == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    let bare = answer(request(flags: 0))
    #expect(Array(bare[28..<32]) == [0, 0, 0, 0])
    #expect(Array(bare[40..<56]) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    // ASYNC_DIO and ATOMIC_O_TRUNC are never taken.
    #expect(Array(answer(request(flags: 1 << 15 | 1 << 3))[28..<32]) == [0, 0, 0, 0])
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
