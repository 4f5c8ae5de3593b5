import CWire
import Core
import EventLoop
import Glibc
import Telemetry

/// The queue of all mutations, and the one thread that commits them: in the order of asking, those that wait together
/// in one transaction with one sync, each in a savepoint of its own. One at a time, they need no lock on a bucket, and
/// each finds the version before it. While nothing waits, the thread prunes versions that are not kept, and after a
/// crash sweeps blobs that no version refers to. `BucketStore` owns it; connections' threads wait for their outcomes.
final class CommitQueue: Sendable {
  struct Order: Sendable {
    /// A UUID; nil for a bucket that is to be made.
    var bucket: String?
    var mutation: Mutation
    /// The blobs that it brings, whose folders are not synced yet.
    var uses: [BlobUse] = []
    /// The client, as it calls itself.
    var origin = ""
    /// Its Idempotency-Key, and the request that it stands for.
    var key: String?
    var request = ""
  }

  private final class Job: Sendable {
    let order: Order
    let outcome = Monitor<Outcome?>(nil)
    init(_ order: Order) { self.order = order }
  }

  typealias Outcome = Result<MutationAnswer, BucketError>

  private struct State: Sendable {
    /// The oldest first; at most one for each connection.
    var waiting: [Job] = []
    var isClosed = false
  }

  /// Mutations of one transaction at most.
  private static let batch = 64

  private let state = Monitor(State())
  private let database: Database
  private let blobs: BlobStore
  private let published: @Sendable (_ bucket: String, _ events: [BucketEvent]) -> Void
  private let thread: Monitor<BucketThread?>

  /// - Parameters:
  ///   - published: called on the queue's thread, once the events are durable.
  init(
    _ database: Database, blobs: BlobStore, cleaner: BucketCleaner,
    published: @escaping @Sendable (_ bucket: String, _ events: [BucketEvent]) -> Void
  ) {
    self.database = database
    self.blobs = blobs
    self.published = published
    thread = Monitor(nil)
    let started = BucketThread.start("bucket commits") { [self] in run(cleaner) }
    thread.withLock { $0 = started }
    if started == nil { state.change { $0.isClosed = true } }
  }

  /// Returns once the mutation is durable, or has failed without a trace.
  func commit(_ order: Order) -> Outcome {
    let job = Job(order)
    let isTaken = state.change { state in
      if !state.isClosed { state.waiting.append(job) }
      return !state.isClosed
    }
    guard isTaken else { return .failure(.stopping) }
    return job.outcome.wait { $0 } ?? .failure(.stopping)
  }

  /// Returns once all that waited is done.
  func close() {
    state.change { $0.isClosed = true }
    thread.withLock { $0 }?.join()
  }

  // MARK: The thread

  private func run(_ cleaner: BucketCleaner) {
    var cleaner = cleaner
    while true {
      let isLazy = cleaner.hasWork
      let batch: [Job]? = state.wait(until: isLazy ? Moment(nanoseconds: 0) : nil) { state in
        guard !state.waiting.isEmpty else { return state.isClosed ? [] : nil }
        let batch = Array(state.waiting.prefix(Self.batch))
        state.waiting.removeFirst(batch.count)
        return batch
      }
      guard let batch else {
        cleaner.work(database, blobs)
        continue
      }
      guard !batch.isEmpty else { break }
      for (job, done) in zip(batch, perform(batch)) {
        if case .success(let applied) = done, let bucket = applied.bucket {
          cleaner.grew(bucket)
          if !applied.events.isEmpty { published(bucket.id, applied.events) }
        }
        let outcome = done.map(\.answer)
        job.outcome.change { $0 = outcome }
      }
    }
    try? database.run("UPDATE facts SET value = ? WHERE name = 'is_clean'", [.integer(cleaner.isSweeping ? 0 : 1)])
    // The next start need not read the log.
    try? database.run("PRAGMA wal_checkpoint(TRUNCATE)")
  }

  private func perform(_ batch: [Job]) -> [Result<Applied, BucketError>] {
    do throws(BucketError) {
      try blobs.syncFolders(of: batch.flatMap { $0.order.uses.map(\.blob) })
    } catch {
      let failure = error
      return batch.map { _ in .failure(failure) }
    }
    if batch.contains(where: { !$0.order.uses.isEmpty }) { fsmvp_kill_point("bucket.folder.synced") }
    if batch.count > 1, let done = try? transaction(batch) { return done }
    // One of them that the disk refuses must not keep the others out.
    return batch.map { job in
      do throws(BucketError) {
        return try transaction([job])[0]
      } catch {
        if error.status == 500 { Log.error(.bucketsFailed, ["cause": error.sentence]) }
        return .failure(error)
      }
    }
  }

  private struct Applied {
    var answer: MutationAnswer
    /// The bucket afterwards; nil: nothing was changed.
    var bucket: BucketRow?
    var events: [BucketEvent] = []
  }

  /// - Throws: a failure of the disk; nothing of the jobs was done then.
  private func transaction(_ jobs: [Job]) throws(BucketError) -> [Result<Applied, BucketError>] {
    do throws(BucketError) {
      var done: [Result<Applied, BucketError>] = []
      try sql("BEGIN IMMEDIATE")
      fsmvp_kill_point("bucket.transaction.begun")
      for job in jobs {
        try sql("SAVEPOINT one")
        do throws(BucketError) {
          done.append(.success(try apply(job.order)))
        } catch {
          guard error.status < 500 || error.isOvertaken, database.isInTransaction else { throw error }
          try sql("ROLLBACK TO one")
          done.append(.failure(error))
        }
        try sql("RELEASE one")
      }
      fsmvp_kill_point("bucket.transaction.written")
      try sql("COMMIT")
      fsmvp_kill_point("bucket.transaction.committed")
      return done
    } catch {
      // Fails without harm if SQLite has rolled back by itself already.
      if database.isInTransaction { try? sql("ROLLBACK") }
      throw error
    }
  }

  private func sql(_ statement: String, _ values: [Database.Value] = []) throws(BucketError) {
    do throws(DatabaseError) { try database.run(statement, values) } catch { throw BucketError(error) }
  }

  private func first<Result>(_ sql: String, _ values: [Database.Value], _ make: (Database.Row) -> Result)
    throws(BucketError) -> Result?
  {
    do throws(DatabaseError) { return try database.first(sql, values, make) } catch { throw BucketError(error) }
  }

  private func apply(_ order: Order) throws(BucketError) -> Applied {
    let scope = order.bucket ?? ""
    if let key = order.key, let known = try answer(scope, key, to: order.request) { return Applied(answer: known) }
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let time = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    let applied: Applied
    if case .create(let name) = order.mutation {
      applied = Applied(answer: try create(name, at: time))
    } else {
      guard
        let bucket = try first(
          "SELECT \(BucketRow.columns) FROM buckets WHERE id = ?", [.text(scope)], BucketRow.init)
      else { throw BucketError(404, "Bucket not found: \(scope)") }
      var writer = MutationWriter(database, bucket: bucket, origin: order.origin, now: time)
      let answer = try writer.carryOut(order.mutation)
      let isChanged = writer.bucket.height != bucket.height
      applied = Applied(answer: answer, bucket: isChanged ? writer.bucket : nil, events: writer.events)
    }
    guard let key = order.key else { return applied }
    try sql(
      "INSERT INTO answers (bucket, key, request, status, body, etag, made) VALUES (?, ?, ?, ?, ?, ?, ?)",
      [
        .text(scope), .text(key), .text(order.request), .integer(Int64(applied.answer.status)),
        .text(String(decoding: applied.answer.body, as: UTF8.self)), applied.answer.etag.map { .text($0) } ?? .none,
        .integer(time),
      ])
    return applied
  }

  /// The first answer to a request that is repeated; nil: it is the first.
  /// - Throws: 422 if the key was another request's.
  private func answer(_ scope: String, _ key: String, to request: String) throws(BucketError) -> MutationAnswer? {
    let known = try first(
      "SELECT request, status, body, etag FROM answers WHERE bucket = ? AND key = ?", [.text(scope), .text(key)]
    ) { row in
      var answer = MutationAnswer(status: Int(row.integer(1)), body: Array(row.text(2).utf8))
      answer.etag = row.isNone(3) ? nil : row.text(3)
      return (request: row.text(0), answer: answer)
    }
    guard let known else { return nil }
    guard known.request == request else {
      throw BucketError(422, "The Idempotency-Key was used for another request; choose a new one")
    }
    return known.answer
  }

  private static let mostBuckets = 100_000

  private func create(_ name: String, at time: Int64) throws(BucketError) -> MutationAnswer {
    let count = try first("SELECT count(*) FROM buckets", []) { $0.integer(0) } ?? 0
    guard count < Self.mostBuckets else { throw BucketError(409, "There are \(count) buckets, which is the most") }
    let id = BucketID.make()
    let link = ContentHash.of("bucket \(id) \(time)").hex
    try sql(
      "INSERT INTO buckets (id, name, made, height, oldest, link, seq, modified) VALUES (?, ?, ?, 0, 0, ?, 0, ?)",
      [.text(id), .text(name), .integer(time), .text(link), .integer(time)])
    try sql(
      "INSERT INTO versions SELECT number, 0, link, made FROM buckets WHERE id = ?", [.text(id)])
    var answer = MutationAnswer([
      ("bucket_id", .text(id)), ("name", .text(name)), ("created_at", .text(BucketTime.text(time))),
    ])
    answer.status = 201
    return answer
  }
}
