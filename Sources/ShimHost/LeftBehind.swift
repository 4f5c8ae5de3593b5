import Core
import Glibc
import Telemetry
import Wire

/// A shim whose control plane died. Adopting it is a later step of the project; until then it is ended in order, so that the new run can mount.
package enum LeftBehind {
  /// The same for a whole runtime folder, before anything that shim may still hold (the lock of its cache root) is taken.
  package static func end(in runtimeFolder: String) -> ShimHostError? { end(socket: runtimeFolder + "/shim.sock") }

  /// Ends whoever listens on the socket of this instance (whose lock the caller holds, so its control plane is dead), and takes its mount away.
  /// Waits: for worker threads.
  static func end(socket path: String) -> ShimHostError? {
    guard case .success(let socket) = Hello.connect(path) else { return nil }
    switch Hello.hear(socket, milliseconds: 2000) {
    case .failure(let cause):
      return .leftBehind(path, cause)
    case .success(let greeting):
      Log.warning("shim.left_behind", ["pid": greeting.pid])
      let mountpoint = greeting.descriptors.count > 1 ? (try? Region(descriptor: greeting.descriptors[1].number))?.mountpoint : nil
      // Detached first: who has a file open there gets an error when the shim ends, and the path is free at once.
      if let mountpoint, mountpoint.hasPrefix("/") { _ = Mountpoint.detach(mountpoint) }
      let quit = Order.quitFrame()
      // It may have ended with its mount already: no signal for us then.
      _ = send(socket.number, quit, quit.count, Int32(MSG_NOSIGNAL))
      for attempt in 0..<300 where Hello.isAlive(greeting.who) {
        if attempt == 200 { kill(greeting.pid, SIGKILL) }
        usleep(5000)
      }
      return Hello.isAlive(greeting.who) ? .leftBehind(path, .noAnswer(Errno(ETIMEDOUT))) : nil
    }
  }
}
