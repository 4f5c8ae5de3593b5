import CWire
import Core
import Glibc
import Testing

@testable import Wire

/// The bytes of the contract, written out: a change of a struct on one side only, or of a byte's meaning on both,
/// breaks these.
@Suite struct LayoutTests {
  @Test("the offsets used in Swift are those of the header")
  func offsets() {
    typealias Header = MemoryLayout<fsmvp_header>
    #expect(Header.offset(of: \.volume_flags) == HeaderField.volumeFlags)
    #expect(Header.offset(of: \.workers) == HeaderField.workers)
    #expect(Header.offset(of: \.active) == HeaderField.active)
    #expect(Header.offset(of: \.standby) == HeaderField.standby)
    #expect(Header.offset(of: \.control) == HeaderField.control)
    #expect(Header.offset(of: \.epoch) == HeaderField.epoch)
    #expect(Header.offset(of: \.heartbeat) == HeaderField.heartbeat)
    #expect(Header.offset(of: \.released) == HeaderField.released)
    #expect(Header.offset(of: \.slots_high) == HeaderField.slotsHigh)
    #expect(Header.offset(of: \.handles_high) == HeaderField.handlesHigh)
    #expect(Header.offset(of: \.leases_high) == HeaderField.leasesHigh)
    #expect(Header.offset(of: \.statfs_blocks) == HeaderField.statfsBlocks)
    #expect(Header.offset(of: \.statfs_free) == HeaderField.statfsFree)
    #expect(Header.offset(of: \.statfs_files) == HeaderField.statfsFiles)
    #expect(Header.offset(of: \.count_leased) == HeaderField.countLeased)
    #expect(Header.offset(of: \.count_forwarded) == HeaderField.countForwarded)
    #expect(Header.offset(of: \.count_slots_full) == HeaderField.countSlotsFull)
    #expect(Header.offset(of: \.count_handles_full) == HeaderField.countHandlesFull)
    #expect(Header.offset(of: \.count_hostile) == HeaderField.countHostile)
    #expect(Header.offset(of: \.count_cancelled) == HeaderField.countCancelled)
    #expect(Header.offset(of: \.bytes_leased) == HeaderField.bytesLeased)
    #expect(Header.offset(of: \.connection) == HeaderField.connection)
    #expect(Header.offset(of: \.sections) == HeaderField.sections)
    #expect(Header.offset(of: \.mountpoint) == HeaderField.mountpoint)
    #expect(Header.offset(of: \.volume) == HeaderField.volume)
    #expect(Header.offset(of: \.killed_at) == HeaderField.killedAt)
    #expect(Header.offset(of: \.outage) == HeaderField.outage)
    #expect(Header.offset(of: \.answered) == HeaderField.answered)
    #expect(Header.offset(of: \.window_generation) == HeaderField.windowGeneration)
    #expect(Header.offset(of: \.epochs) == HeaderField.epochs)
    typealias Slot = MemoryLayout<fsmvp_slot>
    #expect(Slot.offset(of: \.op) == SlotField.op)
    #expect(Slot.offset(of: \.flags) == SlotField.flags)
    #expect(Slot.offset(of: \.node) == SlotField.node)
    #expect(Slot.offset(of: \.handle) == SlotField.handle)
    #expect(Slot.offset(of: \.arg0) == SlotField.arg0)
    #expect(Slot.offset(of: \.arg1) == SlotField.arg1)
    #expect(Slot.offset(of: \.arg2) == SlotField.arg2)
    #expect(Slot.offset(of: \.error) == SlotField.error)
    #expect(Slot.offset(of: \.length) == SlotField.length)
    #expect(Slot.offset(of: \.lease) == SlotField.lease)
    #expect(Slot.offset(of: \.submitted_at) == SlotField.submittedAt)
    #expect(Slot.offset(of: \.picked_at) == SlotField.pickedAt)
    #expect(Slot.offset(of: \.completed_at) == SlotField.completedAt)
    #expect(Slot.offset(of: \.name_offset) == SlotField.nameAndRaw)
    #expect(Slot.offset(of: \.attr) == SlotField.attributes)
    #expect(Slot.offset(of: \.window_generation) == SlotField.windowGeneration)
    typealias Handle = MemoryLayout<fsmvp_handle>
    #expect(Handle.offset(of: \.node) == HandleField.node)
    #expect(Handle.offset(of: \.bytes) == HandleField.bytes)
    #expect(Handle.offset(of: \.cursor) == HandleField.cursor)
    #expect(Handle.offset(of: \.pid) == HandleField.pid)
  }

  @Test("a LOOKUP slot of these bytes asks for this name in this directory")
  func slotRequest() throws {
    let test = try TestRegion()
    var bytes: [UInt8] = [
      0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // op LOOKUP, flags
      0x4e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // unique
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,  // node
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // handle
    ]
    bytes += [UInt8](repeating: 0, count: 120 - bytes.count)
    bytes += [0x28, 0x00, 0x02, 0x00, 0x2b, 0x00, 0x00, 0x00]  // name at 40, 2 bytes, raw has 43
    bytes += [UInt8](repeating: 0, count: 208 + 40 - bytes.count)
    bytes += [0x68, 0x69, 0x00]  // "hi"
    test.submit(3) { slot in
      withUnsafeMutableBytes(of: &slot) { $0.copyBytes(from: bytes) }
    }
    let id = SlotID(index: 3, generation: 0)
    #expect(
      taken(test.ring()) == [
        SlotRequest(id: id, node: 0x1122_3344_5566_7788, handle: 0, wasBad: false, call: .lookup(name: [0x68, 0x69]))
      ])
  }

  @Test("READ and OPEN slots of these bytes say handle, range and that the bytes were bad")
  func readRequest() throws {
    let test = try TestRegion()
    let bytes: [UInt8] = [
      0x05, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,  // op READ, flags BAD
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
      0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // node
      0x09, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,  // handle row 9, generation 2
      0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,  // offset 4 GiB
      0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 4096 bytes
    ]
    test.submit(200) { slot in withUnsafeMutableBytes(of: &slot) { $0.copyBytes(from: bytes) } }
    let request = try #require(taken(test.ring()).first)
    #expect(request.call == .read(ByteRange(offset: 1 << 32, length: 4096)))
    #expect(request.handle == 0x2_0000_0009)
    #expect(request.wasBad)
  }

  @Test("an answer is these bytes of the slot")
  func slotAnswer() throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submitGetattr(0)
    _ = taken(ring)
    let attributes = WireAttributes(
      node: 0x0102_0304_0506_0708, size: 0x1_0000_0001, modified: -2, accessed: 3, changed: 0x0405, mode: 0o100644,
      nlink: 1, uid: 1000, gid: 1001, entryMilliseconds: 1500)
    #expect(ring.complete(SlotID(index: 0, generation: 0), .attributes(attributes)))
    let row = UnsafeRawBufferPointer(start: test.slots, count: 512)
    #expect(
      Array(row[128..<192]) == [
        0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,  // node
        0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,  // size
        0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  // mtime
        0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // atime
        0x05, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // ctime
        0xa4, 0x81, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,  // mode, nlink
        0xe8, 0x03, 0x00, 0x00, 0xe9, 0x03, 0x00, 0x00,  // uid, gid
        0xdc, 0x05, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,  // the name is kept for 1.5 s, attributes for ever
      ])
    #expect(Array(row[56..<72]) == [UInt8](repeating: 0, count: 16))

    test.submitRead(1, offset: 100, size: 50)
    _ = taken(ring)
    #expect(ring.complete(SlotID(index: 1, generation: 0), .failed(Errno(5))))
    #expect(
      Array(UnsafeRawBufferPointer(start: test.slots + 1, count: 512)[56..<64]) == [0xfb, 0xff, 0xff, 0xff, 0, 0, 0, 0])
    // The state word: DONE, generation 0.
    #expect(Array(UnsafeRawBufferPointer(start: test.words + 1, count: 8)) == [5, 0, 0, 0, 0, 0, 0, 0])
  }

  @Test("a listing's record is these bytes, padded to eight, with attributes or without")
  func dirent() throws {
    let attributes = WireAttributes(
      node: 9, size: 0, modified: 0, accessed: 0, changed: 0, mode: 0o040755, nlink: 2, uid: 0, gid: 0)
    func bytes(hasAttributes: Bool) -> [UInt8] {
      var listing = ListingWriter(
        ListingRequest(after: 0, room: 4096, hasAttributes: hasAttributes), slot: SlotID(index: 2, generation: 0))
      let fits = listing.append(name: Array("abc".utf8), cursor: 0x0102, attributes: attributes)
      #expect(fits)
      return listing.bytes
    }
    let head: [UInt8] = [
      9, 0, 0, 0, 0, 0, 0, 0,  // node
      0x02, 0x01, 0, 0, 0, 0, 0, 0,  // cursor
      0xed, 0x41, 0, 0, 0x03, 0x00,  // mode, name_length
    ]
    let name: [UInt8] = [0x61, 0x62, 0x63, 0, 0, 0, 0, 0]
    #expect(bytes(hasAttributes: false) == head + [0, 0] + name)
    let record = withUnsafeBytes(of: attributes.record) { Array($0) }
    #expect(record.count == 64 && record[40..<48] == [0xed, 0x41, 0, 0, 2, 0, 0, 0])
    #expect(bytes(hasAttributes: true) == head + [1, 0] + record + name)
  }

  @Test("an answer of up to 4 KiB lies in the slot's payload row, a longer one in its listing row")
  func payload() throws {
    let test = try TestRegion()
    let ring = test.ring()
    func answer(_ index: Int, _ count: Int) throws -> (UInt32, Int32) {
      test.submit(index) { $0.op = FSMVP_OP_READDIR.rawValue }
      let id = try #require(taken(ring).first?.id)
      ring.complete(id, .payload([UInt8](repeating: UInt8(index), count: count)))
      defer { test.step(index, FSMVP_DONE, FSMVP_FREE) }
      return (test.slots[index].length, test.slots[index].error)
    }
    #expect(try answer(3, 4096) == (4096, 0))
    #expect(test.payload(3)[4095] == 3 && test.listing(3)[0] == 0)
    #expect(try answer(3, 32_768) == (32_768, 0))
    #expect(test.listing(3)[32_767] == 3 && test.listing(4)[0] == 0)
    #expect(try answer(3, 32_769) == (0, -EIO))
    // A slot that is not reserved has no listing row.
    #expect(try answer(200, 4096) == (4096, 0))
    #expect(try answer(200, 4097) == (0, -EIO))
  }

  @Test("a handle row of these bytes is this open file")
  func handle() throws {
    let test = try TestRegion()
    let bytes: [UInt8] = [
      0x04, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00,  // RELEASED, generation 3
      0x2a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // node 42
      0x4e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // unique
      0x01, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,  // lease
      0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00,  // 1 MiB given
      0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00,  // up to 2 MiB
    ]
    UnsafeMutableRawPointer(test.handles + 1).copyMemory(from: bytes, byteCount: bytes.count)
    fsmvp_max_release32(&test.header.pointee.handles_high, 2)
    var released: [HandleRow] = []
    HandleRows(region: test.region).forEachReleased { released.append($0) }
    #expect(released == [HandleRow(handle: 0x3_0000_0001, node: 42, bytes: 1 << 20, furthest: 2 << 20, pid: 0)])
  }

  @Test("a granted lease is these bytes")
  func lease() throws {
    let test = try TestRegion()
    let table = LeaseTable(region: test.region)
    _ = try #require(table.grant(node: 1, root: 0, name: Array("first".utf8), length: 1))
    let lease = try #require(table.grant(node: 0x2a, root: 1, name: Array("0001-ab".utf8), length: 65 * 65536 + 1))
    #expect(lease.id == 0x2_0000_0001)
    let row = Array(UnsafeRawBufferPointer(start: test.leases + 1, count: 128))
    #expect(
      Array(row[0..<56]) == [
        0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,  // generation 2, root 1
        0x2a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // node
        0x01, 0x00, 0x41, 0x00, 0x00, 0x00, 0x00, 0x00,  // length
        0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // map at its second word
        0x02, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00,  // 2 words for 66 blocks, of 64 KiB
        0x00, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00,  // flags, name_length
        0x30, 0x30, 0x30, 0x31, 0x2d, 0x61, 0x62, 0x00,  // name
      ])
    #expect(row[56...].allSatisfy { $0 == 0 })
    #expect(test.header.pointee.leases_high == 2)
  }

  @Test("a granted window and its words are these bytes")
  func window() throws {
    let test = try TestRegion()
    let window = try #require(LeaseTable(region: test.region).grantWindow(node: 0x2a, root: 1, length: 2 * 262_144 + 1))
    let row = Array(UnsafeRawBufferPointer(start: test.leases, count: 128))
    #expect(
      Array(row[0..<48]) == [
        0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,  // generation 2, root 1
        0x2a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // node
        0x01, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,  // length
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // map at its first word
        0x03, 0x00, 0x00, 0x00, 0x12, 0x00, 0x00, 0x00,  // 3 words for 3 blocks, of 256 KiB
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // window, no name
      ])
    #expect(row[48...].allSatisfy { $0 == 0 })
    window.put(block: 0, frame: 0x0102, generation: 0x0a0b_0c0d, isWhole: true)
    window.put(block: 1, frame: 0x3fff, generation: 1, isWhole: false)
    #expect(
      Array(UnsafeRawBufferPointer(start: test.maps, count: 24)) == [
        0x03, 0x01, 0x00, 0x80, 0x0d, 0x0c, 0x0b, 0x0a,  // frame + 1, whole, generation
        0x00, 0x40, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
      ])
  }

  @Test("a region's header begins with these bytes, and its directory is this")
  func header() throws {
    let test = try TestRegion()
    let bytes = Array(UnsafeRawBufferPointer(start: test.base, count: 4096))
    #expect(Array(bytes[0..<16]) == Array("sfstream".utf8) + [5, 0, 0, 0, 0, 0x10, 0, 0])
    #expect(
      Array(bytes[224..<400]) == [
        0x00, 0x10, 0x00, 0x00, 0, 0, 0, 0, 0x10, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00,  // 16 buffers of 8 KiB
        0x00, 0x10, 0x02, 0x00, 0, 0, 0, 0, 0x00, 0x10, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00,  // 4,096 words
        0x00, 0x90, 0x02, 0x00, 0, 0, 0, 0, 0x00, 0x10, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00,  // 4,096 slots of 512
        0x00, 0x90, 0x22, 0x00, 0, 0, 0, 0, 0x00, 0x10, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00,  // 4,096 payloads of 4 KiB
        0x00, 0x90, 0x22, 0x01, 0, 0, 0, 0, 0x00, 0x00, 0x01, 0x00, 0x80, 0x00, 0x00, 0x00,  // 65,536 handles of 128
        0x00, 0x90, 0xa2, 0x01, 0, 0, 0, 0, 0x00, 0x40, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00,  // 16,384 leases of 128
        0x00, 0x90, 0xc2, 0x01, 0, 0, 0, 0, 0x00, 0x00, 0x80, 0x00, 0x08, 0x00, 0x00, 0x00,  // 64 MiB of map words
        0x00, 0x90, 0xc2, 0x05, 0, 0, 0, 0, 0x80, 0x00, 0x00, 0x00, 0x40, 0x08, 0x00, 0x00,  // 128 histograms
        0x00, 0xb0, 0xc6, 0x05, 0, 0, 0, 0, 0x00, 0x40, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00,  // 16,384 frames
        0x00, 0xb0, 0xc8, 0x05, 0, 0, 0, 0, 0x00, 0x80, 0x00, 0x00, 0x80, 0x01, 0x00, 0x00,  // 32,768 waiting of 384
        0x00, 0xb0, 0x88, 0x06, 0, 0, 0, 0, 0x80, 0x00, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00,  // 128 listings of 32 KiB
      ])
  }

  @Test("orders are these bytes on the link")
  func orders() {
    #expect(
      Order.invalidateAttributes(nodes: [0x0a0b, 2]).frame(number: 7) == [
        0x20, 0, 0, 0, 0x08, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0x0b, 0x0a, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
      ])
    let most = Order.invalidateAttributes(nodes: Array(repeating: 1, count: Order.nodesMax)).frame(number: 1)
    #expect(most.count == 4096)
    #expect(Order.invalidateNames.frame(number: 9) == [0x10, 0, 0, 0, 0x09, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])
    let pages = Order.invalidatePages(node: 1).frame(number: 1)
    #expect(pages.count == 40 && pages[4] == 3 && pages[16] == 1 && pages.suffix(16).allSatisfy { $0 == 0 })
    #expect(
      Order.revoked(lease: 0x2_0000_0001).frame(number: 8) == [
        0x18, 0, 0, 0, 0x04, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
      ])
    #expect(Order.quitFrame() == [0x10, 0, 0, 0, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    #expect(Order.logLevelFrame(3) == [0x14, 0, 0, 0, 0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0])
  }
}
