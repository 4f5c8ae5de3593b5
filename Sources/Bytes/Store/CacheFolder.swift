import Core
import Glibc

/// A folder of sparse files (a cache root); file operations on worker threads. It is a value without state: the
/// descriptor is the control plane's, and the files are their stores'.
package struct CacheFolder: Sendable {
  /// An O_DIRECTORY descriptor, the caller's; outlives every store in it.
  package let descriptor: Int32
  package init(descriptor: Int32) { self.descriptor = descriptor }

  /// A store's share of a file system: promised before the first byte is written.
  struct Reservation: Sendable, Equatable {
    /// nil while the file is being made and its file system is not known: counts everywhere.
    var device: UInt64?
    /// Size of the whole file.
    var size: Int64
    /// Still to be written.
    var bytes: Int64
  }

  struct NewFile: Sendable {
    let descriptor: Int32
    let device: UInt64
  }

  /// For sentences. The name the folder has now; blocks as /proc does, not as its disk does.
  package var name: String {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBufferPointer { space in
      space.withMemoryRebound(to: CChar.self) { space in
        space.baseAddress.map { readlink("/proc/self/fd/\(descriptor)", $0, space.count) } ?? -1
      }
    }
    return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : "the cache folder"
  }

  /// Makes an empty file of `size` bytes if there is room for them beside what `claims` says. On a worker thread.
  func make(_ file: String, size: Int64, _ claims: CacheClaims) throws(SparseStore.Failure) -> NewFile {
    guard !file.isEmpty, file != ".", file != "..", !file.contains("/"), !file.utf8.contains(0) else {
      throw .failed(.invalid, "not a name for a file: \(file.debugDescription)")
    }
    let device = try checkRoom(for: size, used: 0, claims)
    let fd = openat(descriptor, file, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard fd >= 0 else {
      let error = Errno.current
      throw .failed(error, "no file can be made in \(name): \(error); \(Self.remedy(error))")
    }
    guard ftruncate(fd, off_t(size)) == 0 else {
      let error = Errno.current
      close(fd)
      unlinkat(descriptor, file, 0)
      throw .failed(error, "no file of \(ByteCount.format(size)) can be made in \(name): \(error)")
    }
    return NewFile(descriptor: fd, device: device)
  }

  private static func remedy(_ error: Errno) -> String {
    switch error.code {
    case EMFILE, ENFILE: "close some files, or raise the limit of open files (ulimit -n, LimitNOFILE)"
    case ENOMEM: "raise the limit of memory (ulimit -v, MemoryMax), or end other programs"
    default: "see `cache_dir` and `temp_dir`"
    }
  }

  /// - Returns: the file system's device number.
  private func checkRoom(for size: Int64, used: Int64, _ claims: CacheClaims) throws(SparseStore.Failure) -> UInt64 {
    let (space, device) = try look(claims.limits)
    try claims.check(size: size, used: used, on: device, space, folder: name)
    return device
  }

  /// Whether there is room for what the file behind `descriptor` lacks.
  func checkRoom(forRestOf descriptor: Int32, size: Int64, _ claims: CacheClaims) throws(SparseStore.Failure) {
    var about = stat()
    let used = fstat(descriptor, &about) == 0 ? min(size, Int64(about.st_blocks) * 512) : 0
    _ = try checkRoom(for: size, used: used, claims)
  }

  /// The file system's figures. On a worker thread.
  package func space(_ limits: CacheLimits) throws(SparseStore.Failure) -> CacheSpace { try look(limits).space }

  private func look(_ limits: CacheLimits) throws(SparseStore.Failure) -> (space: CacheSpace, device: UInt64) {
    var about = stat()
    var space = statvfs()
    guard fstat(descriptor, &about) == 0, fstatvfs(descriptor, &space) == 0 else {
      let error = Errno.current
      throw .failed(error, "the folder \(name) cannot be used: \(error); see `cache_dir` and `temp_dir`")
    }
    let unit = UInt64(max(1, space.f_frsize))
    func bytes(_ blocks: UInt64) -> Int64 {
      let (product, overflow) = blocks.multipliedReportingOverflow(by: unit)
      return overflow ? .max : Int64(clamping: product)
    }
    let figures = CacheSpace(total: bytes(UInt64(space.f_blocks)), free: bytes(UInt64(space.f_bavail)), limits: limits)
    return (figures, UInt64(about.st_dev))
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
    guard fstat(fd, &about) == 0, about.st_mode & S_IFMT == S_IFREG, about.st_uid == geteuid(),
      Int64(about.st_size) == size
    else {
      close(fd)
      throw .failed(.io, "a file of an earlier run in \(name) is not what it was")
    }
    return NewFile(descriptor: fd, device: UInt64(about.st_dev))
  }

  /// Gives a file that an earlier run left, with its sums, a name of this run if there is room for what it lacks. On a
  /// worker thread.
  func take(_ left: String, as file: String, size: Int64, _ claims: CacheClaims) throws(SparseStore.Failure) -> NewFile
  {
    let found = try open(left, size: size)
    do throws(SparseStore.Failure) {
      try checkRoom(forRestOf: found.descriptor, size: size, claims)
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

  /// Disk space of a file and its sums; 0 if there is none. On a worker thread.
  package func bytesOnDisk(_ file: String) -> Int64 {
    [file, SumsFile.name(of: file)].reduce(0) { sum, name in
      var about = stat()
      guard fstatat(descriptor, name, &about, AT_SYMLINK_NOFOLLOW) == 0, about.st_mode & S_IFMT == S_IFREG else {
        return sum
      }
      return sum + Int64(about.st_blocks) * 512
    }
  }

  /// With its sums. Never truncates: readers may have it open. On a worker thread.
  func remove(_ file: String) {
    unlinkat(descriptor, file, 0)
    unlinkat(descriptor, SumsFile.name(of: file), 0)
  }
}
