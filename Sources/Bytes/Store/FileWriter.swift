import Core
import EventLoop
import Glibc

/// Writes buffers to files on worker threads: at most two jobs at a time in the process, so that a disk that stands
/// still leaves libuv's other threads free; buffers that follow each other in a file go as one job; bytes that a reader
/// waits for go first. `FetchBudget` owns the one of the process; its queues are the transfer loop's, and a chunk's
/// buffer is a worker's while it is written.
@TransferLoop
final class FileWriter {
  /// A buffer's bytes on their way into a store's file.
  struct Chunk {
    let store: SparseStore
    let buffer: UnsafeMutableRawPointer
    let range: ByteRange
  }

  nonisolated static let jobsAtOnce = 2
  /// Buffers of one job.
  nonisolated static let batch = 8

  private var urgent: [Chunk] = []
  private var ordinary: [Chunk] = []
  private var jobs = 0

  nonisolated init() {}

  var isIdle: Bool { jobs == 0 && urgent.isEmpty && ordinary.isEmpty }

  func add(_ chunk: Chunk, isUrgent: Bool) {
    if isUrgent { urgent.append(chunk) } else { ordinary.append(chunk) }
    startJobs()
  }

  /// Takes back what is queued for `store` and not yet being written.
  func withdraw(_ store: SparseStore) -> [Chunk] {
    let chunks = (urgent + ordinary).filter { $0.store === store }
    urgent.removeAll { $0.store === store }
    ordinary.removeAll { $0.store === store }
    return chunks
  }

  private func startJobs() {
    while jobs < Self.jobsAtOnce, let batch = nextBatch() { start(batch) }
  }

  private func nextBatch() -> [Chunk]? {
    guard let first = urgent.first ?? ordinary.first else { return nil }
    if urgent.isEmpty { ordinary.removeFirst() } else { urgent.removeFirst() }
    var batch = [first]
    func extend(_ queue: inout [Chunk]) {
      var index = 0
      while index < queue.count, batch.count < Self.batch {
        if let last = batch.last, queue[index].store === first.store, queue[index].range.start == last.range.end {
          batch.append(queue.remove(at: index))
        } else {
          index += 1
        }
      }
    }
    extend(&urgent)
    extend(&ordinary)
    return batch
  }

  private func start(_ batch: [Chunk]) {
    guard let first = batch.first else { return }
    jobs += 1
    let store = first.store
    let burst = store.writesBegan()
    let parts = batch.map { iovec(iov_base: $0.buffer, iov_len: Int($0.range.count)) }
    let job = WriteJob(descriptor: store.descriptor, offset: first.range.start, parts: parts, rule: store.sums.rule)
    EventLoop.transfer.background {
      job.run()
    } then: { result in
      self.jobs -= 1
      // The next job goes to the disk before the readers are told.
      self.startJobs()
      if let sums = try? result.get() { store.know(sums) }
      store.writesEnded(batch, burst: burst, error: result.failure)
    }
  }
}

extension Result {
  fileprivate var failure: Failure? { if case .failure(let error) = self { error } else { nil } }
}

/// One pwritev, repeated until all is written; then the sums of what is still in the processor's cache, which takes a
/// tenth of the time of the write and a fifth of that of reading it back later.
// SAFETY: from `run` to its end the buffers belong to the job's thread; the loop gets them back with the result.
private struct WriteJob: @unchecked Sendable {
  let descriptor: Int32
  let offset: Int64
  let parts: [iovec]
  let rule: SumsRule?

  /// Everything is in the file, and these are sums of its blocks.
  func run() -> Result<BlockSums, Errno> {
    if let error = write() { return .failure(error) }
    return .success(rule?.sums(of: parts, at: offset) ?? BlockSums())
  }

  /// nil: everything is in the file.
  private func write() -> Errno? {
    var parts = parts[...]
    var offset = offset
    while !parts.isEmpty {
      let count = parts.withUnsafeBufferPointer { pwritev(descriptor, $0.baseAddress, Int32($0.count), off_t(offset)) }
      if count < 0 {
        let error = Errno.current
        if error.code == EINTR { continue }
        return error
      }
      // A regular file that takes nothing and names no reason will not take more by asking again.
      guard count > 0 else { return .io }
      offset += Int64(count)
      var rest = count
      while let part = parts.first, rest >= part.iov_len {
        rest -= part.iov_len
        parts.removeFirst()
      }
      if rest > 0, var part = parts.first {
        part.iov_base += rest
        part.iov_len -= rest
        parts[parts.startIndex] = part
      }
    }
    return nil
  }
}
