import CLinux
import Core
import Glibc

/// This process's program on disk, and how it is executed anew in place.
enum Image {
  /// As found at the start: after an upgrade by rename, /proc/self/exe would name a file that is gone.
  static let path: String = {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    return String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }()

  /// Beside this program, whatever link it was called by.
  static let shimPath = folder + "/fsmvp-shim"
  /// Where the programs that belong to this one are.
  static let folder = path.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }

  /// Replaces the process's image: same pid, same command line, same environment, the lock still held. Everything else that is open is closed.
  /// Comes back only where it could not, and then nothing has changed.
  /// - Parameters:
  ///   - secret: the variable FSMVP_CLIENT_SECRET as we got it; it is in our environment no more.
  static func replace(by path: String = path, handing handover: Handover, secret: Redacted<String>?) -> Errno {
    var variables: [UnsafeMutablePointer<CChar>?] = []
    var variable = clinux_environment()
    while let text = variable?.pointee {
      variables.append(strdup(text))
      variable = variable?.advanced(by: 1)
    }
    variables.append(strdup("\(Handover.variable)=\(handover.text)"))
    if let secret { variables.append(strdup("\(Service.secretVariable)=\(secret.reveal())")) }
    defer {
      for text in variables {
        if let text { memset(text, 0, strlen(text)) }
        free(text)
      }
    }
    // Libraries open descriptors of their own, not all of them close-on-exec. Without effect where the exec fails: children get theirs by name.
    guard clinux_close_on_exec_from(3) == 0, clinux_set_close_on_exec(handover.lock, 0) == 0 else { return .current }
    var none = sigset_t()
    var before = sigset_t()
    sigemptyset(&none)
    // What is blocked stays blocked across an exec; handlers do not stay.
    pthread_sigmask(SIG_SETMASK, &none, &before)
    execve(path, CommandLine.unsafeArgv, variables + [nil])
    let error = Errno.current
    pthread_sigmask(SIG_SETMASK, &before, nil)
    _ = clinux_set_close_on_exec(handover.lock, 1)
    return error
  }
}

/// What one image of the control plane leaves to the next (`fsmvp reload`), in a variable of the exec's environment.
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
