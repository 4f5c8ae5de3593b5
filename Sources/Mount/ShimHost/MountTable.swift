import CLinux
import Core
import EventLoop
import Glibc

/// One line of /proc/self/mountinfo.
package struct MountEntry: Equatable, Sendable {
  package var id: Int
  package var parent: Int
  /// The minor of the device number, which names a FUSE mount under /sys/fs/fuse/connections.
  package var minor: UInt64
  package var mountpoint: String
  /// With the subtype: "fuse.fsmvp".
  package var type: String
  /// A FUSE mount's fsname.
  package var source: String

  package var isFuse: Bool { type == "fuse" || type == "fuseblk" || type.hasPrefix("fuse.") }
}

/// The mounts this process sees. Never found out by touching a mount: a FUSE mount answers when its process does. It is
/// a value: `read` reads /proc/self/mountinfo at once, for worker threads and for the end of the process, and nothing
/// is kept.
package struct MountTable: Equatable, Sendable {
  package var entries: [MountEntry]

  /// Lines that are not as `man 5 proc_pid_mountinfo` has them are left out.
  package init(parsing text: [UInt8]) {
    entries = text.split(separator: 0x0a).compactMap { MountEntry(line: $0) }
  }

  /// Waits for the kernel's lock on mounts, and up to two seconds for a descriptor: for worker threads. A table that
  /// cannot be read says nothing of any mount, so it is an error and not an empty one.
  package static func read() -> Result<MountTable, Errno> {
    for _ in 0..<100 {
      let file = Greeter.spares.call { clinux_open("/proc/self/mountinfo", O_RDONLY, 0) }
      if file >= 0 {
        defer { close(file) }
        return text(of: file).map { MountTable(parsing: $0) }
      }
      let error = Errno.current
      guard SpareDescriptors.isShortage(error.code) || error.code == ENOMEM else { return .failure(error) }
      usleep(20000)
    }
    return .failure(Errno(EMFILE))
  }

  /// The same, empty if it cannot be read: for looks that decide nothing.
  package static func current() -> MountTable { (try? read().get()) ?? MountTable(parsing: []) }

  private static func text(of file: Int32) -> Result<[UInt8], Errno> {
    var text: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = Glibc.read(file, &part, part.count)
      if count > 0 {
        text += part[..<count]
      } else if count == 0 {
        return .success(text)
      } else if errno != EINTR {
        return .failure(.current)
      }
    }
  }

  /// The mount that a path leads to if several lie on each other: the one that is no other's parent there.
  package func top(at path: String) -> MountEntry? {
    let here = entries.filter { $0.mountpoint == path }
    return here.last { entry in !here.contains { $0.parent == entry.id && $0.id != entry.id } } ?? here.last
  }

  package func isMounted(_ path: String) -> Bool { top(at: path) != nil }

  /// The mount an absolute path without links lies in; the path itself need not be there.
  package func mount(holding path: String) -> MountEntry? {
    var rest = path[...]
    while true {
      while rest.count > 1, rest.hasSuffix("/") { rest.removeLast() }
      if let mount = top(at: rest.isEmpty ? "/" : String(rest)) { return mount }
      guard let slash = rest.lastIndex(of: "/"), rest != "/" else { return nil }
      rest = slash == rest.startIndex ? "/" : rest[..<slash]
    }
  }
}

extension MountEntry {
  /// `36 35 0:98 /root /mnt/point rw,noatime shared:1 - fuse.fsmvp name rw`
  fileprivate init?(line: ArraySlice<UInt8>) {
    let words = line.split(separator: 0x20)
    // Optional fields, any number of them, end at a lone hyphen.
    guard let hyphen = words.dropFirst(6).firstIndex(where: { $0.elementsEqual([0x2d]) }), words.count > hyphen + 2
    else { return nil }
    let device = words[2].split(separator: 0x3a)
    guard device.count == 2, let minor = UInt64(Self.text(device[1])), let id = Int(Self.text(words[0])),
      let parent = Int(Self.text(words[1]))
    else { return nil }
    self.init(
      id: id, parent: parent, minor: minor, mountpoint: Self.text(words[4]), type: Self.text(words[hyphen + 1]),
      source: Self.text(words[hyphen + 2]))
  }

  /// Blanks, tabs, newlines, backslashes and hashes stand as a backslash and three octal digits.
  private static func text(_ word: ArraySlice<UInt8>) -> String {
    var bytes: [UInt8] = []
    var rest = word
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      guard byte == 0x5c, digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) }) else {
        bytes.append(byte)
        continue
      }
      bytes.append(UInt8(truncatingIfNeeded: digits.reduce(0) { $0 * 8 + Int($1 - 0x30) }))
      rest = rest.dropFirst(3)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
