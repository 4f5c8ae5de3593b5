import CLinux
import Glibc

/// State that one image of the control plane leaves to the next (`fsmvp reload`), in a variable of the exec's
/// environment. It is a value; the lock's descriptor goes from one image to the next.
struct Handover: Equatable {
  static let variable = "FSMVP_RELOAD"

  /// The runtime folder's lock. Its flock belongs to this open file: a second open would not get it.
  var lock: Int32
  /// How many images there were before in this process.
  var reloads: Int

  var text: String { "\(lock):\(reloads)" }

  init(lock: Int32, reloads: Int) {
    self.lock = lock
    self.reloads = reloads
  }

  /// - Returns: nil for anything that `text` does not give.
  init?(_ text: String) {
    let numbers = text.split(separator: ":", omittingEmptySubsequences: false).map { Int32($0) }
    guard numbers.count == 2, let lock = numbers[0], let reloads = numbers[1], lock > 2, reloads > 0 else { return nil }
    self.init(lock: lock, reloads: Int(reloads))
  }

  /// Takes the variable out of the environment; before any thread or child is there.
  static func take() -> Handover? {
    guard let value = getenv(variable) else { return nil }
    let handover = Handover(String(cString: value))
    unsetenv(variable)
    return handover
  }

  /// The lock, where it really is the file at `path` and locked by us; close-on-exec from then on.
  func takeLock(at path: String) -> Int32? {
    var ours = stat()
    var named = stat()
    guard fstat(lock, &ours) == 0, stat(path, &named) == 0, ours.st_dev == named.st_dev, ours.st_ino == named.st_ino,
      flock(lock, LOCK_EX | LOCK_NB) == 0, clinux_set_close_on_exec(lock, 1) == 0
    else { return nil }
    return lock
  }
}
