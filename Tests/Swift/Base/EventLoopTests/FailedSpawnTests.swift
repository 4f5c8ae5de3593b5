import CUV
import Core
import Glibc
import Testing

@testable import EventLoop

@Suite struct FailedSpawnTests {
  @Test("a program that cannot be started leaves the loop with the handles it had")
  func failedSpawn() async throws {
    EventLoop.start()
    try await check()
  }

  @DispatchLoop
  private func check() async throws {
    func handles() -> Int {
      var count = 0
      uv_walk(
        EventLoop.dispatch.loop, { @Sendable _, count in count?.assumingMemoryBound(to: Int.self).pointee += 1 }, &count
      )
      return count
    }
    let before = handles()
    for _ in 0..<100 {
      #expect(throws: LoopError.self) {
        _ = try LoopProcess("/nowhere/program", arguments: [], on: EventLoop.dispatch) { _ in }
      }
    }
    // Other tests come and go with some handles of their own.
    #expect(handles() < before + 50)
  }
}
