import Core
import EventLoop
import Telemetry
import Volume

extension StagedVolume {
  /// No more staging; every waiting read and open is answered with EIO; fetches end.
  package func stop() {
    guard !isStopping else { return }
    isStopping = true
    act(tiles.stop())
    room.stop()
    for body in whenMade.values.joined() { body(.failed(.io, "fsmvp is stopping")) }
    whenMade = [:]
  }

  /// After the unmount: every file of bytes is unlinked, the journal closed; with `forget` the list of staged items is dropped.
  package func remove(forget: Bool) async {
    stop()
    let isClosed = await wait(atMost: .seconds(3), surroundings) { done in stores.whenAllClosed { self.unlinkAll(then: done) } }
    // The next start sweeps what is left.
    if !isClosed { Log.warning("stores.late") }
    if forget, let error = await journal.write([.removeAll]) { Log.error("journal.failed", ["error": error.message]) }
    await journal.close()
  }

  /// Also what an earlier run left and nobody opened. After a start that failed halfway, somebody may still be reading them.
  private func unlinkAll(then done: @escaping @DispatchLoop () -> Void) {
    guard hasBegun else { return done() }
    let leftovers = surroundings.leftovers
    EventLoop.dispatch.background({ leftovers.unlink(leftovers.files()) }, then: { _ in done() })
  }
}
