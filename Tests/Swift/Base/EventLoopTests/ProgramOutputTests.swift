import Core
import Glibc
import Testing

@testable import EventLoop

@Suite("A program's output", .timeLimit(.minutes(10)))
struct ProgramOutputTests {
  @DispatchLoop
  private func output(_ script: String, within limit: Duration = .seconds(30)) async -> Result<String, ProgramFailure> {
    await EventLoop.dispatch.output(of: "/bin/sh", ["-c", script], within: limit)
  }

  init() { EventLoop.start() }

  @Test("is what it wrote before it ended well")
  func good() async {
    #expect(await output("echo 2; echo 3 >&2") == .success("2\n"))
    #expect(await output("true") == .success(""))
  }

  @Test("is none where it ended badly, was killed, or is not there")
  func bad() async {
    #expect(await output("echo 2; exit 3") == .failure(.ended(.exited(3))))
    #expect(await output("kill -9 $$") == .failure(.ended(.signalled(SIGKILL))))
    guard case .failure(.notStarted) = await Self.missing() else {
      Issue.record("a program that is not there was started")
      return
    }
  }

  @DispatchLoop
  private static func missing() async -> Result<String, ProgramFailure> {
    await EventLoop.dispatch.output(of: "/nonexistent", [], within: .seconds(30))
  }

  @Test("is not waited for beyond the limit, nor for what the program left running")
  func limit() async {
    #expect(await output("exec sleep 600", within: .milliseconds(50)) == .failure(.tookTooLong))
    #expect(await output("echo 2; sleep 1 2>/dev/null & exit 0") == .success("2\n"))
  }
}
