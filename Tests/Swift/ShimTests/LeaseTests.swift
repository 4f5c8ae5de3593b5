import CShim
import CWire
import Foundation
import Testing

@Suite struct LeaseTests {
  /// A whole lease: 3 MiB and a byte in 64 KiB blocks is 49 blocks.
  let length: UInt64 = 3 << 20 | 1

  func write(_ scratch: Scratch, name: String = "bytes", change: (inout fsmvp_lease) -> Void = { _ in }) -> UInt64 {
    var lease = fsmvp_lease()
    lease.generation = 2
    lease.node = 42
    lease.length = length
    lease.map_words = 1
    lease.block_shift = FSMVP_BLOCK_SHIFT
    lease.name_length = UInt32(name.utf8.count)
    withUnsafeMutableBytes(of: &lease.name) { $0.copyBytes(from: name.utf8) }
    change(&lease)
    scratch.region.pointee.leases[5] = lease
    return fsmvp_pack(5, 2)
  }

  func view(_ scratch: Scratch, _ id: UInt64) -> Int32 {
    var view = lease_view()
    return lease_view(scratch.region, 1, id, &view)
  }

  @Test func aGoodRow() throws {
    let scratch = try Scratch()
    let id = write(scratch) { $0.map_offset = 64 }
    var view = lease_view()

    #expect(lease_view(scratch.region, 1, id, &view) == 0)
    #expect(view.length == length)
    #expect(view.map == UnsafePointer(scratch.region.pointee.maps + 8))
  }

  @Test func rowsThatAreNotCurrent() throws {
    let scratch = try Scratch()
    let id = write(scratch)

    #expect(view(scratch, 0) == -ESTALE)
    #expect(view(scratch, fsmvp_pack(5, 4)) == -ESTALE)
    scratch.region.pointee.leases[5].generation = 3
    #expect(view(scratch, id) == -ESTALE)
    #expect(view(scratch, fsmvp_pack(5, 3)) == -EPROTO)
    #expect(view(scratch, fsmvp_pack(5, 0)) == -EPROTO)
    #expect(view(scratch, fsmvp_pack(FSMVP_LEASES, 2)) == -EPROTO)
  }

  @Test(arguments: ["", ".", "..", ".hidden", "a/b", "/etc/passwd", "a\0b"])
  func namesThatCannotBe(name: String) throws {
    let scratch = try Scratch()
    #expect(view(scratch, write(scratch, name: name)) == -EPROTO)
  }

  @Test func fieldsThatCannotBe() throws {
    let scratch = try Scratch()
    let changes: [(inout fsmvp_lease) -> Void] = [
      { $0.root = 1 }, { $0.node = 0 }, { $0.length = 1 << 63 }, { $0.length = .max }, { $0.block_shift = 11 },
      { $0.block_shift = 31 },
      { $0.block_shift = .max }, { $0.map_offset = 4 }, { $0.map_offset = UInt64(FSMVP_MAP_BYTES) },
      { $0.map_offset = .max - 7 },
      { $0.map_words = 0 }, { $0.map_words = .max }, { $0.length = 65 << 16 },
      { $0.name_length = FSMVP_LEASE_NAME + 1 },
      { $0.name_length = .max },
    ]
    for (number, change) in changes.enumerated() {
      #expect(view(scratch, write(scratch, change: change)) == -EPROTO, "change \(number)")
    }
  }

  @Test func blocksPresent() throws {
    let scratch = try Scratch()
    let id = write(scratch) {
      $0.length = 130 << 16
      $0.map_words = 3
    }
    var view = lease_view()
    #expect(lease_view(scratch.region, 1, id, &view) == 0)
    let maps = scratch.region.pointee.maps!
    let block: UInt64 = 1 << 16

    #expect(!lease_present(&view, 0, 1))
    #expect(lease_present(&view, 7, 7))
    maps[0] = .max << 63
    maps[1] = .max
    maps[2] = 1
    #expect(lease_present(&view, 63 * block, 129 * block))
    #expect(!lease_present(&view, 63 * block - 1, 64 * block))
    #expect(!lease_present(&view, 128 * block, 129 * block + 1))
    #expect(!lease_present(&view, 0, 131 * block))
    maps[1] = ~(1 << 30)
    #expect(!lease_present(&view, 63 * block, 129 * block))
    #expect(lease_present(&view, 63 * block, 94 * block))
    #expect(lease_present(&view, 95 * block, 129 * block))
  }

  @Test func reading() throws {
    let scratch = try Scratch()
    let folder = FileManager.default.temporaryDirectory.appending(path: "shim-lease-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let bytes = Data((0..<Int(length)).map { UInt8(truncatingIfNeeded: $0 &* 7) })
    try bytes.write(to: folder.appending(path: "bytes"))
    try bytes.prefix(5).write(to: folder.appending(path: "short"))
    try FileManager.default.createSymbolicLink(
      atPath: folder.appending(path: "other").path, withDestinationPath: "bytes")

    var root = open(folder.path, O_RDONLY | O_DIRECTORY)
    defer { close(root) }
    var leases = leases()
    #expect(leases_open(&leases, scratch.region, &root, 1) == 0)
    var buffer = [UInt8](repeating: 0, count: 1 << 17)
    func read(_ id: UInt64, _ offset: UInt64, _ size: UInt32, _ how: UInt32, node: UInt64 = 42) -> Int {
      lease_read(&leases, id, node, offset, size, UInt64(how), 0, &buffer)
    }
    let vouched = LEASE_VOUCHED.rawValue
    let waiting = LEASE_MAY_BLOCK.rawValue

    var id = write(scratch)
    #expect(read(id, 0, 10, 0) == Int(-ENODATA))
    #expect(read(id, length, 10, 0) == 0)
    #expect(read(id, .max, 10, 0) == 0)
    // A wrong lease in a handle's row costs that handle; control is not blamed for it.
    #expect(read(id, 0, 10, 0, node: 41) == Int(-EBADF))
    #expect(scratch.region.pointee.header.pointee.count_hostile == 0)
    #expect(read(id, 0, 10, vouched) == Int(-EAGAIN))
    #expect(read(id, 65_530, 10, vouched | waiting) == 10)
    #expect(Array(buffer[0..<10]) == Array(bytes[65_530..<65_540]))
    // The descriptor is kept, so the next one needs no disk thread.
    #expect(read(id, length - 3, 10, vouched) == 3)
    #expect(Array(buffer[0..<3]) == Array(bytes.suffix(3)))
    scratch.region.pointee.maps[0] = .max
    #expect(read(id, 0, 1 << 17, 0) == 1 << 17)

    let held = lease_file_get(&leases, id)
    #expect(held != nil)
    scratch.region.pointee.leases[5].generation = 3
    #expect(read(id, 0, 10, vouched | waiting) == Int(-ESTALE))
    #expect(!lease_file_revoke(&leases, id))
    lease_file_put(&leases, held)
    #expect(lease_file_revoke(&leases, id))
    #expect(lease_file_get(&leases, id) == nil)

    id = write(scratch, name: "short")
    #expect(read(id, 0, 4, vouched | waiting) == Int(-EIO))
    id = write(scratch, name: "other")
    #expect(read(id, 0, 4, vouched | waiting) == Int(-ELOOP))
    id = write(scratch, name: "none")
    #expect(read(id, 0, 4, vouched | waiting) == Int(-ENOENT))
  }

  /// More leases than descriptors are kept, with readers that come and go, and a revocation now and then.
  @Test func descriptorsUnderThreads() throws {
    let scratch = try Scratch()
    let folder = FileManager.default.temporaryDirectory.appending(path: "shim-files-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let count: UInt32 = 400
    for index in 0..<count {
      try Data(repeating: UInt8(index & 255), count: 8).write(to: folder.appending(path: "f\(index)"))
      _ = write(scratch, name: "f\(index)") { $0.length = 8 }
      scratch.region.pointee.leases[Int(index) + 1000] = scratch.region.pointee.leases[5]
    }
    var root = open(folder.path, O_RDONLY | O_DIRECTORY)
    defer { close(root) }
    let leases = UnsafeMutablePointer<leases>.allocate(capacity: 1)
    defer { leases.deallocate() }
    leases.initialize(to: CShim.leases())
    #expect(leases_open(leases, scratch.region, &root, 1) == 0)
    leases.pointee.files_max = 50
    let wrong = Shared()
    nonisolated(unsafe) let table = leases

    inThreads(4) { thread in
      var bytes = [UInt8](repeating: 0, count: 8)
      var random = UInt32(thread + 1)
      for turn in 0..<10_000 {
        random = random &* 1_664_525 &+ 1_013_904_223
        let index = (random >> 8) % count
        let id = fsmvp_pack(index + 1000, 2)
        let how = LEASE_VOUCHED.rawValue | LEASE_MAY_BLOCK.rawValue
        let got = lease_read(table, id, 42, 0, 8, UInt64(how), UInt32(thread), &bytes)
        if got != 8 || bytes != [UInt8](repeating: UInt8(index & 255), count: 8) { wrong.add(1) }
        if turn % 16 == 0 { _ = lease_file_revoke(table, id) }
      }
    }
    #expect(wrong.value == 0)
    // One more each thread, that was about to make room.
    #expect(leases.pointee.files_open <= 54)
    for index in 0..<count {
      scratch.region.pointee.leases[Int(index) + 1000].generation = 3
    }
    lease_file_sweep(leases)
    for index in 0..<count { #expect(lease_file_revoke(leases, fsmvp_pack(index + 1000, 2))) }
    #expect(leases.pointee.files_open == 0)
  }
}
