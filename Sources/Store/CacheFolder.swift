import Core
import Glibc

/// A folder of sparse files (a cache root); file operations on worker threads.
package struct CacheFolder: Sendable {
  /// An O_DIRECTORY descriptor, the caller's; outlives every store in it.
  package let descriptor: Int32
  package init(descriptor: Int32) { self.descriptor = descriptor }

  /// What a store promised to a file system and has not used yet.
  struct Reservation: Sendable {
    /// nil while the file is being made and its file system is not known: counts everywhere.
    var device: UInt64?
    var bytes: Int64
  }

  struct NewFile: Sendable {
    let descriptor: Int32
    let device: UInt64
  }

  /// For sentences. The name the folder has now; blocks as /proc does, not as its disk does.
  var name: String {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBufferPointer { space in
      space.withMemoryRebound(to: CChar.self) { space in
        space.baseAddress.map { readlink("/proc/self/fd/\(descriptor)", $0, space.count) } ?? -1
      }
    }
    return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : "the cache folder"
  }

  /// Makes an empty file of `size` bytes if there is room for them and for what `others` still have to write. On a worker thread.
  func make(_ file: String, size: Int64, others: [Reservation]) -> Result<NewFile, SparseStore.Failure> {
    func failure(_ error: Errno, _ sentence: String) -> Result<NewFile, SparseStore.Failure> { .failure(.failed(error, sentence)) }
    guard !file.isEmpty, file != ".", file != "..", !file.contains("/"), !file.utf8.contains(0) else {
      return failure(.invalid, "not a name for a file: \(file.debugDescription)")
    }
    var about = stat()
    var space = statvfs()
    guard fstat(descriptor, &about) == 0, fstatvfs(descriptor, &space) == 0 else {
      let error = Errno.current
      return failure(error, "the folder \(name) cannot be used: \(error)")
    }
    let device = UInt64(about.st_dev)
    let unit = UInt64(max(1, space.f_frsize))
    let (product, overflow) = UInt64(space.f_bavail).multipliedReportingOverflow(by: unit)
    let available = overflow ? Int64.max : Int64(clamping: product)
    let reserved = others.reduce(Int64(0)) { sum, other in
      guard other.device == nil || other.device == device else { return sum }
      let (total, overflow) = sum.addingReportingOverflow(other.bytes)
      return overflow ? .max : total
    }
    guard size <= available - min(reserved, available) else {
      let kept = reserved > 0 ? ", \(ByteCount.format(reserved)) of them for other files" : ""
      return failure(
        .noSpace, "no room in \(name): \(ByteCount.format(size)) needed, \(ByteCount.format(available)) free\(kept)")
    }
    let fd = openat(descriptor, file, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard fd >= 0 else {
      let error = Errno.current
      return failure(error, "no file can be made in \(name): \(error)")
    }
    guard ftruncate(fd, off_t(size)) == 0 else {
      let error = Errno.current
      close(fd)
      unlinkat(descriptor, file, 0)
      return failure(error, "no file of \(ByteCount.format(size)) can be made in \(name): \(error)")
    }
    return .success(NewFile(descriptor: fd, device: device))
  }

  /// Never truncates: readers may have it open. On a worker thread.
  func remove(_ file: String, descriptor fd: Int32) {
    unlinkat(descriptor, file, 0)
    close(fd)
  }
}
