import CWire
import Glibc
import Testing

@Suite struct ProcessTests {
  @Test("an orphan that nobody reaped was waited for in vain: a zombie is no process")
  func zombie() throws {
    var pid = pid_t()
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("true"), nil]
    defer { free(arguments[0]) }
    try #require(posix_spawn(&pid, "/bin/true", nil, nil, &arguments, nil) == 0)
    var about = siginfo_t()
    try #require(waitid(P_PID, id_t(pid), &about, WEXITED | WNOWAIT) == 0)
    #expect(kill(pid, 0) == 0 && fsmvp_process_id(pid) == 0)
    #expect(waitpid(pid, nil, 0) == pid)
    #expect(fsmvp_low(fsmvp_process_id(getpid())) == UInt32(getpid()))
  }
}
