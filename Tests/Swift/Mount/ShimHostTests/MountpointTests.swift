import CLinux
import Core
import EventLoop
import Glibc
import Testing

@testable import ShimHost

@Suite struct MountTableTests {
  private func table(_ lines: String...) -> MountTable {
    MountTable(parsing: Array(lines.joined(separator: "\n").utf8))
  }

  @Test("a line is taken apart, with and without optional fields")
  func lines() {
    let mounts = table(
      "36 35 0:98 / /mnt/a rw,noatime - fuse.fsmvp name rw,user_id=0",
      "37 35 8:1 /sub /mnt/b rw shared:7 master:3 - ext4 /dev/sda1 rw")
    #expect(
      mounts.entries == [
        MountEntry(id: 36, parent: 35, minor: 98, mountpoint: "/mnt/a", type: "fuse.fsmvp", source: "name"),
        MountEntry(id: 37, parent: 35, minor: 1, mountpoint: "/mnt/b", type: "ext4", source: "/dev/sda1"),
      ])
  }

  @Test(
    "blanks, tabs, newlines, backslashes and hashes come back from their escapes, and half an escape stays as it is")
  func escapes() {
    let mounts = table(#"1 0 0:1 / /a\040b\011c\012d\134e\043f\04\9\777 rw - fuse.fsmvp my\040name rw"#)
    #expect(mounts.entries.first?.mountpoint == "/a b\tc\nd\\e#f\\04\\9" + String(decoding: [0xff], as: UTF8.self))
    #expect(mounts.entries.first?.source == "my name")
  }

  @Test(
    "lines cut short or wrong are left out",
    arguments: [
      "", " ", "1 2 3", "1 2 0:1 / /a rw", "1 2 0:1 / /a rw -", "1 2 0:1 / /a rw - fuse", "x 2 0:1 / /a rw - fuse b rw",
      "1 2 01 / /a rw - fuse b rw", "1 2 0:x / /a rw - fuse b rw", "1 2 0:1 / - fuse b rw",
    ])
  func garbage(line: String) { #expect(table(line).entries.isEmpty) }

  @Test("of mounts on each other the uppermost is what a path leads to; mounts below and beside are not it")
  func stacked() {
    let mounts = table(
      "10 1 0:30 / /m rw - ext4 a rw", "12 11 0:32 / /m rw - fuse.fsmvp c rw", "11 10 0:31 / /m rw - tmpfs b rw",
      "13 12 0:33 / /m/below rw - tmpfs d rw", "14 1 0:34 / /mm rw - tmpfs e rw")
    #expect(mounts.top(at: "/m")?.source == "c")
    #expect(mounts.isMounted("/m/below"))
    #expect(!mounts.isMounted("/m/b"))
    #expect(!mounts.isMounted("/m/"))
    #expect(mounts.top(at: "/") == nil)
  }

  @Test("this machine's own table is read: the root is mounted")
  func current() { #expect(MountTable.current().isMounted("/")) }
}

@Suite struct MountpointTests {
  @Test("a missing folder is made, with those above it")
  func made() throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    #expect(Mountpoint.examine(scratch.mountpoint + "/below") == .success(.ready(scratch.mountpoint + "/below")))
    #expect(Mountpoint.examine(scratch.mountpoint + "/below") == .success(.ready(scratch.mountpoint + "/below")))
    var status = stat()
    #expect(stat(scratch.mountpoint + "/below", &status) == 0 && status.st_mode & 0o7777 & ~0o022 == 0o755)
  }

  @Test("a link to a folder is followed to its place")
  func link() throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    mkdir(scratch.mountpoint, 0o755)
    symlink(scratch.mountpoint, scratch.path + "/run/link")
    #expect(Mountpoint.examine(scratch.path + "/run/link") == .success(.ready(scratch.mountpoint)))
  }

  @Test(
    "a file, a folder with something in it, another file system's mount and an unreachable path are refused by name")
  func refused() throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    FileManager.write([1], to: scratch.runtime + "/file")
    #expect(Mountpoint.examine(scratch.runtime + "/file") == .failure(.notADirectory))
    #expect(Mountpoint.examine(scratch.runtime + "/file/below") == .failure(.notADirectory))
    #expect(Mountpoint.examine(scratch.runtime) == .failure(.notEmpty))
    mkdir(scratch.mountpoint, 0o755)
    try #require(mount("none", scratch.mountpoint, "tmpfs", 0, nil) == 0, "this test mounts a tmpfs, as root")
    #expect(Mountpoint.examine(scratch.mountpoint) == .failure(.foreignMount(type: "tmpfs")))
    #expect(Mountpoint.detach(scratch.mountpoint, source: "none") == .foreignMount(type: "tmpfs"))
    #expect(umount2(scratch.mountpoint, 0) == 0)
    #expect(Mountpoint.examine("/proc/self/fsmvp") == .failure(.cannotBeMade(.noEntry)))
    #expect(Mountpoint.examine("") != .success(.ready("")))
  }

  @Test("every refusal is one sentence that says what to do")
  func sentences() {
    let faults: [MountpointFault] = [
      .cannotBeMade(.io), .notADirectory, .notEmpty, .foreignMount(type: "ext4"), .deadMount(of: "other", at: "/m"),
      .ours, .hung,
      .cannotBeDetached("busy"),
    ]
    for fault in faults {
      let sentence = ShimHostError.mountpoint("/m", fault).description
      #expect(sentence.hasPrefix("the mount point /m "))
      #expect(sentence.contains("mountpoint` in the configuration"))
      #expect(!sentence.contains("\n"))
    }
  }
}

@Suite struct OrderBookTests {
  init() { EventLoop.start() }

  @Test("orders are numbered, kept until acknowledged, and said again in their order") @DispatchLoop
  func book() {
    var book = OrderBook()
    var done: [Int] = []
    let first = book.add(.revoked(lease: 5)) { done.append(1) }
    let second = book.add(.invalidateAttributes(nodes: [1]))
    let third = book.add(.invalidatePages(node: 2)) { done.append(3) }
    #expect(book.frames == [first, second, third])
    #expect(first[8] == 1 && second[8] == 2 && third[8] == 3)
    #expect(!book.acknowledge(0).isKnown && !book.acknowledge(4).isKnown)
    let answer = book.acknowledge(2)
    #expect(answer.isKnown && answer.done == nil)
    #expect(!book.acknowledge(2).isKnown)
    #expect(book.frames == [first, third])
    book.acknowledge(3).done?()
    #expect(done == [3])
    for rest in book.abandon() { rest() }
    #expect(done == [3, 1] && book.count == 0)
  }
}
