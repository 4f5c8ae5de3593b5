import Core
import EventLoop
import Telemetry

/// The order of the journal's changes: one batch at a time on a worker thread, what comes meanwhile in the next one, as
/// one transaction. So a thousand stagings at once cost a few transactions, and nothing on the dispatch loop waits for
/// a disk. `StagedVolume` owns it.
@DispatchLoop
final class JournalQueue {
  private struct Waiting {
    var changes: [JournalChange]
    /// Called with the write's result; nil if no caller waits for it.
    var written: (@DispatchLoop (SQLiteError?) -> Void)?
  }

  private let journal: Journal
  private var waiting: [Waiting] = []
  private var isWriting = false
  private var whenIdle: [@DispatchLoop () -> Void] = []
  /// The failure of `restore` that was said last.
  private var said: SQLiteError?

  init(_ journal: Journal) { self.journal = journal }

  var path: String { journal.path }

  /// - Returns: why it could not be written; nothing was, then.
  func write(_ changes: [JournalChange]) async -> SQLiteError? {
    await withCheckedContinuation { continuation in
      waiting.append(Waiting(changes: changes) { continuation.resume(returning: $0) })
      next()
    }
  }

  /// The time of a file for a recipient: the one it had before, else `wall`. In nanoseconds since 1970.
  /// - Parameter pair: tells the file, its recipient and its size from others.
  func modified(_ pair: UInt64, wall: Int64) async -> Int64 {
    let journal = journal
    return await withCheckedContinuation { continuation in
      EventLoop.dispatch.background({ journal.modified(pair) ?? wall }) { continuation.resume(returning: $0) }
    }
  }

  /// Records changes that have happened already. A failed write is repeated with the next batch.
  func note(_ changes: [JournalChange]) {
    guard !changes.isEmpty else { return }
    waiting.append(Waiting(changes: changes))
    next()
  }

  /// Puts the list's files back if they were removed.
  /// - Returns: why that failed.
  func restore() async -> SQLiteError? {
    let journal = journal
    let error = await onWorker { journal.restore() }
    if let error, error != said { Log.error(.journalFailed, ["path": journal.path, "cause": error.message]) }
    said = error
    return error
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
        Log.error(.journalFailed, ["path": journal.path, "cause": error.message])
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
