import Telemetry

/// The versions, operations and answers that are no longer kept, and the blobs that go with them: which buckets have
/// some, and how far the sweep is. It is a value of the commit queue's thread, which calls `work` while it has nothing
/// else to do; each call is a short transaction.
struct BucketCleaner: Sendable {
  /// Rows that a call touches at most, so that a mutation never waits long.
  private static let portion = 200
  /// Versions between two looks at a bucket, so that pruning costs few syncs.
  private static let rhythm: Int64 = 64
  static let keptOperations: Int64 = 10_000
  static let keptConflicts = 1000
  static let keptAnswers = 10_000
  static let answerLife: Int64 = 24 * 3600 * 1_000_000_000

  /// Versions of a bucket that can be read; 0: all.
  private let keptVersions: Int64
  /// Buckets that may have something to prune.
  private var grown: [Int64: BucketRow] = [:]
  /// The part of the blobs that the sweep looks at next; nil: there is no sweep.
  private var part: Int?
  private var swept = 0
  /// A sweep was given up: the next start begins another one.
  private var isUnswept = false

  /// - Parameter sweeps: after a crash.
  init(keptVersions: Int, sweeps: Bool) {
    self.keptVersions = Int64(keptVersions)
    part = sweeps ? 0 : nil
  }

  var isSweeping: Bool { part != nil || isUnswept }
  var hasWork: Bool { part != nil || !grown.isEmpty }

  /// Called with each new version.
  mutating func grew(_ bucket: BucketRow) {
    if bucket.height % Self.rhythm == 0 { grown[bucket.number] = bucket }
  }

  mutating func work(_ database: Database, _ blobs: BlobStore) {
    do throws(DatabaseError) {
      if let bucket = grown.first?.value {
        if try prune(bucket, database, blobs) { grown[bucket.number] = nil }
      } else if let part {
        try sweep(part, database, blobs)
      }
    } catch {
      // A full disk, most likely: with the next versions again.
      if database.isInTransaction { try? database.run("ROLLBACK") }
      grown = [:]
      if part != nil { isUnswept = true }
      part = nil
    }
  }

  // MARK: Pruning

  /// - Returns: whether nothing is left to prune.
  private func prune(_ bucket: BucketRow, _ database: Database, _ blobs: BlobStore) throws(DatabaseError) -> Bool {
    let number = Database.Value.integer(bucket.number)
    let oldest = keptVersions == 0 ? bucket.oldest : max(bucket.oldest, bucket.height - keptVersions + 1)
    try database.run("BEGIN IMMEDIATE")
    try database.run(
      "DELETE FROM operations WHERE bucket = ? AND seq <= ?", [number, .integer(bucket.seq - Self.keptOperations)])
    try database.run(
      "DELETE FROM conflicts WHERE bucket = ?1 AND number NOT IN (SELECT number FROM conflicts WHERE bucket = ?1 ORDER "
        + "BY number DESC LIMIT \(Self.keptConflicts))", [number])
    try database.run(
      "DELETE FROM answers WHERE made < (SELECT max(made) FROM answers) - \(Self.answerLife) OR number <= (SELECT "
        + "max(number) FROM answers) - \(Self.keptAnswers)")
    try database.run("UPDATE buckets SET oldest = max(oldest, ?) WHERE number = ?", [.integer(oldest), number])
    try database.run("DELETE FROM versions WHERE bucket = ? AND height < ?", [number, .integer(oldest)])
    let rows = try database.all(
      "SELECT row, node, blob FROM entries WHERE bucket = ? AND until <= ? LIMIT \(Self.portion)",
      [number, .integer(oldest)]
    ) { (row: $0.integer(0), node: $0.integer(1), blob: $0.isNone(2) ? nil : $0.text(2)) }
    var candidates: [BlobID] = []
    var isAtEnd = rows.count < Self.portion
    for row in rows {
      if let blob = row.blob {
        candidates.append(BlobID(hex: blob))
      } else if try database.first(
        "SELECT 1 FROM entries WHERE bucket = ? AND node = ? AND row != ? LIMIT 1",
        [number, .integer(row.node), .integer(row.row)], { _ in true }) == nil
      {
        // No version has the folder any more, so the rows in it end as well.
        try database.run(
          "UPDATE entries SET until = max(?, since + 1) WHERE row IN (SELECT row FROM entries WHERE bucket = ? AND "
            + "parent = ? AND until = \(BucketSchema.standing) LIMIT \(Self.portion))",
          [.integer(oldest), number, .integer(row.node)])
        if database.changes > 0 { isAtEnd = false }
        // The folder's row stays until those in it are seen to: they are found by it.
        if database.changes == Self.portion { continue }
      }
      try database.run("DELETE FROM entries WHERE row = ?", [.integer(row.row)])
    }
    let gone = try unreferred(candidates, database)
    try database.run("COMMIT")
    blobs.remove(gone)
    return isAtEnd
  }

  private func unreferred(_ blobs: [BlobID], _ database: Database) throws(DatabaseError) -> [BlobID] {
    var gone: [BlobID] = []
    for blob in Set(blobs) {
      let isKept = try database.first("SELECT 1 FROM entries WHERE blob = ? LIMIT 1", [.text(blob.hex)]) { _ in true }
      if isKept == nil { gone.append(blob) }
    }
    return gone
  }

  // MARK: The sweep

  private mutating func sweep(_ part: Int, _ database: Database, _ blobs: BlobStore) throws(DatabaseError) {
    let gone = try unreferred(blobs.blobs(in: part), database)
    blobs.remove(gone)
    swept += gone.count
    self.part = part == 255 ? nil : part + 1
    if part == 255, swept > 0 { Log.info(.bucketsSwept, ["blobs": swept]) }
  }
}
