import CLinux
import Glibc

/// The state that a process inherits from the program that starts it, made fit to work in. `secure` changes the
/// standard streams, two signals and the file mask of the process, on the main thread, and keeps nothing.
enum InheritedState {
  /// Call it first, before anything is opened.
  static func secure() {
    fillStandardStreams()
    // A file that grows past RLIMIT_FSIZE is an error of the write (EFBIG), which has a sentence; the signal would end
    // the process without one.
    signal(SIGXFSZ, SIG_IGN)
    // If it is ignored, the kernel reaps children by itself, and how they ended is lost.
    signal(SIGCHLD, SIG_DFL)
    // Files are made for their owner at least. A mask of 0777 would give folders that not even the owner can enter.
    let mask = umask(0o077)
    umask(mask & 0o077)
  }

  /// The runtime takes the command line from there, and this program much else.
  static var hasProc: Bool { access("/proc/self/cmdline", R_OK) == 0 }

  /// A standard stream that is closed would be the next file that is opened, and its bytes would go there. What stands
  /// in for it refuses reads and writes with EBADF, as the closed one does.
  private static func fillStandardStreams() {
    for stream in Int32(0)...2 where fcntl(stream, F_GETFD) < 0 {
      // Without O_CLOEXEC: programs that are started need their streams, too.
      _ = open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY)
    }
  }
}
