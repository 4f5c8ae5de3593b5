import CLinux
import CWire
import Core
import Glibc
import Synchronization

/// The bytes of files by their SHA-256: `<folder>/ab/cdef...`, never changed once they have that name. Bytes come in by
/// a temporary file in `<folder>/new`, which is written, synced and renamed; the folder is synced before a transaction
/// refers to the blob. Any thread of the bucket server may call it, and waits for the disk. A blob that a request is
/// about to refer to is in use, and is not removed meanwhile: the counts are behind a lock.
final class BlobStore: Sendable {
  /// Absolute.
  let folder: String
  private let uses = Mutex<[BlobID: Int]>([:])

  /// Makes the folders, all 257 of them, so that no upload has to. Temporary files of an earlier run are removed.
  init(folder: String) throws(BucketError) {
    self.folder = folder
    var isMade = false
    for path in [folder, folder + "/new"] + (0..<256).map({ "\(folder)/\(Self.prefix($0))" }) {
      if mkdir(path, 0o700) == 0 { isMade = true } else if errno != EEXIST { throw .disk(path, .current) }
    }
    if isMade { try Self.sync(folder) }
    for name in Self.names(in: folder + "/new") { unlink("\(folder)/new/\(name)") }
  }

  func makeFile() throws(BucketError) -> BlobFile { try BlobFile(in: folder + "/new") }

  func path(of blob: BlobID) -> String { "\(folder)/\(blob.hex.prefix(2))/\(blob.hex.dropFirst(2))" }

  /// Nil if there is no such blob any more.
  func open(_ blob: BlobID) throws(BucketError) -> OwnedDescriptor? {
    let descriptor = clinux_open(path(of: blob), O_RDONLY | O_NOFOLLOW, 0)
    if descriptor >= 0 { return OwnedDescriptor(descriptor) }
    if errno == ENOENT { return nil }
    throw .disk("open", .current)
  }

  /// Gives the file its name, unless a blob of that name is there. The file has to be sealed.
  /// - Returns: a use of the blob; its folder is not synced yet.
  func install(_ file: BlobFile) throws(BucketError) -> BlobUse {
    guard let blob = file.blob else { throw BucketError(500, "a file without an end was to be stored") }
    let use = use(of: blob)
    var about = stat()
    if lstat(path(of: blob), &about) == 0, about.st_mode & S_IFMT == S_IFREG, Int64(about.st_size) == file.size {
      return use
    }
    guard rename(file.path, path(of: blob)) == 0 else { throw .disk("rename", .current) }
    file.isInstalled = true
    fsmvp_kill_point("bucket.blob.renamed")
    return use
  }

  func use(of blob: BlobID) -> BlobUse {
    uses.withLock { $0[blob, default: 0] += 1 }
    return BlobUse(blob: blob, store: self)
  }

  fileprivate func unuse(_ blob: BlobID) {
    uses.withLock { uses in
      let count = (uses[blob] ?? 1) - 1
      uses[blob] = count > 0 ? count : nil
    }
  }

  /// Removes those that no request uses. The caller knows that no version refers to them, and that none will unless it
  /// uses them.
  func remove(_ blobs: [BlobID]) {
    uses.withLock { uses in
      for blob in blobs where uses[blob] == nil { unlink(path(of: blob)) }
    }
  }

  /// Makes names durable. Called once for all blobs of a batch.
  func syncFolders(of blobs: some Sequence<BlobID>) throws(BucketError) {
    for prefix in Set(blobs.map { $0.hex.prefix(2) }) { try Self.sync("\(folder)/\(prefix)") }
  }

  /// All blobs of a part of the store, of which there are 256.
  func blobs(in part: Int) -> [BlobID] {
    let prefix = Self.prefix(part)
    return Self.names(in: "\(folder)/\(prefix)").map { BlobID(hex: prefix + $0) }.filter { BlobID.isHash($0.hex) }
  }

  /// Room on the disk for this user's files; nil if the system does not tell.
  var room: Int64? {
    var about = statvfs()
    guard statvfs(folder, &about) == 0 else { return nil }
    let (room, isMore) = Int64(clamping: about.f_bavail).multipliedReportingOverflow(
      by: Int64(clamping: about.f_frsize))
    return isMore ? nil : room
  }

  private static func prefix(_ part: Int) -> String { (part < 16 ? "0" : "") + String(part, radix: 16) }

  static func sync(_ folder: String) throws(BucketError) {
    let descriptor = clinux_open(folder, O_RDONLY | O_DIRECTORY, 0)
    guard descriptor >= 0 else { throw .disk("open", .current) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .disk("fsync", .current) }
  }

  static func names(in folder: String) -> [String] {
    guard let listing = opendir(folder) else { return [] }
    defer { closedir(listing) }
    var names: [String] = []
    while let entry = readdir(listing) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }
}

/// Keeps a blob from being removed while it lives, though no version may refer to it yet.
final class BlobUse: Sendable {
  let blob: BlobID
  private let store: BlobStore

  fileprivate init(blob: BlobID, store: BlobStore) { (self.blob, self.store) = (blob, store) }
  deinit { store.unuse(blob) }
}
