import CLinux
import Core
import EventLoop
import Glibc
import Telemetry
import Wire

/// The first step of a start without shims to adopt: it looks at /dev/fuse and the mount point, detaches dead mounts
/// and makes the socket, all on worker threads, and starts no shim.
extension ShimHost {
  /// A folder to mount on, with nothing of ours left on it or elsewhere, and a socket to listen on.
  func prepare(_ start: Start) async throws(ShimHostError) -> OwnedDescriptor {
    guard socketPath.utf8.count <= 107 else { throw .runtimePathTooLong(socketPath) }
    let (path, socket) = (options.mountpoint, socketPath)
    let first = await onWorker { () -> Result<Mountpoint.Finding, ShimHostError> in
      if access("/dev/fuse", R_OK | W_OK) != 0 { return .failure(.noDevice) }
      return Mountpoint.examine(path).mapError { .mountpoint(path, $0) }
    }
    switch try first.get() {
    case .ready(let resolved): locate(start, at: resolved)
    case .mountOfOurType(let resolved, let source):
      locate(start, at: resolved)
      switch await life(of: resolved) {
      case .alive: throw .mountpoint(resolved, .ours)
      case nil: throw .mountpoint(resolved, .hung)
      case .dead: break
      }
      guard source == options.fsname else { throw .mountpoint(resolved, .deadMount(of: source, at: resolved)) }
      Log.warning(.mountStale, ["path": resolved])
      let second = await onWorker { () -> Result<Mountpoint.Finding, MountpointFault> in
        if let fault = Mountpoint.detach(resolved, source: source) { return .failure(fault) }
        return Mountpoint.examine(resolved)
      }
      if case .failure(let fault) = second { throw .mountpoint(resolved, fault) }
    }
    await detachElsewhere()
    try goOn(start)
    start.isListening = true
    let listened = await onWorker { () -> Result<OwnedDescriptor, ShimHostError> in
      // The lock of the folder is ours, so the process that made that socket is dead.
      unlink(socket)
      let descriptor = clinux_listen(socket)
      return descriptor >= 0 ? .success(OwnedDescriptor(descriptor)) : .failure(.socket(socket, .current))
    }
    return try listened.get()
  }

  /// Dead mounts of this instance where another setting had them.
  private func detachElsewhere() async {
    let (own, source) = (mountpoint, options.fsname)
    let others = await onWorker {
      MountTable.current().entries.filter { $0.type == Mountpoint.type && $0.source == source && $0.mountpoint != own }
        .map(\.mountpoint)
    }
    for path in Set(others).sorted() {
      let life = await life(of: path)
      guard life == .dead else {
        Log.warning(
          .mountLeft, ["path": path, "cause": "it has this instance's name and is not dead, so it is left as it is"])
        // The look at it holds one of four threads from now on; another one like it would not be worth that.
        if life == nil { return }
        continue
      }
      let fault = await onWorker { Mountpoint.detach(path, source: source) }
      Log.warning(.mountStale, ["path": path, "cause": fault?.description ?? "the setting mountpoint has changed"])
    }
  }

  /// Probes the path; nil if that takes more than two seconds. Its thread then stays until the mount's process answers
  /// or ends.
  private func life(of path: String) async -> Mountpoint.Life? {
    await withCheckedContinuation { (continuation: CheckedContinuation<Mountpoint.Life?, Never>) in
      var waiting: CheckedContinuation<Mountpoint.Life?, Never>? = continuation
      let timer = try? LoopTimer(on: EventLoop.dispatch) {
        waiting?.resume(returning: nil)
        waiting = nil
      }
      timer?.start(after: .seconds(2))
      EventLoop.dispatch.background({ Mountpoint.probe(path) }) { life in
        timer?.close()
        waiting?.resume(returning: life)
        waiting = nil
      }
    }
  }
}
