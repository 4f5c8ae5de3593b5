import CLinux
import Core
import EventLoop
import Glibc
import Wire

/// The limits that the shell or the service manager gave this process, checked before anything depends on them: a call
/// that fails later, for want of a descriptor or of address space, can only guess at the setting that matters. It runs
/// once, on the main thread, and keeps nothing.
enum StartLimits {
  /// Descriptors that may be opened yet: those of the loops, the mount, the shims and the API, and some for files.
  static let descriptors = 96
  /// Address space in bytes: the region, the journal, threads and the heap of a control plane with a few thousand
  /// items. A shim needs less.
  private static let addressSpace = 384 << 20

  /// Raises what may be raised. The shims inherit it.
  /// - Throws: the sentence about the first limit that is too low, with the exit code of a shortage.
  static func secure() throws(StartError) {
    DescriptorLimit.raise()
    let limit = clinux_descriptor_limit()
    guard canOpen(descriptors) else {
      throw StartError(
        "fewer than \(descriptors) files can be opened (the limit is \(limit), less what is open already), and the "
          + "control plane needs "
          + "more: raise the limit of open files (ulimit -n, LimitNOFILE) to 1024 or more, then start again",
        code: .shortage)
    }
    guard canMap(addressSpace) else {
      throw StartError(
        "less than \(ByteCount.format(Int64(addressSpace))) of address space is left, and the control plane needs "
          + "more: raise the limit of "
          + "virtual memory (ulimit -v, LimitAS), then start again", code: .shortage)
    }
    let longest = raise(RLIMIT_FSIZE)
    guard longest >= UInt64(WindowFile.length) else {
      throw StartError(
        "no file may be longer than \(ByteCount.format(Int64(clamping: longest))), and the memory that files stream "
          + "through is one of "
          + "\(ByteCount.format(WindowFile.length)): raise the limit of file sizes (ulimit -f, LimitFSIZE), then start "
          + "again",
        code: .shortage)
    }
  }

  /// Opens as many at once, and closes them again.
  static func canOpen(_ count: Int) -> Bool {
    let spares = SpareDescriptors(count: count)
    return spares.available == count
  }

  private static func canMap(_ bytes: Int) -> Bool {
    guard let address = mmap(nil, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      address != MAP_FAILED
    else {
      return false
    }
    munmap(address, bytes)
    return true
  }

  /// - Returns: the limit as it is then; all bits set if there is none.
  private static func raise(_ resource: __rlimit_resource) -> UInt64 {
    var limit = rlimit()
    let number = __rlimit_resource_t(resource.rawValue)
    guard getrlimit(number, &limit) == 0 else { return .max }
    if limit.rlim_cur < limit.rlim_max {
      var raised = limit
      raised.rlim_cur = limit.rlim_max
      if setrlimit(number, &raised) == 0 { limit = raised }
    }
    return UInt64(limit.rlim_cur)
  }
}
