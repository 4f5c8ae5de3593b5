import Core
import Glibc

/// How much memory this process may use: what the machine has, or what the control groups it is in allow (v2 or v1),
/// whichever is least. These are functions without state that read /proc and /sys/fs/cgroup, once at the start of the
/// control plane.
package enum MemoryLimit {
  /// Bytes for a window of `wanted`: never more than a quarter of the process's limit, because a process that is killed
  /// for its memory serves no reader.
  package static func window(_ wanted: Int64, root: String = "") -> Int64 {
    min(wanted, (bytes(root: root) ?? .max) / 4)
  }

  /// nil where nothing says so.
  /// - Parameter root: in front of /proc and /sys; for tests.
  static func bytes(root: String = "") -> Int64? {
    var limits = [machine(root)]
    for line in lines(root + "/proc/self/cgroup") {
      // "0::/path", or "4:memory:/path".
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      if parts[0] == "0", parts[1].isEmpty {
        limits += upwards(root + "/sys/fs/cgroup", parts[2], "memory.max")
      } else if parts[1].split(separator: ",").contains("memory") {
        limits += upwards(root + "/sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes")
      }
    }
    return limits.compactMap { $0 }.min()
  }

  /// The file's number in the group's folder and in all above it; the path may be one of another namespace, and not be
  /// there.
  private static func upwards(_ base: String, _ path: Substring, _ file: String) -> [Int64?] {
    var folder = path.hasSuffix("/") ? path.dropLast() : path
    var found: [Int64?] = []
    while true {
      found.append(lines("\(base)\(folder)/\(file)").first.flatMap { Int64($0) })
      guard let slash = folder.lastIndex(of: "/") else { return found }
      folder = folder[..<slash]
    }
  }

  private static func machine(_ root: String) -> Int64? {
    for line in lines(root + "/proc/meminfo") where line.hasPrefix("MemTotal:") {
      return line.split(separator: " ").dropFirst().first.flatMap { Int64($0) }.map { $0 << 10 }
    }
    return nil
  }

  private static func lines(_ path: String) -> [Substring] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var text = [UInt8](repeating: 0, count: 16 << 10)
    let count = read(descriptor, &text, text.count)
    return String(decoding: text.prefix(max(0, count)), as: UTF8.self).split(whereSeparator: \.isNewline)
  }
}
