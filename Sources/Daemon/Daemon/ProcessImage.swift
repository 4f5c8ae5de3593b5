import CLinux
import ControlClient
import Core
import Glibc

/// The running program, executed anew in place (`fsmvp reload`). It has no state: `ControlPlane`, which calls it on the
/// dispatch loop, hands over what the next image needs. It touches the environment, the descriptors and the signal mask
/// of the process, and waits for nothing but the exec.
enum ProcessImage {
  /// Replaces the process's image: same pid, same command line, same environment less what is secret, the lock still
  /// held. Everything else that is open is closed. Comes back only where it could not, and then nothing has changed.
  /// - Parameters:
  ///   - secrets: what was taken out of the environment; the next image gets it in a memory file.
  static func replace(by path: String = Installation.path, handing handover: Handover, secrets: StartSecrets) -> Errno {
    let file: Int32?
    do throws(Errno) { file = try secrets.file() } catch { return error }
    defer { if let file { close(file) } }
    var variables: [UnsafeMutablePointer<CChar>?] = []
    var variable = clinux_environment()
    while let text = variable?.pointee {
      variables.append(strdup(text))
      variable = variable?.advanced(by: 1)
    }
    variables.append(strdup("\(Handover.variable)=\(handover.text)"))
    if let file { variables.append(strdup("\(StartSecrets.descriptorVariable)=\(file)")) }
    defer { for text in variables { free(text) } }
    // Libraries open descriptors of their own, not all of them close-on-exec. Without effect where the exec fails:
    // children get theirs by name.
    guard clinux_close_on_exec_from(3) == 0, clinux_set_close_on_exec(handover.lock, 0) == 0 else { return .current }
    if let file, clinux_set_close_on_exec(file, 0) != 0 { return .current }
    var none = sigset_t()
    var before = sigset_t()
    sigemptyset(&none)
    // execve keeps the signal mask but resets handlers, so the mask is emptied for it.
    pthread_sigmask(SIG_SETMASK, &none, &before)
    execve(path, CommandLine.unsafeArgv, variables + [nil])
    let error = Errno.current
    pthread_sigmask(SIG_SETMASK, &before, nil)
    _ = clinux_set_close_on_exec(handover.lock, 1)
    return error
  }
}
