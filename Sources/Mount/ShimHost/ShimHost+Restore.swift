import CLinux
import Core
import EventLoop
import Glibc
import Telemetry
import Wire

/// The name of the shims' socket in the runtime folder, looked after while the mount serves. It runs on the dispatch
/// loop; the folder is touched on worker threads.
extension ShimHost {
  /// Binds the shims' socket again if its name was removed: by it the next control plane finds them. They inherit the
  /// socket, so they are replaced in turn; uploads go on. If they cannot be replaced now, the next call tries again.
  package func restoreSocket() async {
    guard case .serving(let mounted) = phase else { return }
    await bindAgain(mounted)
    guard owesSocket, case .serving = phase else { return }
    do throws(ShimHostError) {
      try await replaceShims()
      owesSocket = false
    } catch {
      Log.error(.shimSocketNotHandedOver, ["cause": error.description])
    }
  }

  private func bindAgain(_ mounted: Mounted) async {
    let path = socketPath
    let fresh = await onWorker { () -> OwnedDescriptor? in
      var attributes = stat()
      guard lstat(path, &attributes) != 0, errno == ENOENT else { return nil }
      let descriptor = clinux_listen(path)
      return descriptor >= 0 ? OwnedDescriptor(descriptor) : nil
    }
    guard let fresh, case .serving(let now) = phase, now.channel === mounted.channel else { return }
    mounted.channel.listen(on: fresh)
    owesSocket = true
    Log.warning(.shimSocketRestored, ["socket": path, "cause": "its name was removed from the runtime folder"])
  }
}
