import Core
import Glibc
import Store

/// Files that earlier runs left in the cache folder. Every call waits for the disk: worker threads only.
struct Leftovers: Sendable {
  let folder: CacheFolder

  /// A file of bytes that an item may use at its first open.
  struct Candidate: Sendable, Equatable {
    var seq: UInt64
    var file: BytesFile
    var length: Int64
    var identity: UInt64
  }

  /// Of ours, by name.
  func files() -> [BytesFile] {
    // A descriptor of its own, as reading a folder moves its offset.
    let descriptor = openat(folder.descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    guard let listing = fdopendir(descriptor) else {
      close(descriptor)
      return []
    }
    defer { closedir(listing) }
    var files: [BytesFile] = []
    while let entry = readdir(listing) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if let file = BytesFile(name) { files.append(file) }
    }
    return files
  }

  /// Those whose sums are there and for these bytes.
  func ofUse(_ candidates: [Candidate]) -> [Candidate] {
    candidates.filter { SparseStore.isOfUse($0.file.name, in: folder, length: $0.length, identity: $0.identity) }
  }

  /// On the disk, sums included.
  func bytes(of file: BytesFile) -> Int64 { folder.bytesOnDisk(file.name) }

  /// - Returns: how many went.
  @discardableResult
  func unlink(_ files: [BytesFile]) -> Int { files.count { unlinkat(folder.descriptor, $0.name, 0) == 0 } }
}
