import CLinux
import Core
import EventLoop
import Glibc
import Telemetry

/// Keeps the runtime folder of a running control plane in order: what a cleaner of temporary files takes from it is put
/// back, and so is the folder. `ControlPlane` owns it; it decides on the dispatch loop, and the folder is touched on
/// worker threads.
@DispatchLoop
final class RuntimeKeeper {
  /// Between two looks where nothing tells of a change.
  private static let period: Duration = .seconds(5)

  private let folder: String
  /// A descriptor of the folder; its flock is ours.
  private(set) var lock: Int32
  /// Called after each look, for the files that are others' to put back.
  private let restore: @DispatchLoop () async -> Void
  private var timer: LoopTimer?
  private var removals: Int32 = -1
  private var poll: LoopPoll?
  private var isLooking = false
  private var isDue = false
  private var isClosed = false
  /// The fault that was said last: one that lasts is found at each look, and said once.
  private var said: String?

  init(folders: Folders, restore: @escaping @DispatchLoop () async -> Void) {
    folder = folders.runtime
    lock = folders.lock
    self.restore = restore
  }

  func start() {
    timer = try? LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.look() } }
    timer?.start(after: Self.period, every: Self.period)
    watch()
  }

  /// The folder is left as it is from now on.
  func close() {
    isClosed = true
    timer?.close()
    unwatch()
  }

  private func watch() {
    unwatch()
    // Without one (there is a limit on them) the timer's looks have to do.
    removals = clinux_watch_removals(folder)
    guard removals >= 0 else { return }
    poll = try? LoopPoll(removals, on: .dispatch) { [weak self] _ in
      DispatchLoop.assumeIsolated {
        guard let self, self.removals >= 0 else { return }
        clinux_drain(self.removals)
        self.look()
      }
    }
    poll?.start(.readable)
  }

  private func unwatch() {
    poll?.close()
    poll = nil
    if removals >= 0 { Glibc.close(removals) }
    removals = -1
  }

  private func look() {
    guard !isClosed else { return }
    // A change that comes while one look is under way needs another one.
    guard !isLooking else {
      isDue = true
      return
    }
    isLooking = true
    Task { @DispatchLoop in
      repeat {
        isDue = false
        await lookOnce()
      } while isDue && !isClosed
      isLooking = false
    }
  }

  private func lookOnce() async {
    let (folder, lock) = (folder, lock)
    let finding = await withCheckedContinuation { continuation in
      EventLoop.dispatch.background({ Self.mend(folder, lock) }) { continuation.resume(returning: $0) }
    }
    switch finding {
    case .stands: break
    case .remade(let fresh):
      guard !isClosed else {
        Glibc.close(fresh)
        return
      }
      Log.warning(.runtimeRestored, ["folder": folder, "cause": "the folder was removed"])
      Glibc.close(lock)
      self.lock = fresh
      watch()
    case .failed(let sentence):
      if !isClosed, sentence != said { Log.error(.runtimeNotRestored, ["cause": sentence]) }
      said = sentence
      return
    }
    said = nil
    if !isClosed { await restore() }
  }

  private enum Finding: Sendable {
    case stands
    /// There is a new folder, with its lock.
    case remade(Int32)
    case failed(String)
  }

  /// A worker thread's.
  private nonisolated static func mend(_ folder: String, _ lock: Int32) -> Finding {
    var ours = stat()
    var named = stat()
    var finding = Finding.stands
    if fstat(lock, &ours) != 0 || lstat(folder, &named) != 0 || ours.st_dev != named.st_dev
      || ours.st_ino != named.st_ino
    {
      // Elsewhere by now, or gone. The name may lead through a link.
      if stat(folder, &named) != 0 || ours.st_dev != named.st_dev || ours.st_ino != named.st_ino {
        do throws(StartError) { try Folders.makeRuntime(folder) } catch { return .failed(error.sentence) }
        let fresh = clinux_open(folder, O_RDONLY | O_DIRECTORY, 0)
        guard fresh >= 0 else { return .failed("the folder \(folder) cannot be opened: \(Errno.current)") }
        guard flock(fresh, LOCK_EX | LOCK_NB) == 0 else {
          Glibc.close(fresh)
          return .failed(
            "another process holds \(folder), which was removed and made anew; stop it, or stop this one (pid "
              + "\(getpid()))"
          )
        }
        finding = .remade(fresh)
      }
    }
    if access("\(folder)/lock", F_OK) != 0, let error = Folders.notePID(in: folder) {
      return .failed("\(folder)/lock cannot be written: \(error)")
    }
    return finding
  }
}
