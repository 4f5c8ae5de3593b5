/// A version of a bucket, as it is read: the head, or an older one that is still kept. Each call is a short read of the
/// database on the caller's thread; the rows of a version do not change, so that calls belong together. It is a value
/// with the store behind it.
struct BucketView: Sendable {
  /// The version that a request names by `at`.
  enum Reference: Sendable, Equatable {
    case height(Int64)
    /// 64 hex digits.
    case link(String)

    /// - Throws: 400.
    init(_ text: String) throws(BucketError) {
      if BlobID.isHash(text) {
        self = .link(text)
      } else if let height = Int64(text), height >= 0 {
        self = .height(height)
      } else {
        throw .invalid("Bad request: `at` has to be a link's hash of 64 hex digits, or a height")
      }
    }
  }

  let store: BucketStore
  /// The bucket at the look; its height may be above that of the view.
  let bucket: BucketRow
  let height: Int64
  let link: BucketLink

  var isHead: Bool { height == bucket.height }

  init(_ store: BucketStore, bucket id: String, at reference: Reference? = nil) throws(BucketError) {
    self.store = store
    let found = try store.readers.read { (database) throws(BucketError) in
      do throws(DatabaseError) {
        let bucket = try database.first(
          "SELECT \(BucketRow.columns) FROM buckets WHERE id = ?", [.text(id)], BucketRow.init)
        guard let bucket, let reference else { return (bucket, Int64?.none, "") }
        let number = Database.Value.integer(bucket.number)
        let version =
          switch reference {
          case .height(let height):
            try database.first(
              "SELECT height, link FROM versions WHERE bucket = ? AND height = ?", [number, .integer(height)]
            ) { ($0.integer(0), $0.text(1)) }
          case .link(let link):
            try database.first(
              "SELECT height, link FROM versions WHERE bucket = ? AND link = ?", [number, .text(link)]
            ) { ($0.integer(0), $0.text(1)) }
          }
        return (bucket, version?.0, version?.1 ?? "")
      } catch {
        throw BucketError(error)
      }
    }
    guard let bucket = found.0 else { throw BucketError(404, "Bucket not found: \(id)") }
    self.bucket = bucket
    guard reference != nil else {
      height = bucket.height
      link = bucket.version
      return
    }
    guard let height = found.1 else {
      throw BucketError(404, "Version not found: the bucket keeps those from height \(bucket.oldest) on")
    }
    self.height = height
    link = BucketLink(codec: .version, hash: found.2)
  }

  // MARK: Entries

  /// - Throws: 404.
  func entry(_ path: BucketPath) throws(BucketError) -> BucketEntry {
    var entry = BucketEntry(rootOf: bucket)
    for name in path.names {
      guard entry.isFolder, let next = try child(name, of: entry.node) else { throw .notFound(path) }
      entry = next
    }
    return entry
  }

  /// - Throws: 404, and 409 for a folder.
  func file(_ path: BucketPath) throws(BucketError) -> (entry: BucketEntry, blob: BlobID) {
    let entry = try entry(path)
    guard let blob = entry.blob else { throw .conflict("Is a directory: \(path.shown)") }
    return (entry, blob)
  }

  private func child(_ name: BucketName, of folder: Int64) throws(BucketError) -> BucketEntry? {
    try read { (database) throws(DatabaseError) in
      try database.first(
        "SELECT \(BucketEntry.columns) FROM entries WHERE bucket = ? AND parent = ? AND name = ? AND since <= ? AND "
          + "until > ? ORDER BY since DESC LIMIT 1",
        [.integer(bucket.number), .integer(folder), .text(name.text), .integer(height), .integer(height)],
        BucketEntry.init)
    }
  }

  /// A part of a folder's entries, by name.
  /// - Throws: 404 if the version is no longer kept: the part would have gaps.
  func children(of folder: Int64, after name: BucketName?, limit: Int) throws(BucketError) -> [BucketEntry] {
    let (entries, oldest) = try read { (database) throws(DatabaseError) in
      let entries = try database.all(
        "SELECT \(BucketEntry.columns) FROM entries WHERE bucket = ? AND parent = ? AND name > ? AND since <= ? AND "
          + "until > ? ORDER BY name LIMIT ?",
        [
          .integer(bucket.number), .integer(folder), .text(name?.text ?? ""), .integer(height), .integer(height),
          .integer(Int64(limit)),
        ], BucketEntry.init)
      // Looked at afterwards: rows go only after it has risen.
      let oldest = try database.first("SELECT oldest FROM buckets WHERE number = ?", [.integer(bucket.number)]) {
        $0.integer(0)
      }
      return (entries, oldest ?? 0)
    }
    guard height >= oldest else { throw BucketError(404, "Version not found: it was given up meanwhile") }
    return entries
  }

  private func read<Result>(_ body: (Database) throws(DatabaseError) -> Result) throws(BucketError) -> Result {
    try store.readers.read { (database) throws(BucketError) in
      do throws(DatabaseError) { return try body(database) } catch { throw BucketError(error) }
    }
  }
}
