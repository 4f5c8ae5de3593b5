import Core
import OpenFiles
import Telemetry
import Volume

/// The end of the volume. It runs on the dispatch loop; files are unlinked and the journal is closed on other threads.
extension StagedVolume {
  /// No more staging; every waiting read and open is answered with EIO; fetches end.
  package func stop() {
    guard !isStopping else { return }
    isStopping = true
    files.stop(Self.id)
    tag.stop()
    noteBusy()
  }

  /// After the unmount: the files of bytes are unlinked but those of pinned items, and the journal is closed; with
  /// `forget` the list of staged items is dropped, and all bytes with it. After a start that failed halfway, readers of
  /// an earlier run may still have the files, so they stay.
  package func remove(forget: Bool) async {
    stop()
    await files.remove(Self.id, isKept: !forget, sweeps: hasBegun)
    if hasBegun { await tag.remove() }
    if forget, let error = await journal.write([.removeAll]) { Log.error(.journalFailed, ["cause": error.message]) }
    await journal.close()
  }
}
