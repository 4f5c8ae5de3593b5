import Core
import Glibc

/// A fresh folder for one test, 0700, named for its subject and this process.
///
/// The test removes it; what a crashed or killed test process leaves, mounts and the processes that work in the folder
/// included, a guardian takes away: a shell that reads from a socket which only this process holds open, and so is told
/// of its end however it comes.
package enum TestFolder {
  package static func make(_ subject: String) throws -> String {
    _ = guardian
    var template = Array("/tmp/fsmvp-\(subject)-\(getpid())-XXXXXX".utf8CString)
    guard
      let path = template.withUnsafeMutableBufferPointer({
        $0.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
      })
    else {
      throw Errno.current
    }
    return path
  }

  private static let guardian: Void = {
    let mine = "/tmp/fsmvp-[a-z]*-\(getpid())-"
    // It outlives every test: a descriptor it inherited would keep another test's socket open, whose end is then never
    // seen.
    let script = """
      for fd in /proc/self/fd/*; do [ ${fd##*/} -gt 2 ] && eval "exec ${fd##*/}<&-"; done 2>/dev/null
      read line
      for pid in $(pgrep -f \(mine)); do [ $pid = $$ ] || kill -9 $pid; done
      grep -o ' \(mine)[^ ]*' /proc/self/mountinfo | while read mount; do umount -l "$mount"; done
      rm -rf \(mine)*
      """
    var ends: [Int32] = [0, 0]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else { return }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
    // A session of its own: what ends the tests with their terminal or group does not end it.
    var arguments: [UnsafeMutablePointer<CChar>?] =
      (["setsid", "bash", "-c", script] as [String]).map { strdup($0) } + [nil]
    var pid = pid_t()
    posix_spawn(&pid, "/usr/bin/setsid", &actions, nil, &arguments, environ)
    for argument in arguments { free(argument) }
    close(ends[0])
  }()
}
