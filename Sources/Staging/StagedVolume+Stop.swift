import Core
import Telemetry
import Volume

extension StagedVolume {
  /// No more staging; every waiting read and open is answered with EIO; fetches end.
  package func stop() {
    guard !isStopping else { return }
    isStopping = true
    act(tiles.stop())
  }

  /// After the unmount: every file of bytes is unlinked, the journal closed; with `forget` the list of staged items is dropped.
  package func remove(forget: Bool) async {
    stop()
    let isClosed = await wait(atMost: .seconds(3), surroundings) { done in stores.whenAllClosed(done) }
    // The next start sweeps what is left.
    if !isClosed { Log.warning("stores.late") }
    if forget, let error = await journal.write([.removeAll]) { Log.error("journal.failed", ["error": error.message]) }
    await journal.close()
  }
}
