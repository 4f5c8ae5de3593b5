import CLinux
import ControlClient
import Core
import Glibc
import Syntax

/// A folder of bytes whose instance has no living process, and the counts of the files deleted from it. Shims and
/// control plane of an instance share a flock on their folder, so a folder that can be locked is an orphan. It is a
/// value; `clear` is the only code of a verb that deletes files of bytes, and holds the folder's lock meanwhile.
struct OrphanFolder: Encodable, Equatable {
  var path: String
  /// How many were deleted.
  var files = 0
  /// The disk space they occupied.
  var bytes: Int64 = 0
  /// Whether the folder is gone too; not, where other names are in it.
  var isRemoved = false

  /// Clears every orphan's folder in a cache folder. Nothing is followed, and only what has the names of our files is
  /// deleted.
  /// - Parameter own: this instance's id; its folder is left alone.
  static func clear(in cache: String, except own: String?) throws(CommandFailure) -> [OrphanFolder] {
    let descriptor = clinux_open(cache, O_RDONLY | O_DIRECTORY, 0)
    guard descriptor >= 0 else {
      if errno == ENOENT { return [] }
      throw CommandFailure(
        .failed, "the cache folder \(cache) cannot be opened: \(Errno.current); see `cache_dir` and `temp_dir`")
    }
    defer { close(descriptor) }
    var cleared: [OrphanFolder] = []
    for name in names(in: descriptor).sorted() where InstanceID.isValid(name) && name != own {
      if let folder = clear(name, in: descriptor, path: "\(cache)/\(name)") { cleared.append(folder) }
    }
    return cleared
  }

  /// Nil if the folder is in use, or is no such folder.
  private static func clear(_ name: String, in cache: Int32, path: String) -> OrphanFolder? {
    let descriptor = clinux_openat(cache, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    guard descriptor >= 0 else { return nil }
    // The lock goes with it.
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_uid == geteuid(), flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      return nil
    }
    var folder = OrphanFolder(path: path)
    for file in names(in: descriptor) where file.hasSuffix(".bytes") || file.hasSuffix(".sums") {
      guard fstatat(descriptor, file, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT == S_IFREG else {
        continue
      }
      guard unlinkat(descriptor, file, 0) == 0 else { continue }
      folder.files += 1
      folder.bytes += Int64(status.st_blocks) * 512
    }
    folder.isRemoved = unlinkat(cache, name, AT_REMOVEDIR) == 0
    return folder.isRemoved || folder.files > 0 ? folder : nil
  }

  private static func names(in folder: Int32) -> [String] {
    let copy = clinux_openat(folder, ".", O_RDONLY | O_DIRECTORY)
    guard copy >= 0 else { return [] }
    guard let listing = fdopendir(copy) else {
      close(copy)
      return []
    }
    defer { closedir(listing) }
    var names: [String] = []
    while let entry = readdir(listing) {
      names.append(
        withUnsafePointer(to: &entry.pointee.d_name) { pointer in
          pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        })
    }
    return names
  }
}
