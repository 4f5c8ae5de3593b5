import CLinux
import CWire
import Core
import EventLoop
import Glibc
import Synchronization
import Testing
import Volume

@testable import ShimHost
@testable import Wire

/// A mount's `Dispatch` over a region made here, without a shim: the tests play the shim's part.
@DispatchLoop
private final class Desk {
  let volume = AskedVolume()
  private(set) var dispatch: Dispatch
  private let region: Region
  private let words: UnsafeMutablePointer<UInt64>
  let slots: UnsafeMutablePointer<fsmvp_slot>
  private let base: UnsafeMutableRawPointer
  private let bell = Doorbell(OwnedDescriptor(clinux_eventfd()))

  init() throws {
    let size = Int(fsmvp_region_format(nil))
    let memory = OwnedDescriptor(clinux_memfd("test-region", Int64(size)))
    base = try #require(mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.number, 0))
    _ = fsmvp_region_format(base.assumingMemoryBound(to: fsmvp_header.self))
    #expect(clinux_add_seals(memory.number, 6) == 0)
    region = try Region(descriptor: memory.number)
    let sections = (base + 224).assumingMemoryBound(to: fsmvp_section.self)
    words = (base + Int(sections[1].offset)).assumingMemoryBound(to: UInt64.self)
    slots = (base + Int(sections[2].offset)).assumingMemoryBound(to: fsmvp_slot.self)
    dispatch = Dispatch(region: region, shimBell: bell, volume: volume)
  }

  /// The control plane dies, and the next one goes on with the same region.
  func replaceControlPlane() {
    dispatch = Dispatch(region: region, shimBell: bell, volume: volume)
    dispatch.adoptSlots()
    serve()
  }

  /// All that was submitted; one step takes one listing at most.
  func serve() { for _ in 0..<8 { dispatch.serve() } }

  func payload(_ index: Int, count: Int) -> [UInt8] { region.payload(index, for: count).copyOut(0, count: count) }

  func state(_ index: Int) -> fsmvp_slot_state {
    fsmvp_slot_state(rawValue: fsmvp_low(fsmvp_load_acquire(words + index)))
  }

  @discardableResult
  func step(_ index: Int, _ from: fsmvp_slot_state, _ to: fsmvp_slot_state) -> Bool {
    let generation = fsmvp_generation(fsmvp_load_acquire(words + index))
    return fsmvp_slot_step(words + index, FSMVP_SIDE_SHIM, generation, from.rawValue, to.rawValue)
  }

  /// A request of the kernel, as far as SUBMITTED.
  func submit(_ index: Int, _ op: fsmvp_op, node: UInt64 = 1, name: String = "", room: UInt64 = 32_768) {
    #expect(step(index, FSMVP_FREE, FSMVP_FILLING))
    slots[index] = fsmvp_slot()
    slots[index].op = op.rawValue
    slots[index].node = node
    slots[index].arg1 = room
    slots[index].name_offset = 48
    slots[index].name_length = UInt16(name.utf8.count)
    slots[index].raw_length = UInt32(48 + name.utf8.count)
    withUnsafeMutableBytes(of: &slots[index].raw) { $0[48...].copyBytes(from: Array(name.utf8)) }
    step(index, FSMVP_FILLING, FSMVP_LOCAL)
    step(index, FSMVP_LOCAL, FSMVP_SUBMITTED)
  }

  /// The answer as the shim takes it: an errno (negative) or 0; nil while there is none.
  func answer(_ index: Int) -> Int32? { state(index) == FSMVP_DONE ? slots[index].error : nil }
}

/// A volume that keeps every reply, so that a test answers when and from where it likes.
@DispatchLoop
private final class AskedVolume: Volume {
  var lookups: [AttributesReply] = []
  var attributes: [AttributesReply] = []
  var listings: [any Listing] = []
  var texts: [BytesReply] = []
  var hasExtendedAttributes = true
  var keepsPages = true

  var isReadOnly: Bool { true }
  var statistics: VolumeStatistics { VolumeStatistics(bytes: 0, files: 0) }
  func attach(to host: any VolumeHost) {}
  func inherit(_ inheritance: Inheritance) async {}
  func directoriesToForget() async -> [NodeID] { [] }
  func lookup(_ name: FileName, in directory: NodeID, reply: AttributesReply) { lookups.append(reply) }
  func attributes(of node: NodeID, reply: AttributesReply) { attributes.append(reply) }
  func list(_ directory: NodeID, after cursor: UInt64, to listing: any Listing) { listings.append(listing) }
  func target(of link: NodeID, reply: BytesReply) { texts.append(reply) }
  func extendedAttribute(_ name: String, of node: NodeID, reply: BytesReply) { texts.append(reply) }
  func extendedAttributes(of node: NodeID, reply: BytesReply) { texts.append(reply) }
  func open(_ node: NodeID, handle: HandleID, reply: @escaping @Sendable (Result<LeaseID?, Errno>) -> Void) {
    reply(.success(nil))
  }
  func read(_ node: NodeID, handle: HandleID, range: ByteRange, wasBad: Bool, reply: @escaping ReadReply) {}
  func released(_ node: NodeID, handle: HandleID, use: HandleUse) {}
}

private func file(_ node: UInt64) -> Attributes { Attributes(node: NodeID(node), kind: .file, size: 5, modified: 1) }

/// On a thread that is not the dispatch loop's.
private func elsewhere(_ body: @escaping @Sendable () -> Void) async { await Task { @TransferLoop in body() }.value }

@Suite struct DispatchTests {
  init() { EventLoop.start() }

  @Test("answers may come in any order, from any thread, and each goes to its own request") @DispatchLoop
  func order() async throws {
    let desk = try Desk()
    for index in 0..<4 { desk.submit(index, FSMVP_OP_LOOKUP, name: "name \(index)") }
    desk.serve()
    let replies = desk.volume.lookups
    #expect(replies.count == 4 && desk.dispatch.inHand == 4)
    await elsewhere { replies[2](.success(file(102))) }
    replies[3](.failure(.noEntry))
    await elsewhere { replies[0](.success(file(100))) }
    #expect(desk.answer(1) == nil && replies[1].isWanted && !replies[0].isWanted)
    replies[1](.success(file(101)))
    #expect((0..<4).map { desk.answer($0) } == [0, 0, 0, -ENOENT])
    #expect((0..<3).map { desk.slots[$0].attr.node } == [100, 101, 102])
    #expect(desk.dispatch.inHand == 0)
  }

  @Test("the first answer counts; a further one changes nothing, nor does one to a request in the same row later")
  @DispatchLoop func once() throws {
    let desk = try Desk()
    desk.submit(0, FSMVP_OP_GETATTR)
    desk.serve()
    let first = desk.volume.attributes[0]
    first(.success(file(7)))
    first(.failure(.io))
    #expect(desk.answer(0) == 0 && desk.slots[0].attr.node == 7)
    desk.step(0, FSMVP_DONE, FSMVP_FREE)
    desk.submit(0, FSMVP_OP_GETATTR)
    desk.serve()
    first(.failure(.io))
    #expect(desk.answer(0) == nil && desk.volume.attributes[1].isWanted)
    desk.volume.attributes[1](.failure(.stale))
    #expect(desk.answer(0) == -ESTALE)
  }

  @Test("an answer to a caller that has gone is dropped, also one that is half a listing, and its row is another's")
  @DispatchLoop func cancelled() async throws {
    let desk = try Desk()
    desk.submit(0, FSMVP_OP_READDIR)
    desk.serve()
    let late = desk.volume.listings[0]
    #expect(late.add(FileName("a"), cursor: 1, file(5)) && late.isWanted)
    #expect(desk.step(0, FSMVP_TAKEN, FSMVP_CANCELLED))
    #expect(!late.isWanted)
    desk.serve()
    #expect(desk.step(0, FSMVP_CANCEL_DONE, FSMVP_FREE))
    desk.submit(0, FSMVP_OP_READDIR)
    desk.serve()
    desk.volume.listings[1].finish()
    let length = Int(desk.slots[0].length)
    let right = desk.payload(0, count: length)
    await elsewhere {
      _ = late.add(FileName("b"), cursor: 2, file(6))
      late.finish()
    }
    #expect(desk.answer(0) == 0 && Int(desk.slots[0].length) == length && desk.payload(0, count: length) == right)
  }

  @Test("what a control plane that died had not answered is asked of the next one") @DispatchLoop
  func adopted() throws {
    let desk = try Desk()
    desk.submit(0, FSMVP_OP_LOOKUP, name: "x")
    desk.submit(1, FSMVP_OP_READDIR)
    desk.submit(2, FSMVP_OP_READLINK, node: 9)
    desk.submit(3, FSMVP_OP_GETXATTR, node: 9, name: "user.x")
    desk.submit(4, FSMVP_OP_GETATTR)
    desk.serve()
    desk.volume.attributes[0](.success(file(1)))
    desk.replaceControlPlane()
    #expect((0..<4).allSatisfy { desk.state($0) == FSMVP_TAKEN } && desk.answer(4) == 0)
    #expect(desk.volume.lookups.count == 2 && desk.volume.listings.count == 2 && desk.volume.texts.count == 4)
    desk.volume.lookups[1](.success(file(4)))
    desk.volume.listings[1].finish()
    desk.volume.texts[2](.success([0x2f]))
    desk.volume.texts[3](.success([]))
    #expect((0..<4).map { desk.answer($0) } == [0, 0, 0, 0])
    #expect(desk.slots[0].attr.node == 4 && desk.slots[2].length == 1 && desk.slots[3].length == 0)
    #expect(desk.volume.attributes.count == 1)
  }

  @Test("after the end every request is EIO, and a late answer is dropped") @DispatchLoop
  func ended() async throws {
    let desk = try Desk()
    desk.submit(0, FSMVP_OP_LOOKUP, name: "x")
    desk.submit(1, FSMVP_OP_READDIR)
    desk.serve()
    let (reply, listing) = (desk.volume.lookups[0], desk.volume.listings[0])
    desk.dispatch.end()
    desk.submit(2, FSMVP_OP_READLINK)
    desk.serve()
    await elsewhere {
      reply(.success(file(3)))
      listing.finish()
    }
    #expect((0..<3).map { desk.answer($0) } == [-EIO, -EIO, -EIO])
    #expect(desk.volume.texts.isEmpty)
  }

  @Test("a listing has `.` and `..` first, then entries as far as there is room, and is finished once") @DispatchLoop
  func listing() throws {
    let desk = try Desk()
    desk.submit(0, FSMVP_OP_READDIR, room: 4096)
    desk.serve()
    let listing = desk.volume.listings[0]
    #expect(listing.add(FileName("no/name"), cursor: 1, file(2)), "it is left out")
    #expect(listing.add(FileName("x"), cursor: .max, file(2)), "so is this")
    var cursor: UInt64 = 1
    while listing.add(FileName("entry"), cursor: cursor, file(cursor + 1)) { cursor += 1 }
    // struct fuse_dirent: 24 bytes and the name, padded to 8.
    #expect(cursor == UInt64((4096 - 2 * 32) / 32) + 1)
    listing.finish()
    listing.fail(.io)
    #expect(desk.answer(0) == 0 && desk.slots[0].length == 4096)
    #expect(!listing.add(FileName("late"), cursor: cursor, file(2)))
    let bytes = desk.payload(0, count: 96)
    #expect(
      Array(bytes[0..<32]) == [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xed, 0x41, 0, 0, 1, 0, 0, 0, 0x2e]
        + [UInt8](repeating: 0, count: 7))
    #expect(bytes[40] == 2 && bytes[72] == 3, "cursors of `..`, and of the first entry two higher than its own")
  }

  @Test("a link's target or an attribute that is too long is E2BIG, and a volume without attributes is not asked")
  @DispatchLoop func texts() throws {
    let desk = try Desk()
    desk.submit(0, FSMVP_OP_READLINK)
    desk.submit(1, FSMVP_OP_LISTXATTR)
    desk.submit(2, FSMVP_OP_GETXATTR, name: "user.x")
    desk.serve()
    desk.volume.texts[0](.success(Array("over/there".utf8)))
    desk.volume.texts[1](.success([UInt8](repeating: 1, count: 4097)))
    desk.volume.texts[2](.failure(Errno(ENODATA)))
    #expect((0..<3).map { desk.answer($0) } == [0, -E2BIG, -ENODATA])
    #expect(desk.payload(0, count: Int(desk.slots[0].length)) == Array("over/there".utf8))
    desk.volume.hasExtendedAttributes = false
    desk.submit(3, FSMVP_OP_GETXATTR, name: "user.x")
    desk.submit(4, FSMVP_OP_LISTXATTR)
    desk.serve()
    #expect([desk.answer(3), desk.answer(4)] == [-EOPNOTSUPP, -EOPNOTSUPP] && desk.volume.texts.count == 3)
  }
}
