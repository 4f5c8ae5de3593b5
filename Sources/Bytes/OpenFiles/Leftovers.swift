import Core
import Glibc
import Store

/// Files that earlier runs left in the cache folder. Every call waits for the disk: worker threads only. It is a value
/// without state but the folder, whose descriptor is the control plane's; `FileCache` has it.
package struct Leftovers: Sendable {
  package let folder: CacheFolder
  package init(folder: CacheFolder) { self.folder = folder }

  /// A file of bytes that an item may use at its first open.
  package struct Candidate: Sendable, Equatable {
    package var key: FileKey
    package var file: BytesFile
    package var length: Int64
    package var identity: UInt64
    package init(key: FileKey, file: BytesFile, length: Int64, identity: UInt64) {
      self.key = key
      self.file = file
      self.length = length
      self.identity = identity
    }
  }

  /// Returns the files whose names carry the volume's id.
  package func files(of volume: VolumeID) -> [BytesFile] {
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
      if let file = BytesFile(name), file.key.volume == volume { files.append(file) }
    }
    return files
  }

  /// Returns the candidates whose sums are there and belong to these bytes.
  package func ofUse(_ candidates: [Candidate]) -> [Candidate] {
    candidates.filter { SparseStore.isOfUse($0.file.name, in: folder, length: $0.length, identity: $0.identity) }
  }

  /// For each file of a volume the latest of its files of bytes that has sums.
  static func latest(_ files: Set<BytesFile>, except refused: Set<BytesFile>) -> [BytesFile] {
    var latest: [FileKey: BytesFile] = [:]
    for file in files where file.kind == .bytes && !refused.contains(file) && files.contains(file.with(.sums)) {
      if let other = latest[file.key], other.generation.rawValue > file.generation.rawValue { continue }
      latest[file.key] = file
    }
    return latest.values.sorted { $0.key.node.rawValue < $1.key.node.rawValue }
  }

  /// A candidate as it is parked: an earlier run's, so that its bytes need a proof before they are used.
  func parked(_ candidate: Candidate) -> ParkedFile {
    ParkedFile(
      file: candidate.file, bytes: bytes(of: candidate.file),
      isComplete: SparseStore.isWhole(
        candidate.file.name, in: folder, length: candidate.length, identity: candidate.identity))
  }

  /// On the disk, sums included.
  package func bytes(of file: BytesFile) -> Int64 { folder.bytesOnDisk(file.name) }

  /// - Returns: how many went.
  @discardableResult
  package func unlink(_ files: [BytesFile]) -> Int { files.count { unlinkat(folder.descriptor, $0.name, 0) == 0 } }
}
