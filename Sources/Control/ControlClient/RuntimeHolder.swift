import Glibc

/// The control plane that holds a runtime folder, found though its socket and its files are gone from there. These
/// functions read /proc/locks and a file of the folder, and keep nothing.
package enum RuntimeHolder {
  /// The process whose flock is on the folder, as the kernel says; else, if it lives, the one that the file `lock`
  /// names.
  package static func pid(of folder: String) -> Int32? { locker(of: folder) ?? noted(in: folder) }

  /// By /proc/locks: a line like `1: FLOCK  ADVISORY  WRITE 4711 00:1a:99 0 EOF`; the device's numbers are hexadecimal.
  /// Nothing is locked to find out, as that could be in the way of a start.
  package static func locker(of folder: String) -> Int32? {
    var status = stat()
    guard stat(folder, &status) == 0, let locks = contents("/proc/locks", limit: 1 << 20) else { return nil }
    return locker(of: UInt64(status.st_ino), device: UInt64(status.st_dev), in: locks)
  }

  package static func locker(of inode: UInt64, device: UInt64, in locks: String) -> Int32? {
    // The formulas are those of glibc's gnu_dev_major and gnu_dev_minor.
    let major = (device >> 8) & 0xfff | (device >> 32) & ~0xfff
    let minor = device & 0xff | (device >> 12) & ~0xff
    for line in locks.split(separator: "\n") {
      let words = line.split(separator: " ")
      // A process that waits for a lock has an arrow.
      guard words.count >= 6, words[1] == "FLOCK", words[3] == "WRITE", let pid = Int32(words[4]), pid > 0 else {
        continue
      }
      let place = words[5].split(separator: ":")
      guard place.count == 3, UInt64(place[0], radix: 16) == major, UInt64(place[1], radix: 16) == minor,
        UInt64(place[2]) == inode
      else {
        continue
      }
      return pid
    }
    return nil
  }

  private static func noted(in folder: String) -> Int32? {
    contents("\(folder)/lock", limit: 32).flatMap { Int32($0.prefix { $0.isNumber }) }
  }

  private static func contents(_ path: String, limit: Int) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var text: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 16_384)
    while text.count < limit {
      let count = read(descriptor, &part, min(part.count, limit - text.count))
      guard count > 0 else { break }
      text += part[..<count]
    }
    return String(decoding: text, as: UTF8.self)
  }
}
