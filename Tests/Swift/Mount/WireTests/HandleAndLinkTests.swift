import CLinux
import CWire
import Core
import Glibc
import Testing

@testable import Wire

@Suite struct HandleRowsTests {
  @Test("a handle's number is good for its own generation only, also over the wrap")
  func generations() throws {
    let test = try TestRegion()
    let rows = HandleRows(region: test.region)
    fsmvp_max_release32(&test.header.pointee.handles_high, 1)
    fsmvp_store_release(&test.handles[0].word, fsmvp_pack(FSMVP_HANDLE_RELEASED.rawValue, .max - 3))
    for turn in 0..<8 as Range<UInt32> {
      let generation = UInt32.max - 3 &+ turn
      let handle = fsmvp_pack(0, generation)
      #expect(rows.row(of: handle) != nil)
      #expect(rows.row(of: fsmvp_pack(0, generation &+ 1)) == nil)
      #expect(!rows.free(fsmvp_pack(0, generation &- 1)))
      #expect(rows.free(handle))
      #expect(!rows.free(handle))
      for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 4)] as [(UInt32, UInt32)] {
        if to == 2 { #expect(!rows.isOpening(fsmvp_pack(0, generation &+ 1))) }
        #expect(fsmvp_handle_step(&test.handles[0].word, FSMVP_SIDE_SHIM, generation &+ 1, from, to))
        #expect(rows.isOpening(fsmvp_pack(0, generation &+ 1)) == (to == 2))
      }
    }
  }

  @Test("numbers past the table, open rows and free rows are not released, and cannot be freed")
  func bounds() throws {
    let test = try TestRegion()
    let rows = HandleRows(region: test.region)
    #expect(rows.row(of: .max) == nil)
    #expect(rows.row(of: 65536) == nil)
    #expect(!rows.free(65536))
    #expect(!rows.isOpening(.max))
    for state in [0, 1, 2, 3, 5, 77] as [UInt32] {
      fsmvp_store_release(&test.handles[65535].word, fsmvp_pack(state, 1))
      #expect(!rows.free(fsmvp_pack(65535, 1)))
    }
    fsmvp_store_release32(&test.header.pointee.handles_high, .max)
    rows.forEachReleased { Issue.record("released: \($0)") }
  }

  @Test("figures no file can have are cut to what can be said")
  func hostileFigures() throws {
    let test = try TestRegion()
    test.handles[2].bytes = .max
    test.handles[2].cursor = 1 << 63
    let row = try #require(HandleRows(region: test.region).row(of: 2))
    #expect(row.bytes == .max)
    #expect(row.furthest == .max)
  }
}

@Suite struct FrameReaderTests {
  private func feed(_ bytes: [UInt8], portion: Int) throws -> [ShimFrame] {
    var reader = FrameReader()
    var frames: [ShimFrame] = []
    for start in stride(from: 0, to: bytes.count, by: portion) {
      bytes[start..<min(start + portion, bytes.count)].withUnsafeBytes { reader.append($0) }
      while let frame = try reader.next() { frames.append(frame) }
    }
    return frames
  }

  @Test("frames come out whole, in whatever portions their bytes arrive", arguments: [1, 2, 3, 7, 16, 17, 100])
  func portions(portion: Int) throws {
    let bytes: [UInt8] =
      [0x10, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1]
      + [0x17, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x6f, 0x68, 0x21]
      + [0x14, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]
    #expect(
      try feed(bytes, portion: portion) == [
        .acknowledged(0x0100_0000_0000_0009), .log(level: 1, text: "oh!"), .log(level: 3, text: ""),
      ])
  }

  @Test(
    "what is no frame is refused by name, before its body is waited for",
    arguments: [
      ([0x0f, 0, 0, 0, 1, 0, 0, 0], .badLength(15)), ([0, 0, 0, 0, 1, 0, 0, 0], .badLength(0)),
      ([0x01, 0x10, 0, 0, 1, 0, 0, 0], .badLength(4097)), ([0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0], .badLength(.max)),
      ([0x10, 0, 0, 0, 3, 0, 0, 0], .badType(3)), ([0x10, 0, 0, 0, 0, 0, 0, 0], .badType(0)),
      ([0x10, 0, 0, 0, 2, 0, 0, 0], .badBody(2)),
    ] as [([UInt8], FrameError)])
  func garbage(head: [UInt8], error: FrameError) {
    #expect(throws: error) { try feed(head + [UInt8](repeating: 0, count: 8), portion: 5) }
  }
}

@Suite struct HelloTests {
  /// A socket pair: ours, and a peer that says `answer` with `descriptors`.
  private func exchange(_ descriptors: Int, _ edit: (inout fsmvp_hello) -> Void) throws -> Result<Greeting, HelloError>
  {
    var pair: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    let ours = OwnedDescriptor(pair[0])
    let theirs = OwnedDescriptor(pair[1])
    var answer = fsmvp_hello()
    answer.magic = wireMagic
    answer.abi = FSMVP_ABI
    answer.identity = fsmvp_process_id(getpid())
    edit(&answer)
    let given = (0..<descriptors).map { _ in OwnedDescriptor(clinux_eventfd()) }
    #expect(fsmvp_send(theirs.number, &answer, 512, given.map(\.number), UInt32(given.count), 1000) == 0)
    guard case .success = Hello.say(on: ours) else { return .failure(.notOurs) }
    let result = Hello.hear(ours, milliseconds: 1000)
    var heard = fsmvp_hello()
    #expect(fsmvp_receive(theirs.number, &heard, 512, nil, nil, 1000) == 0)
    #expect(heard.magic == wireMagic && heard.abi == FSMVP_ABI && heard.identity == fsmvp_process_id(getpid()))
    return result
  }

  @Test("a hello with a mount's descriptors and a root is taken")
  func good() throws {
    let greeting = try exchange(6) { _ in }.get()
    #expect(greeting.descriptors.count == 6 && greeting.roots.count == 1)
    #expect(greeting.pid == getpid())
    #expect(Hello.isAlive(greeting.identity))
    #expect(!Hello.isAlive(greeting.identity ^ 1 << 40), "another start time is another process")
    #expect(!Hello.isAlive(0))
  }

  @Test("wrong magic, another ABI and too few descriptors are refused by name")
  func bad() throws {
    func error(_ descriptors: Int, _ edit: (inout fsmvp_hello) -> Void) throws -> HelloError? {
      if case .failure(let error) = try exchange(descriptors, edit) { return error }
      return nil
    }
    #expect(try error(5) { $0.magic = 1 } == .notOurs)
    #expect(try error(5) { $0.abi = 99 } == .otherABI(99))
    #expect(try error(5) { $0.needs = 1 << 40 } == .otherFeatures(needed: 41))
    #expect(try error(4) { _ in } == .missingDescriptors(4))
    #expect(try error(0) { _ in } == .missingDescriptors(0))
  }

  @Test("a newer side that only adds a feature is gone on with")
  func addedFeature() throws {
    #expect(try exchange(6) { $0.features = 1 << 40 }.get().descriptors.count == 6)
  }

  @Test("a refusal brings its sentence, also one without an end")
  func refusal() throws {
    let greeting = try exchange(0) { hello in
      hello.status = EACCES
      withUnsafeMutableBytes(of: &hello.message) { bytes in for index in bytes.indices { bytes[index] = 0x78 } }
    }.get()
    #expect(greeting.status == EACCES)
    #expect(greeting.message == String(repeating: "x", count: 464))
  }

  @Test("a peer that says nothing, or half, is waited for as long as was said and no longer")
  func silence() throws {
    var pair: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    let ours = OwnedDescriptor(pair[0])
    let theirs = OwnedDescriptor(pair[1])
    guard case .failure(.noAnswer(let timeout)) = Hello.hear(ours, milliseconds: 20) else {
      Issue.record("an answer from nobody")
      return
    }
    #expect(timeout.code == ETIMEDOUT)
    _ = write(theirs.number, "half", 4)
    shutdown(theirs.number, Int32(SHUT_WR))
    guard case .failure(.noAnswer(let end)) = Hello.hear(ours, milliseconds: 5000) else {
      Issue.record("half an answer was taken for one")
      return
    }
    #expect(end.code == EPIPE)
  }
}
