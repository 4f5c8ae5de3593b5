import Core
import Glibc
import Synchronization
import Testing

@testable import EventLoop

/// Descriptors kept for what must not fail, the environment of children, and handles forgotten on another thread.
@Suite struct DescriptorTests {
  init() { EventLoop.start() }

  private struct Failed: Error { let code: Int32 }

  @Test(
    "with no descriptor left in the process, a call finds one of the spares, and they are kept again afterwards",
    arguments: [EMFILE, ENFILE])
  func spares(code: Int32) throws {
    let spares = SpareDescriptors(count: 3)
    #expect(spares.available == 3)
    var attempts: [Int] = []
    let value = try spares.call({ (error: Failed) in -error.code }) { () throws(Failed) -> Int in
      attempts.append(spares.available)
      if attempts.count == 1 { throw Failed(code: code) }
      return 7
    }
    #expect(value == 7 && attempts == [3, 0] && spares.available == 3)
  }

  @Test("a call that fails for another reason is not repeated; one that fails twice fails")
  func refusals() {
    let spares = SpareDescriptors(count: 2)
    var calls = 0
    #expect(throws: Failed.self) {
      try spares.call(\.code) { () throws(Failed) in
        calls += 1
        throw Failed(code: EPERM)
      }
    }
    #expect(calls == 1)
    #expect(throws: Failed.self) {
      try spares.call(\.code) { () throws(Failed) in
        calls += 1
        throw Failed(code: EMFILE)
      }
    }
    #expect(calls == 3 && spares.available == 2)
    let result = spares.call {
      errno = EMFILE
      return -1
    }
    #expect(result == -1 && errno == EMFILE && spares.available == 2)
  }

  @Test("the limit of open files is raised to the hard limit")
  func limit() {
    let raised = DescriptorLimit.raise()
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(7), &limit)
    #expect(raised == UInt64(limit.rlim_cur) && limit.rlim_cur == limit.rlim_max)
  }

  @Test(
    "secrets and the service manager's variables are not given to children, whatever they are called",
    arguments: [
      "https_proxy", "HTTP_PROXY", "all_proxy", "FSMVP_CLIENT_SECRET", "FSMVP_CLIENT_ID", "FSMVP_API_BASE",
      "AWS_SECRET_ACCESS_KEY",
      "GITHUB_TOKEN", "NOTIFY_SOCKET", "WATCHDOG_USEC", "SSH_AUTH_SOCK",
    ])
  func secrets(name: String) {
    #expect(!ChildEnvironment.keeps(name, value: "x", isPreloading: false))
    #expect(!ChildEnvironment.keeps(name, value: "x", isPreloading: true))
  }

  @Test("what a child needs is kept; what a preloaded library may need, only beside LD_PRELOAD")
  func kept() {
    for name in [
      "PATH", "LANG", "LC_ALL", "TZ", "LD_PRELOAD", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "FSMVP_KILL_FILE",
    ] {
      #expect(ChildEnvironment.keeps(name, value: "x", isPreloading: false))
    }
    #expect(!ChildEnvironment.keeps("SLOWDISK_SWITCH", value: "/x", isPreloading: false))
    #expect(ChildEnvironment.keeps("SLOWDISK_SWITCH", value: "/x", isPreloading: true))
    #expect(!ChildEnvironment.keeps("UPSTREAM", value: "http://user:password@host", isPreloading: true))
  }

  @Test("a child does not inherit https_proxy with its password") @DispatchLoop
  func child() async throws {
    setenv("https_proxy", "http://user:hunter2@proxy.example:3128", 1)
    defer { unsetenv("https_proxy") }
    let text = try await EventLoop.dispatch.output(of: "/usr/bin/env", [], within: .seconds(60)).get()
    #expect(text.contains("PATH=") && !text.contains("hunter2") && !text.contains("proxy"))
  }

  @Test("timers forgotten on another thread while they fire are closed on their loop, and fire no more")
  func forgotten() async throws {
    let fired = Mutex(0)
    for _ in 0..<200 {
      let timer: Held = try await withCheckedThrowingContinuation { continuation in
        EventLoop.dispatch.post {
          do {
            let timer = try LoopTimer(on: .dispatch) { fired.withLock { $0 += 1 } }
            timer.start(after: .milliseconds(1), every: .milliseconds(1))
            continuation.resume(returning: Held(timer))
          } catch { continuation.resume(throwing: error) }
        }
      }
      // Not on the loop: this is the test's own task.
      #expect(!EventLoop.dispatch.isCurrent)
      timer.forget()
    }
    // Each close was posted before this, and a closed timer fires no more.
    let count = await withCheckedContinuation { continuation in
      EventLoop.dispatch.post { continuation.resume(returning: fired.withLock { $0 }) }
    }
    let later: Int = try await withCheckedThrowingContinuation { continuation in
      EventLoop.dispatch.post {
        var last: LoopTimer?
        do {
          last = try LoopTimer(on: .dispatch) {
            last?.close()
            last = nil
            continuation.resume(returning: fired.withLock { $0 })
          }
          last?.start(after: .milliseconds(20))
        } catch { continuation.resume(throwing: error) }
      }
    }
    #expect(later == count)
  }
}

/// Carries a timer's only reference away from its loop.
// SAFETY: one thread at a time has it, handed over by a continuation.
private final class Held: @unchecked Sendable {
  private var timer: LoopTimer?
  init(_ timer: LoopTimer) { self.timer = timer }
  func forget() { timer = nil }
}
