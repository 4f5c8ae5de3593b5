/// The list of buckets, and what is listed of one: versions, conflicts, operations. They are reads on the caller's
/// thread.
extension BucketStore {
  /// The newest first.
  /// - Parameter prefix: of the name, byte by byte.
  func buckets(prefix: String, limit: Int) throws(BucketError) -> [BucketRow] {
    try rows { (database) throws(DatabaseError) in
      try database.all(
        "SELECT \(BucketRow.columns) FROM buckets WHERE substr(name, 1, length(?1)) = ?1 ORDER BY number DESC LIMIT ?2",
        [.text(prefix), .integer(Int64(limit))], BucketRow.init)
    }
  }

  func buckets(named name: String) throws(BucketError) -> [BucketRow] {
    try rows { (database) throws(DatabaseError) in
      try database.all("SELECT \(BucketRow.columns) FROM buckets WHERE name = ?", [.text(name)], BucketRow.init)
    }
  }

  fileprivate func rows<Result>(_ body: (Database) throws(DatabaseError) -> Result) throws(BucketError) -> Result {
    try readers.read { (database) throws(BucketError) in
      do throws(DatabaseError) { return try body(database) } catch { throw BucketError(error) }
    }
  }
}

extension BucketView {
  struct Version: Equatable {
    var height: Int64
    var link: String
    var made: Int64
  }

  /// The newest first.
  func versions(skipping: Int64, limit: Int64) throws(BucketError) -> [Version] {
    try store.rows { (database) throws(DatabaseError) in
      try database.all(
        "SELECT height, link, made FROM versions WHERE bucket = ? AND height <= ? ORDER BY height DESC LIMIT ?",
        [.integer(bucket.number), .integer(bucket.height - skipping), .integer(limit)]
      ) { Version(height: $0.integer(0), link: $0.text(1), made: $0.integer(2)) }
    }
  }

  struct Conflict: Equatable {
    var path: String
    /// The bytes that came later lie there.
    var other: String
    var height: Int64
    var origin: String
    var made: Int64
  }

  /// The newest first.
  func conflicts() throws(BucketError) -> [Conflict] {
    try store.rows { (database) throws(DatabaseError) in
      try database.all(
        "SELECT path, conflict_path, height, origin, made FROM conflicts WHERE bucket = ? ORDER BY number DESC LIMIT "
          + "\(BucketCleaner.keptConflicts)", [.integer(bucket.number)]
      ) { row in
        Conflict(
          path: row.text(0), other: row.text(1), height: row.integer(2), origin: row.text(3), made: row.integer(4))
      }
    }
  }

  /// The events behind `seq`, the oldest first.
  /// - Returns: nil if some of them are no longer kept, or `seq` is not of this bucket's past.
  func events(after seq: Int64, limit: Int) throws(BucketError) -> [BucketEvent]? {
    guard seq <= bucket.seq else { return nil }
    let events = try store.rows { (database) throws(DatabaseError) in
      try database.all(
        "SELECT seq, height, kind, path, source, etag, is_folder, origin FROM operations WHERE bucket = ? AND seq > ? "
          + "ORDER BY seq LIMIT ?", [.integer(bucket.number), .integer(seq), .integer(Int64(limit))]
      ) { row in
        BucketEvent(
          seq: row.integer(0), height: row.integer(1), kind: BucketEvent.Kind(rawValue: row.text(2)) ?? .add,
          path: row.text(3), source: row.isNone(4) ? nil : row.text(4), etag: row.isNone(5) ? nil : row.text(5),
          isFolder: row.integer(6) != 0, origin: row.text(7))
      }
    }
    guard let first = events.first else { return seq == bucket.seq ? [] : nil }
    return first.seq == seq + 1 ? events : nil
  }
}
