import CShim
import CWire
import Foundation
import Testing

/// The bounds of the shim, and what happens at each.
@Suite struct LimitTests {
  @Test("the cache of open leases follows the limit of descriptors")
  func leaseFiles() {
    for (descriptors, files) in [
      (0, 1), (1, 1), (64, 32), (256, 128), (257, 129), (1024, 896), (20_000, 16_384), (1 << 30, 16_384),
    ] {
      #expect(limits_lease_files(UInt64(descriptors)) == UInt32(files), "\(descriptors)")
    }
    #expect(limits_lease_files(.max) == FSMVP_LEASES)
  }

  @Test("a soft limit of descriptors is raised to the hard one")
  func raising() throws {
    var before = rlimit()
    #expect(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before) == 0)
    limits_raise()
    var after = rlimit()
    #expect(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &after) == 0)
    #expect(after.rlim_cur == after.rlim_max && after.rlim_max == before.rlim_max)
    #expect(limits_descriptors() == after.rlim_cur)
  }

  @Test("an error of the machine is no proof against bytes")
  func errors() {
    let meanings: [(lease_error, [Int32])] = [
      (
        LEASE_SHORTAGE,
        [EMFILE, ENFILE, ENOMEM, EACCES, EPERM, EBUSY, EINTR, ENOSPC, EDQUOT, ENODEV, ENOTCONN, ETIMEDOUT, EAGAIN]
      ),
      (LEASE_LOST, [ENOENT, EIO, ELOOP, ENOTDIR, EISDIR, ENXIO]), (LEASE_GONE, [ESTALE, ENODATA]),
      (LEASE_WRONG, [EPROTO, EBADF, EINVAL]),
    ]
    for (meaning, numbers) in meanings {
      for number in numbers { #expect(lease_error(Int(-number)) == meaning, "errno \(number)") }
    }
    // Fewer bytes than were vouched for are no error number at all.
    #expect(lease_error(0) == LEASE_LOST && lease_error(4095) == LEASE_LOST)
    // These are errors of the system whose numbers lease_read uses for itself.
    for number in [ESTALE, ENODATA, EPROTO, EBADF] {
      #expect(lease_error(Int(lease_told(number))) == LEASE_LOST, "errno \(number)")
    }
    #expect(lease_error(Int(lease_told(EAGAIN))) == LEASE_SHORTAGE)
  }

  @Test("a read that would be short before the end of the file is not sent")
  func shortReads() {
    let size: UInt64 = 4 << 20
    // offset, asked, got, length, may be sent
    let rows: [(UInt64, UInt64, UInt64, UInt64, Bool)] = [
      (0, 4096, 4096, size, true), (0, 4096, 4095, size, false), (0, 4096, 0, size, false),
      (0, 4096, 4097, size, false),
      (0, 4 << 20, 1 << 20, size, false), (size - 10, 4096, 10, size, true), (size - 10, 4096, 9, size, false),
      (size - 10, 4096, 0, size, false), (size, 4096, 0, size, true), (size + 5, 4096, 0, size, true),
      (.max, 4096, 0, size, true),
      (.max - 5, 4096, 3, size, true), (0, 4096, 5, 5, true), (0, 4096, 0, 5, false),
      // The length is not known: nothing was ever there to read from.
      (0, 4096, 0, 0, true), (0, 4096, 1, 0, false), (0, 4096, 4096, 0, true),
    ]
    for (offset, asked, got, length, may) in rows {
      #expect(read_is_whole(offset, asked, got, length) == may, "\(got) of \(asked) at \(offset) of \(length)")
    }
  }

  @Test("one file that hangs, and one root, never have all disk threads")
  func diskThreads() {
    var disk = disk()
    func hang(_ count: Int, lease: UInt64, root: UInt32) {
      withUnsafeMutableBytes(of: &disk.busy) { bytes in
        let size = MemoryLayout<disk_place>.stride
        var left = count
        for row in 0..<Int(SHIM_DISK_THREADS)
        where left > 0 && bytes.load(fromByteOffset: row * size, as: UInt64.self) == 0 {
          bytes.storeBytes(of: lease, toByteOffset: row * size, as: UInt64.self)
          bytes.storeBytes(of: root, toByteOffset: row * size + 8, as: UInt32.self)
          left -= 1
        }
      }
    }
    hang(Int(SHIM_DISK_PER_LEASE) - 1, lease: 7, root: 0)
    #expect(disk_may_run(&disk, 7, 0))
    hang(1, lease: 7, root: 0)
    #expect(!disk_may_run(&disk, 7, 0))
    #expect(disk_may_run(&disk, 8, 0))
    for lease in 8..<UInt64(8 + (SHIM_DISK_PER_ROOT - SHIM_DISK_PER_LEASE)) { hang(1, lease: lease, root: 0) }
    #expect(!disk_may_run(&disk, 999, 0))
    #expect(disk_may_run(&disk, 999, 1))
  }

  /// The sweep of 16,384 leases over 10 descriptors, each lease read twice in a row.
  @Test("every lease can be read, however few descriptors there are")
  func fewDescriptors() throws {
    let scratch = try Scratch()
    let folder = FileManager.default.temporaryDirectory.appending(path: "shim-few-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data(repeating: 9, count: 8).write(to: folder.appending(path: "bytes"))
    var root = open(folder.path, O_RDONLY | O_DIRECTORY)
    defer { close(root) }
    var leases = leases()
    #expect(leases_open(&leases, scratch.region, &root, 1) == 0)
    leases.files_max = 10
    var lease = fsmvp_lease()
    (lease.generation, lease.node, lease.length, lease.map_words) = (2, 42, 8, 1)
    (lease.block_shift, lease.name_length) = (FSMVP_BLOCK_SHIFT, 5)
    withUnsafeMutableBytes(of: &lease.name) { $0.copyBytes(from: "bytes".utf8) }
    var bytes = [UInt8](repeating: 0, count: 8)
    let how = UInt32(LEASE_VOUCHED.rawValue | LEASE_MAY_BLOCK.rawValue)
    var wrong = 0
    for index in 0..<FSMVP_LEASES {
      scratch.region.pointee.leases[Int(index)] = lease
      let id = fsmvp_pack(index, 2)
      if lease_read(&leases, id, 42, 0, 8, .init(how), 0, &bytes) != 8 { wrong += 1 }
      // Kept since then.
      if lease_read(&leases, id, 42, 0, 8, .init(LEASE_VOUCHED.rawValue), 0, &bytes) != 8 { wrong += 1 }
    }
    #expect(wrong == 0)
    #expect(leases.files_open == 10)
    for _ in 0..<10 { #expect(lease_file_shed(&leases)) }
    #expect(!lease_file_shed(&leases))
  }

  @Test("a lease that is used is closed later than one that is not")
  func secondChance() throws {
    let scratch = try Scratch()
    let folder = FileManager.default.temporaryDirectory.appending(path: "shim-clock-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data(repeating: 9, count: 8).write(to: folder.appending(path: "bytes"))
    var root = open(folder.path, O_RDONLY | O_DIRECTORY)
    defer { close(root) }
    var leases = leases()
    #expect(leases_open(&leases, scratch.region, &root, 1) == 0)
    leases.files_max = 4
    var lease = fsmvp_lease()
    (lease.generation, lease.node, lease.length, lease.map_words) = (2, 42, 8, 1)
    (lease.block_shift, lease.name_length) = (FSMVP_BLOCK_SHIFT, 5)
    withUnsafeMutableBytes(of: &lease.name) { $0.copyBytes(from: "bytes".utf8) }
    for index in 0..<10 { scratch.region.pointee.leases[index] = lease }
    var bytes = [UInt8](repeating: 0, count: 8)
    func read(_ index: UInt32, _ how: UInt32) -> Int {
      lease_read(&leases, fsmvp_pack(index, 2), 42, 0, 8, .init(how), 0, &bytes)
    }
    let opening = LEASE_VOUCHED.rawValue | LEASE_MAY_BLOCK.rawValue
    for index: UInt32 in 0..<4 { #expect(read(index, opening) == 8) }
    // The fifth takes the frame of the first, and all marks are gone; then 2 is used, and 1 and 3 give way before it.
    #expect(read(4, opening) == 8)
    #expect(read(2, LEASE_VOUCHED.rawValue) == 8)
    #expect(read(5, opening) == 8)
    #expect(read(6, opening) == 8)
    #expect(read(2, LEASE_VOUCHED.rawValue) == 8)
    #expect(read(1, LEASE_VOUCHED.rawValue) == Int(-EAGAIN))
    #expect(read(3, LEASE_VOUCHED.rawValue) == Int(-EAGAIN))
  }
}
