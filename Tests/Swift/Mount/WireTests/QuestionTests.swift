import CWire
import Core
import Glibc
import Testing

@testable import Wire

/// The questions of listings, links and attributes, the room of their answers, and errors.
@Suite struct QuestionTests {
  @Test("what a listing asks for is cut to what there can be, and names of attributes are taken out")
  func questions() throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submit(0) { slot in
      slot.op = FSMVP_OP_READDIR.rawValue
      slot.arg0 = 7
      slot.arg1 = .max
      slot.arg2 = 1
    }
    test.submit(1) { $0.op = FSMVP_OP_READLINK.rawValue }
    test.submit(2) { slot in
      slot.op = FSMVP_OP_GETXATTR.rawValue
      slot.name_offset = 48
      slot.name_length = 6
      slot.raw_length = 55
      withUnsafeMutableBytes(of: &slot.raw) { $0[48...].copyBytes(from: Array("user.x".utf8)) }
    }
    test.submit(3) { $0.op = FSMVP_OP_LISTXATTR.rawValue }
    #expect(
      taken(ring).map(\.call) == [
        .readdir(ListingRequest(after: 7, room: 1 << 20, hasAttributes: true)), .readlink,
        .getxattr(name: Array("user.x".utf8)), .listxattr,
      ])
    #expect(ring.hostileCount == 0)
  }

  @Test("a listing holds what the kernel asked for and what the row holds, and one entry in any case")
  func listingRoom() {
    func count(room: Int, slot index: Int, hasAttributes: Bool) -> (entries: Int, bytes: Int) {
      var writer = ListingWriter(
        ListingRequest(after: 0, room: room, hasAttributes: hasAttributes), slot: SlotID(index: index, generation: 0))
      let attributes = WireAttributes(
        node: 9, size: 0, modified: 0, accessed: 0, changed: 0, mode: 0o100644, nlink: 1, uid: 0, gid: 0)
      var entries = 0
      while writer.append(name: Array("twelve bytes".utf8), cursor: UInt64(entries + 1), attributes: attributes) {
        entries += 1
      }
      return (entries, writer.bytes.count)
    }
    #expect(count(room: 32_768, slot: 127, hasAttributes: false) == (819, 819 * 40))
    #expect(count(room: 32_768, slot: 127, hasAttributes: true) == (195, 195 * 104))
    #expect(count(room: 1 << 20, slot: 127, hasAttributes: true) == (315, 315 * 104))
    #expect(count(room: 32_768, slot: 128, hasAttributes: true) == (39, 39 * 104))
    #expect(count(room: 4096, slot: 0, hasAttributes: false) == (102, 102 * 40))
    #expect(count(room: 0, slot: 0, hasAttributes: true) == (1, 104))
  }

  @Test("error numbers the kernel does not take become EIO", arguments: [0, -5, 512, Int32.max, Int32.min])
  func errors(code: Int32) throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submitGetattr(0)
    let id = try #require(taken(ring).first?.id)
    ring.complete(id, .failed(Errno(code)))
    #expect(test.slots[0].error == -EIO)
  }
}
