import Core
import Glibc
import ShimHost

/// A path of a file on a mount, without the symbolic links above the mount. Names on the mount itself are not looked
/// up: this process serves them, and would wait for itself. It reads links, so it is for worker threads, and keeps
/// nothing.
enum RealPath {
  /// So many links lead in a circle, as for the kernel.
  private static let mostLinks = 40

  /// Waits for disks: for worker threads.
  /// - Parameters:
  ///   - path: absolute.
  ///   - mounts: paths without links that must not be touched; what is below them is taken by its text.
  ///   - target: the text of a symbolic link; nil: there is none at that path.
  /// - Returns: nil if links lead in a circle.
  static func of(_ path: String, untouched mounts: Set<String>, target: (String) -> String? = target) -> String? {
    var done: [String] = []
    var rest = path.split(separator: "/").map(String.init)[...]
    var links = 0
    while let part = rest.popFirst() {
      switch part {
      case ".": continue
      case "..":
        _ = done.popLast()
        continue
      default: break
      }
      done.append(part)
      let reached = "/" + done.joined(separator: "/")
      if mounts.contains(where: { reached == $0 || reached.hasPrefix($0 + "/") }) { continue }
      guard let text = target(reached) else { continue }
      links += 1
      guard links <= mostLinks else { return nil }
      if text.hasPrefix("/") { done = [] } else { done.removeLast() }
      rest = (text.split(separator: "/").map(String.init) + rest)[...]
    }
    return "/" + done.joined(separator: "/")
  }

  static func target(of path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(path, &buffer, buffer.count)
    guard count > 0, count < buffer.count else { return nil }
    return String(validating: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
