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
  func make(_ file: String, size: Int64, others: [Reservation]) throws(SparseStore.Failure) -> NewFile {
    guard !file.isEmpty, file != ".", file != "..", !file.contains("/"), !file.utf8.contains(0) else {
      throw .failed(.invalid, "not a name for a file: \(file.debugDescription)")
    }
    let device = try checkRoom(for: size, others: others)
    let fd = openat(descriptor, file, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard fd >= 0 else {
      let error = Errno.current
      throw .failed(error, "no file can be made in \(name): \(error)")
    }
    guard ftruncate(fd, off_t(size)) == 0 else {
      let error = Errno.current
      close(fd)
      unlinkat(descriptor, file, 0)
      throw .failed(error, "no file of \(ByteCount.format(size)) can be made in \(name): \(error)")
    }
    return NewFile(descriptor: fd, device: device)
  }

  /// - Returns: the file system's device number.
  private func checkRoom(for size: Int64, others: [Reservation]) throws(SparseStore.Failure) -> UInt64 {
    var about = stat()
    var space = statvfs()
    guard fstat(descriptor, &about) == 0, fstatvfs(descriptor, &space) == 0 else {
      let error = Errno.current
      throw .failed(error, "the folder \(name) cannot be used: \(error)")
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
      throw .failed(
        .noSpace, "no room in \(name): \(ByteCount.format(size)) needed, \(ByteCount.format(available)) free\(kept)")
    }
    return device
  }

  /// Opens a file that an earlier run made. On a worker thread.
  func open(_ file: String, size: Int64) throws(SparseStore.Failure) -> NewFile {
    // A name that is something else by now must not hold us up.
    let fd = openat(descriptor, file, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard fd >= 0 else {
      let error = Errno.current
      throw .failed(error, "a file of an earlier run in \(name) cannot be opened: \(error)")
    }
    var about = stat()
    guard fstat(fd, &about) == 0, about.st_mode & S_IFMT == S_IFREG, about.st_uid == geteuid(), Int64(about.st_size) == size else {
      close(fd)
      throw .failed(.io, "a file of an earlier run in \(name) is not what it was")
    }
    return NewFile(descriptor: fd, device: UInt64(about.st_dev))
  }

  /// Gives a file that an earlier run left, with its sums, a name of this run if there is room for what it lacks. On a worker thread.
  func take(_ left: String, as file: String, size: Int64, others: [Reservation]) throws(SparseStore.Failure) -> NewFile {
    let found = try open(left, size: size)
    var about = stat()
    do throws(SparseStore.Failure) {
      let used = fstat(found.descriptor, &about) == 0 ? min(size, Int64(about.st_blocks) * 512) : 0
      _ = try checkRoom(for: size - used, others: others)
      // The sums first: without them the bytes are nothing, and without the bytes they are.
      guard renameat(descriptor, SumsFile.name(of: left), descriptor, SumsFile.name(of: file)) == 0,
        renameat(descriptor, left, descriptor, file) == 0
      else {
        let error = Errno.current
        throw .failed(error, "a file of an earlier run in \(name) cannot be renamed: \(error)")
      }
    } catch {
      close(found.descriptor)
      throw error
    }
    return found
  }

  /// With its sums. Never truncates: readers may have it open. On a worker thread.
  func remove(_ file: String) {
    unlinkat(descriptor, file, 0)
    unlinkat(descriptor, SumsFile.name(of: file), 0)
  }
}
