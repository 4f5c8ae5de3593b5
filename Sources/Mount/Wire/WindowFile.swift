import CLinux
import CWire
import Core
import Glibc

/// The memory file whose frames windows are made of: one a mount, shared by the control plane, which writes it, and the
/// shims. Sparse: a frame takes memory once something was written there. The control plane makes it and owns the
/// descriptor; nothing is kept here.
package enum WindowFile {
  /// Frames in it.
  package static let frames = Int(FSMVP_FRAMES)
  /// Bytes of a frame.
  package static let frameSize: Int64 = 1 << Int64(FSMVP_WINDOW_SHIFT)

  /// Bytes of the file, most of them holes.
  package static let length = Int64(frames) * frameSize
  /// Against sealing more, shrinking and growing: its size is for good, in every process that holds it.
  private static let seals: Int32 = 0x1 | 0x2 | 0x4

  /// A new one; the descriptor is the caller's, close-on-exec.
  package static func make() -> Result<Int32, Errno> {
    let descriptor = clinux_memfd("fsmvp-window", length)
    guard descriptor >= 0 else { return .failure(.current) }
    guard clinux_add_seals(descriptor, seals) == 0 else {
      let error = Errno.current
      close(descriptor)
      return .failure(error)
    }
    return .success(descriptor)
  }

  /// Whether it is such a file.
  package static func isOne(_ descriptor: Int32) -> Bool {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, Int64(status.st_size) == length else {
      return false
    }
    return clinux_get_seals(descriptor) & seals == seals
  }
}
