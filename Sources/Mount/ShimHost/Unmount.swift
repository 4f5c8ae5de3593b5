import CLinux
import Core
import EventLoop
import Glibc
import Wire

/// Ends a mount. Everything here waits for the kernel: for worker threads, or for a process that is about to end. It
/// calls umount2, runs fusermount3 and writes to /sys/fs/fuse/connections, and keeps no state.
enum Unmount {
  /// Unmounts the path; nil, or why that failed. With root's rights by system call, otherwise or if that fails by
  /// fusermount3.
  static func unmount(_ path: String, isLazy: Bool, limit: Duration) -> String? {
    if geteuid() == 0 {
      // By number: Glibc has them as an enumeration.
      let detach: Int32 = 2
      let noFollow: Int32 = 8
      if umount2(path, noFollow | (isLazy ? detach : 0)) == 0 { return nil }
      let error = Errno.current
      // EINVAL: no mount any more.
      if error.code == EINVAL { return nil }
      if error.code != EPERM { return error.description }
    }
    return run(["fusermount3", "-u"] + (isLazy ? ["-z"] : []) + ["--", path], limit: limit)
  }

  /// Makes the kernel end every request of a FUSE connection with an error. False where it may not or it is gone.
  /// - Parameter device: our duplicate of /dev/fuse; where it reports an error the connection is gone, and its number
  ///   perhaps another's.
  static func abort(connection: UInt64, device: OwnedDescriptor) -> Bool {
    if isGone(device) { return false }
    let file = Greeter.spares.call { clinux_open("/sys/fs/fuse/connections/\(connection)/abort", O_WRONLY, 0) }
    guard file >= 0 else { return false }
    defer { close(file) }
    return write(file, "1", 1) == 1
  }

  /// Whether the kernel has ended the connection, by unmount or abort. By poll(2), never by the loop: that would make
  /// the description that all processes share non-blocking. Does not wait.
  static func isGone(_ device: OwnedDescriptor) -> Bool {
    var watched = pollfd(fd: device.number, events: 0, revents: 0)
    return poll(&watched, 1, 0) > 0 && watched.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0
  }

  /// Runs a command without output. Nil where it ended with 0; else what happened.
  private static func run(_ command: [String], limit: Duration) -> String? {
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var files = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&files)
    defer { posix_spawn_file_actions_destroy(&files) }
    for descriptor in 0...Int32(2) { posix_spawn_file_actions_addopen(&files, descriptor, "/dev/null", O_RDWR, 0) }
    var child: pid_t = 0
    var variables = ChildEnvironment.pointers()
    let status = posix_spawnp(&child, command[0], &files, nil, &arguments, &variables)
    guard status == 0 else { return "\(command[0]): \(Errno(status))" }

    let deadline = SystemClock().now() + limit
    var end: Int32 = 0
    while true {
      let reaped = waitpid(child, &end, WNOHANG)
      if reaped == child { return end == 0 ? nil : "\(command[0]) failed" }
      if reaped < 0, errno != EINTR { return "\(command[0]): \(Errno.current)" }
      if SystemClock().now() >= deadline {
        kill(child, SIGKILL)
        while waitpid(child, &end, 0) < 0, errno == EINTR {}
        return "\(command[0]) took too long"
      }
      usleep(2000)
    }
  }
}
