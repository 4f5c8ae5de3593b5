/// Carries out a mutation within an open transaction: finds what it is about, checks it, changes rows, and makes the
/// next version. An error leaves rows behind that the caller rolls back. `CommitQueue` makes one for each mutation, on
/// its thread; the value's state is that version.
struct MutationWriter {
  let database: Database
  let origin: String
  /// Nanoseconds since 1970.
  let now: Int64
  private(set) var bucket: BucketRow
  /// The events of the next version.
  private(set) var events: [BucketEvent] = []
  /// Why the first of several files was refused.
  var firstFailure: String?

  init(_ database: Database, bucket: BucketRow, origin: String, now: Int64) {
    self.database = database
    self.bucket = bucket
    self.origin = origin
    self.now = now
  }

  /// The height of the version that is being made.
  private var height: Int64 { bucket.height + 1 }

  // MARK: Finding

  /// The entry that stands at the path, and the folder that it is in.
  private struct Place {
    /// The node of the folder; nil: it is missing.
    var folder: Int64?
    /// Names of the path that are there, from the root.
    var depth: Int
    var entry: BucketEntry?
  }

  /// - Throws: 409 if a name on the way is a file's.
  private func place(_ path: BucketPath) throws(BucketError) -> Place {
    var folder: Int64 = 0
    for (index, name) in path.names.enumerated() {
      let entry = try standing(name, in: folder)
      if index == path.names.count - 1 { return Place(folder: folder, depth: index, entry: entry) }
      guard let entry else { return Place(folder: nil, depth: index, entry: nil) }
      guard entry.isFolder else { throw .conflict("Not a directory: \(path.prefix(index + 1).shown)") }
      folder = entry.node
    }
    return Place(folder: folder, depth: 0, entry: BucketEntry(rootOf: bucket))
  }

  private func standing(_ name: BucketName, in folder: Int64) throws(BucketError) -> BucketEntry? {
    try run { () throws(DatabaseError) in
      try database.first(
        "SELECT \(BucketEntry.columns) FROM entries WHERE bucket = ? AND parent = ? AND name = ? AND until = "
          + "\(BucketSchema.standing)",
        [.integer(bucket.number), .integer(folder), .text(name.text)], BucketEntry.init)
    }
  }

  private func isEmpty(_ folder: Int64) throws(BucketError) -> Bool {
    try run { () throws(DatabaseError) in
      try database.first(
        "SELECT 1 FROM entries WHERE bucket = ? AND parent = ? AND until = \(BucketSchema.standing) LIMIT 1",
        [.integer(bucket.number), .integer(folder)]
      ) { _ in true } == nil
    }
  }

  private func run<Result>(_ body: () throws(DatabaseError) -> Result) throws(BucketError) -> Result {
    do throws(DatabaseError) { return try body() } catch { throw BucketError(error) }
  }

  // MARK: Changing rows

  private func insert(_ name: BucketName, in folder: Int64, node: Int64?, size: Int64, modified: Int64, blob: BlobID?)
    throws(BucketError) -> Int64
  {
    try run { () throws(DatabaseError) in
      var node = node
      if node == nil {
        node = try database.first("UPDATE facts SET value = value + 1 WHERE name = 'next_node' RETURNING value - 1") {
          $0.integer(0)
        }
      }
      guard let node else { throw DatabaseError(code: 11, message: "the number of the next node is missing") }
      try database.run(
        "INSERT INTO entries (bucket, parent, name, node, is_folder, size, modified, blob, since, until) VALUES "
          + "(?, ?, ?, ?, ?, ?, ?, ?, ?, \(BucketSchema.standing))",
        [
          .integer(bucket.number), .integer(folder), .text(name.text), .integer(node), .integer(blob == nil ? 1 : 0),
          .integer(size), .integer(modified), blob.map { .text($0.hex) } ?? .none, .integer(height),
        ])
      return node
    }
  }

  /// Ends the row with this version. One that was made by this version leaves no trace.
  private func end(_ entry: BucketEntry) throws(BucketError) {
    try run { () throws(DatabaseError) in
      if entry.since == height {
        try database.run("DELETE FROM entries WHERE row = ?", [.integer(entry.row)])
      } else {
        try database.run("UPDATE entries SET until = ? WHERE row = ?", [.integer(height), .integer(entry.row)])
      }
    }
  }

  /// The entries of the folder changed. Times of folders are those of the head, in all versions.
  private mutating func touch(_ folder: Int64) throws(BucketError) {
    guard folder != 0 else {
      bucket.modified = now
      return
    }
    try run { () throws(DatabaseError) in
      try database.run(
        "UPDATE entries SET modified = ? WHERE bucket = ? AND node = ? AND until = \(BucketSchema.standing)",
        [.integer(now), .integer(bucket.number), .integer(folder)])
    }
  }

  private mutating func note(
    _ kind: BucketEvent.Kind, _ path: BucketPath, from source: BucketPath? = nil, etag: String? = nil, isFolder: Bool
  ) {
    events.append(
      BucketEvent(
        seq: bucket.seq + Int64(events.count) + 1, height: height, kind: kind, path: path.text, source: source?.text,
        etag: etag, isFolder: isFolder, origin: origin))
  }

  /// The folder of that path, made with all that lead to it where it is missing.
  private mutating func folder(_ path: BucketPath) throws(BucketError) -> Int64 {
    var folder: Int64 = 0
    for (index, name) in path.names.enumerated() {
      let here = path.prefix(index + 1)
      if let entry = try standing(name, in: folder) {
        guard entry.isFolder else { throw .conflict("Not a directory: \(here.shown)") }
        folder = entry.node
      } else {
        try touch(folder)
        folder = try insert(name, in: folder, node: nil, size: 0, modified: now, blob: nil)
        note(.mkdir, here, isFolder: true)
      }
    }
    return folder
  }

  // MARK: The mutations

  /// A file at the path, in place of the one that is there.
  mutating func put(_ path: BucketPath, _ blob: BlobID, size: Int64) throws(BucketError) {
    guard !path.isRoot else { throw .conflict("Is a directory: /") }
    let old = try place(path).entry
    guard old?.isFolder != true else { throw .conflict("Is a directory: \(path.shown)") }
    let parent = try folder(path.parent)
    if let old { try end(old) }
    _ = try insert(path.name, in: parent, node: old?.node, size: size, modified: now, blob: blob)
    try touch(parent)
    note(.add, path, etag: blob.hex, isFolder: false)
  }

  /// The file that stands at a path, without a complaint of one that is missing.
  /// - Throws: 409 if a folder is there, or a file on the way.
  func file(at path: BucketPath) throws(BucketError) -> BucketEntry? {
    guard !path.isRoot else { throw .conflict("Is a directory: /") }
    let entry = try place(path).entry
    guard entry?.isFolder != true else { throw .conflict("Is a directory: \(path.shown)") }
    return entry
  }

  mutating func makeFolder(_ path: BucketPath) throws(BucketError) {
    guard try place(path).entry == nil else { throw .conflict("Already exists: \(path.shown)") }
    _ = try folder(path)
  }

  mutating func delete(_ path: BucketPath, isRecursive: Bool, _ precondition: Precondition) throws(BucketError) {
    guard !path.isRoot else { throw .invalid("The root cannot be deleted") }
    let place = try place(path)
    guard let entry = place.entry, let parent = place.folder else { throw .notFound(path) }
    guard precondition.holds(for: entry.etag ?? "") else { throw .preconditionFailed }
    if !isRecursive, entry.isFolder, try !isEmpty(entry.node) {
      throw .conflict("Directory is not empty: \(path.shown)")
    }
    try end(entry)
    try touch(parent)
    note(.remove, path, isFolder: entry.isFolder)
  }

  /// - Parameter isFile: a folder is refused.
  mutating func move(_ source: BucketPath, to target: BucketPath, overwrites: Bool, isFile: Bool) throws(BucketError) {
    guard !source.isRoot, !target.isRoot else { throw .invalid("The root cannot be moved") }
    let from = try place(source)
    guard let entry = from.entry, let old = from.folder else { throw .notFound(source) }
    guard !target.isInside(source) else { throw .invalid("Cannot move \(source.shown) into itself") }
    guard !isFile || !entry.isFolder else { throw .conflict("Is a directory: \(source.shown)") }
    if let other = try place(target).entry {
      guard overwrites else { throw .conflict("Already exists: \(target.shown)") }
      guard other.isFolder == entry.isFolder else {
        throw .conflict("\(other.isFolder ? "Is a directory" : "Not a directory"): \(target.shown)")
      }
      // An ancestor of the source is never empty.
      if other.isFolder, try !isEmpty(other.node) { throw .conflict("Directory is not empty: \(target.shown)") }
      try end(other)
    }
    let parent = try folder(target.parent)
    try end(entry)
    _ = try insert(
      target.name, in: parent, node: entry.node, size: entry.size, modified: entry.modified, blob: entry.blob)
    try touch(old)
    try touch(parent)
    note(.mv, target, from: source, etag: entry.etag, isFolder: entry.isFolder)
  }

  /// Notes that an upload went beside the file that it was meant for.
  func noteConflict(_ path: BucketPath, beside other: BucketPath) throws(BucketError) {
    try run { () throws(DatabaseError) in
      try database.run(
        "INSERT INTO conflicts (bucket, path, conflict_path, height, origin, made) VALUES (?, ?, ?, ?, ?, ?)",
        [
          .integer(bucket.number), .text(path.text), .text(other.text), .integer(height), .text(origin), .integer(now),
        ])
    }
  }

  // MARK: The version

  /// Makes the version, with a link that names it and all before it.
  mutating func finish() throws(BucketError) {
    var text = bucket.link
    for event in events {
      text += "\n\(event.kind.rawValue) \(event.path)\n\(event.source ?? "")\n\(event.etag ?? "")"
    }
    let link = ContentHash.of(text + "\n\(height) \(now)").hex
    bucket.seq += Int64(events.count)
    bucket.height = height
    bucket.link = link
    let (bucket, events) = (bucket, events)
    try run { () throws(DatabaseError) in
      for event in events {
        try database.run(
          "INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          [
            .integer(bucket.number), .integer(event.seq), .integer(event.height), .text(event.kind.rawValue),
            .text(event.path), event.source.map { .text($0) } ?? .none, event.etag.map { .text($0) } ?? .none,
            .integer(event.isFolder ? 1 : 0), .text(event.origin), .integer(now),
          ])
      }
      try database.run(
        "INSERT INTO versions VALUES (?, ?, ?, ?)",
        [.integer(bucket.number), .integer(bucket.height), .text(link), .integer(now)])
      try database.run(
        "UPDATE buckets SET height = ?, link = ?, seq = ?, modified = ? WHERE number = ?",
        [
          .integer(bucket.height), .text(link), .integer(bucket.seq), .integer(bucket.modified),
          .integer(bucket.number),
        ])
    }
  }
}
