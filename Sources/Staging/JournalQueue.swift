import Core
import EventLoop
import Telemetry

/// The order of the journal's changes: one batch at a time on a worker thread, what comes meanwhile in the next one, as one transaction. So a
/// thousand stagings at once cost a few transactions, and nothing on the dispatch loop waits for a disk.
@DispatchLoop
final class JournalQueue {
  private struct Waiting {
    var changes: [JournalChange]
    /// nil for changes that nobody waits for.
    var written: (@DispatchLoop (SQLiteError?) -> Void)?
  }

  private let journal: Journal
  private var waiting: [Waiting] = []
  private var isWriting = false
  private var whenIdle: [@DispatchLoop () -> Void] = []

  init(_ journal: Journal) { self.journal = journal }

  var path: String { journal.path }

  /// - Returns: why it could not be written; nothing was, then.
  func write(_ changes: [JournalChange]) async -> SQLiteError? {
    await withCheckedContinuation { continuation in
      waiting.append(Waiting(changes: changes) { continuation.resume(returning: $0) })
      next()
    }
  }

  /// Changes that have happened already. What cannot be written now goes with the next batch.
  func note(_ changes: [JournalChange]) {
    guard !changes.isEmpty else { return }
    waiting.append(Waiting(changes: changes))
    next()
  }

  /// After all that is waiting.
  func close() async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let journal = journal
      whenIdle.append { EventLoop.dispatch.background({ journal.close() }, then: { continuation.resume() }) }
      next()
    }
  }

  private func next() {
    guard !isWriting else { return }
    guard !waiting.isEmpty else {
      let idle = whenIdle
      whenIdle = []
      for body in idle { body() }
      return
    }
    isWriting = true
    let batch = waiting
    waiting = []
    let parts = batch.map(\.changes)
    let journal = journal
    EventLoop.dispatch.background({ journal.write(parts) }) { [self] errors in finish(batch, errors) }
  }

  private func finish(_ batch: [Waiting], _ errors: [SQLiteError?]) {
    isWriting = false
    var again: [Waiting] = []
    for (part, error) in zip(batch, errors) {
      if let error {
        Log.error("journal.failed", ["path": journal.path, "error": error.message])
        // Not at once, which would only fail again: with the next change. At the end it is given up.
        if part.written == nil, whenIdle.isEmpty { again.append(part) }
      }
      part.written?(error)
    }
    let hasMore = !waiting.isEmpty || !whenIdle.isEmpty
    waiting = again + waiting
    if hasMore { next() }
  }
}
