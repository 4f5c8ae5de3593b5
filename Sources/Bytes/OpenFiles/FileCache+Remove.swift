import Core
import EventLoop
import Telemetry
import Volume

/// The end of a volume's files on the disk. It runs on the dispatch loop, which waits for stores to close; the files
/// are unlinked on the thread of deletions.
extension FileCache {
  /// After the unmount: unlinks every file of the volume's bytes but those of pinned files.
  /// - Parameters:
  ///   - isKept: false: the pinned files' go as well.
  ///   - sweeps: false after a start that failed halfway: readers of an earlier run may still have the files.
  package func remove(_ volume: VolumeID, isKept: Bool, sweeps: Bool) async {
    let deadline = clock.now() + .seconds(3)
    let isClosed = await wait(atMost: .seconds(3), alarm) { done in whenAllClosed(done) }
    // The next start sweeps what is left.
    if !isClosed { Log.warning(.storesLate) }
    guard sweeps else { return }
    let kept = isKept ? await pinnedFiles(of: volume) : []
    let leftovers = leftovers
    let isSwept = await wait(atMost: max(.zero, deadline - clock.now()), alarm) { done in
      SerialThread.deletion.run(on: .dispatch) {
        leftovers.unlink(leftovers.files(of: volume).filter { !kept.contains($0.with(.bytes)) })
      } then: { _ in
        DispatchLoop.assumeIsolated { done() }
      }
    }
    if !isSwept { Log.warning(.cacheLate) }
  }

  /// The files of the volume's bytes that a stop keeps.
  private func pinnedFiles(of volume: VolumeID) async -> Set<BytesFile> {
    var kept: Set<BytesFile> = []
    var from: UInt64? = 0
    while let node = from {
      let part = keeper.kept(volume, from: node, limit: Self.looksAStep)
      kept.formUnion(part.files)
      from = part.next
      await pause()
    }
    return kept
  }

  private static let looksAStep = 512
}
