import CShim
import CWire
import Foundation
import Glibc
import Testing

@Suite struct ProcessLifeTests {
  let own = fsmvp_process_id(getpid())

  private func child() throws -> pid_t {
    var pid: pid_t = 0
    let arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("600"), nil]
    defer { for argument in arguments { free(argument) } }
    try #require(posix_spawnp(&pid, "sleep", nil, nil, arguments, environ) == 0)
    return pid
  }

  @Test("a process has ended only on proof: no such number, another start time, or a zombie without threads")
  func proof() throws {
    #expect(own != 0 && fsmvp_process_life(own) == FSMVP_LIFE_RUNS)
    #expect(fsmvp_process_life(fsmvp_pack(fsmvp_low(own), fsmvp_generation(own) &+ 1)) == FSMVP_LIFE_ENDED)
    for number: UInt32 in [0, 1 << 31, .max] { #expect(fsmvp_process_life(fsmvp_pack(number, 7)) == FSMVP_LIFE_ENDED) }
    let pid = try child()
    let who = fsmvp_process_started(pid)
    #expect(fsmvp_process_life(who) == FSMVP_LIFE_RUNS)
    kill(pid, SIGKILL)
    var about = siginfo_t()
    #expect(waitid(P_PID, id_t(pid), &about, WEXITED | WNOWAIT) == 0)
    #expect(fsmvp_process_life(who) == FSMVP_LIFE_ENDED, "a zombie")
    #expect(waitpid(pid, nil, 0) == pid)
    #expect(fsmvp_process_life(who) == FSMVP_LIFE_ENDED)
  }

  @Test("a watch ends with the process, and not before")
  func watching() throws {
    let pid = try child()
    var watch = watch()
    watch_begin(&watch, fsmvp_process_started(pid))
    #expect(!watch_wait(&watch, 20))
    #expect(watch.pidfd >= 0)
    // A descriptor that cannot be waited on is no sign of a death: /proc is asked.
    close(watch.pidfd)
    watch.pidfd = 1 << 20
    #expect(!watch_wait(&watch, 20))
    #expect(watch_kill(&watch) == 0)
    #expect(watch_wait(&watch, 20_000))
    watch_end(&watch)
    #expect(waitpid(pid, nil, 0) == pid)
    #expect(watch_wait(&watch, 0) && watch.pidfd == -1)
    #expect(watch_kill(&watch) < 0)
  }

  @Test("a number that another process has by now is not waited for, and not killed")
  func recycled() throws {
    let pid = try child()
    var watch = watch()
    watch_begin(&watch, fsmvp_process_started(pid) &- 1 << 32)
    #expect(watch_wait(&watch, 20_000))
    watch_end(&watch)
    #expect(watch_kill(&watch) < 0)
    #expect(kill(pid, SIGKILL) == 0 && waitpid(pid, nil, 0) == pid)
  }
}

@Suite struct ProgressTests {
  private final class Threads {
    var workers = [progress](repeating: progress(), count: 2)
    var completion = progress()
    var seen = progress_seen()
    func isMade() -> Bool { progress_is_made(workers, 2, &completion, &seen) }
    func isMade(_ count: Int) -> [Bool] { (0..<count).map { _ in isMade() } }
  }

  @Test("threads that wait for something to do are well, however long")
  func idle() {
    let threads = Threads()
    #expect(threads.isMade(5) == [true, true, true, true, true])
  }

  @Test("one worker that is stuck is borne while another waits or ends requests; both are a hung shim")
  func stuck() {
    let threads = Threads()
    progress_begins(&threads.workers[0])
    #expect(threads.isMade(3) == [true, true, true])
    progress_begins(&threads.workers[1])
    #expect(threads.isMade(2) == [false, false])
    progress_step(&threads.workers[1])
    #expect(threads.isMade(2) == [true, false], "it ended one and began the next")
    progress_rests(&threads.workers[0])
    #expect(threads.isMade(2) == [true, true])
  }

  @Test("a long walk of the completion thread is progress, one request that never ends is not")
  func completion() {
    let threads = Threads()
    progress_begins(&threads.completion)
    #expect(threads.isMade() == false)
    for _ in 0..<3 {
      progress_step(&threads.completion)
      #expect(threads.isMade())
    }
    #expect(!threads.isMade())
    progress_rests(&threads.completion)
    #expect(threads.isMade(2) == [true, true])
  }
}

@Suite struct LogTests {
  @Test("a full queue of log lines drops and counts, and whoever logs waits for nothing that takes them")
  func bounded() throws {
    let scratch = try Scratch()
    var lines: [String] = []
    // A link that never comes for its lines.
    log_link {}
    defer { log_link(nil) }
    for number in 0..<1000 {
      var said: UInt64 = 0
      trace_hostile(scratch.region, &said, false, "LogTests \(number)")
    }
    var line = log_line()
    while log_take(&line) {
      lines.append(withUnsafeBytes(of: &line.text) { String(decoding: $0.prefix(Int(line.length)), as: UTF8.self) })
    }
    let ours = lines.filter { $0.contains("LogTests") }
    #expect(!ours.isEmpty && ours.count <= 128)
    #expect(lines.contains { $0.hasSuffix("log lines were dropped, the queue was full") })
  }
}
