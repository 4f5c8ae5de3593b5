import Glibc

/// This process's program on disk, and the programs that are installed beside it. The path is found once, from
/// /proc/self/exe, and stays.
package enum Installation {
  /// The program's path when it started: after an upgrade by rename, /proc/self/exe would name a file that is gone.
  package static let path: String = {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    return String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }()

  /// Beside this program, whatever link it was called by.
  package static let shimPath = folder + "/fsmvp-shim"
  /// The folder of this program, which holds the other programs of this installation.
  package static let folder = path.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
}
