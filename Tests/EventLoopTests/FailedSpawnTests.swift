import CUV
import Core
import Glibc
import Testing

@testable import EventLoop

@Suite struct FailedSpawnTests {
  /// A program that could not be started left its handle, freed, in the loop's list; the next ones wrote into whatever memory came to lie there.
  @Test("a program that cannot be started leaves the loop with the handles it had")
  func failedSpawn() async throws {
    EventLoop.start()
    try await check()
  }

  @DispatchLoop
  private func check() async throws {
    func handles() -> Int {
      var count = 0
      uv_walk(EventLoop.dispatch.loop, { @Sendable _, count in count?.assumingMemoryBound(to: Int.self).pointee += 1 }, &count)
      return count
    }
    let before = handles()
    for _ in 0..<100 {
      #expect(throws: LoopError.self) { _ = try LoopProcess("/nowhere/program", arguments: [], on: EventLoop.dispatch) { _ in } }
    }
    // Each is libuv's to give back, so each is still there: memory of ours in the list would be one place, listed again and again.
    #expect(handles() == before + 100)
    // Other tests come and go with some handles of their own. Closed ones leave the list in the next turn of the loop.
    var turns = 0
    while handles() > before + 50, turns < 200 {
      turns += 1
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(handles() <= before + 50)
  }
}
