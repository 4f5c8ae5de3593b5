import Core
import EventLoop

/// One job over sums at a time in the process, the stores in turn: they read files, and libuv's other threads are for
/// work that readers wait for. `FetchBudget` owns the one of the process; the queue is the transfer loop's.
@TransferLoop
final class SumsQueue {
  private var waiting: [SparseStore] = []
  private var isBusy = false

  nonisolated init() {}

  var isIdle: Bool { !isBusy && waiting.isEmpty }

  func add(_ store: SparseStore) {
    waiting.append(store)
    next()
  }

  func forget(_ store: SparseStore) { waiting.removeAll { $0 === store } }

  private func next() {
    while !isBusy, !waiting.isEmpty {
      let store = waiting.removeFirst()
      guard let job = store.nextSumsJob() else { continue }
      isBusy = true
      EventLoop.transfer.background(job.body) { result in
        self.isBusy = false
        job.done(result)
        self.next()
      }
    }
  }
}

/// A worker's job, and the store's closure for its result.
struct SumsJob {
  enum Result: Sendable {
    case written(Errno?)
    case checked([Range<Int>])
  }
  var body: @Sendable () -> Result
  var done: (Result) -> Void
}
