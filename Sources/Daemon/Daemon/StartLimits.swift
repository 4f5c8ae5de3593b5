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
  /// Threads of the loops, of libuv's and Swift's pools, of the log and of the background.
  static let threads = 16
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
    if let fault = faultOfFileSizes(raise(RLIMIT_FSIZE)) {
      throw StartError(fault + ", then start again", code: .shortage)
    }
    guard canStart(threads: threads) else {
      throw StartError(
        "fewer than \(threads) threads can be started, and the control plane needs as many: raise the limit of tasks "
          + "(ulimit -u, TasksMax, pids.max), then start again", code: .shortage)
    }
  }

  private static func faultOfFileSizes(_ longest: UInt64) -> String? {
    guard longest < UInt64(WindowFile.length) else { return nil }
    return "no file may be longer than \(ByteCount.format(Int64(clamping: longest))), and the memory that files stream "
      + "through is one of \(ByteCount.format(WindowFile.length)): raise the limit of file sizes (ulimit -f, "
      + "LimitFSIZE)"
  }

  /// Why a program that is executed in place of this one would not start with the limits as they are; nil: it would.
  static func faultForNextImage() -> String? {
    // Nearly everything that is open now is closed by then.
    let hard = hardLimit(RLIMIT_NOFILE)
    guard hard >= UInt64(descriptors + 32) else {
      return "only \(hard) files can be open: raise the limit of open files (ulimit -n, LimitNOFILE) to 1024 or more"
    }
    return faultOfFileSizes(hardLimit(RLIMIT_FSIZE))
  }

  private static func hardLimit(_ resource: __rlimit_resource) -> UInt64 {
    var limit = rlimit()
    return getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 ? UInt64(limit.rlim_max) : .max
  }

  /// Starts as many at once, and ends them again.
  static func canStart(threads: Int) -> Bool {
    var semaphore = sem_t()
    return withUnsafeMutablePointer(to: &semaphore) { semaphore in
      sem_init(semaphore, 0, 0)
      defer { sem_destroy(semaphore) }
      var attributes = pthread_attr_t()
      pthread_attr_init(&attributes)
      defer { pthread_attr_destroy(&attributes) }
      pthread_attr_setstacksize(&attributes, 64 << 10)
      var started: [pthread_t] = []
      while started.count < threads {
        var thread = pthread_t()
        let status = pthread_create(
          &thread, &attributes,
          { @Sendable context in
            if let context { while sem_wait(context.assumingMemoryBound(to: sem_t.self)) != 0 {} }
            return nil
          }, semaphore)
        guard status == 0 else { break }
        started.append(thread)
      }
      for _ in started { sem_post(semaphore) }
      for thread in started { pthread_join(thread, nil) }
      return started.count == threads
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
