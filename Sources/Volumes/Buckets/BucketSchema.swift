import CLinux
import Core
import Glibc

/// The tables of the bucket database: made, brought to this version, or refused. It is a pure function of the file,
/// called before the server starts, on a thread that may wait.
///
/// `entries` has a row for each name of each version that is kept: `since` is the height that made it, `until` the one
/// that ended it. `parent` is the node of its folder (0: the root), `node` its own, which stays when it is renamed and
/// is never used again. A row of a folder that was removed or moved is closed or replaced; those below it are not
/// touched, because they are found through it. `operations` has what happened, for those who follow a bucket. `answers`
/// has the first answer to a request with an Idempotency-Key.
enum BucketSchema {
  static let version: Int64 = 1
  /// The value of `until` of a row that stands.
  static let standing = Int64.max

  enum Failure: Error, Equatable {
    /// Has a later schema than ours.
    case newer(Int64)
    case damaged
    case failed(String)
  }

  /// Larger files are not read whole at the start; damage in them is found by the request that meets it.
  private static let checked = 16 << 20

  /// Opens the database with its tables; makes it if it is missing.
  static func open(path: String) throws(Failure) -> Database {
    let descriptor = clinux_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard descriptor >= 0 else { throw .failed("\(path) cannot be opened: \(Errno.current)") }
    var about = stat()
    fstat(descriptor, &about)
    // SQLite would make it readable to all; its other files take over the mode of this one.
    _ = fchmod(descriptor, 0o600)
    close(descriptor)
    do throws(DatabaseError) {
      let database = try Database(path: path)
      try database.run("PRAGMA journal_mode = WAL")
      try database.run("PRAGMA synchronous = FULL")
      let found = try database.first("PRAGMA user_version") { $0.integer(0) } ?? 0
      guard (0...version).contains(found) else { throw DatabaseError(code: newer, message: "\(found)") }
      if found == 0 { try create(in: database) }
      if about.st_size <= checked {
        let verdict = try database.first("PRAGMA quick_check(1)") { $0.text(0) }
        guard verdict == "ok" else { throw DatabaseError(code: 11, message: verdict ?? "") }
      }
      return database
    } catch {
      if error.code == newer { throw .newer(Int64(error.message) ?? 0) }
      if error.isDamage { throw .damaged }
      throw .failed("\(path) cannot be opened: \(error.message)")
    }
  }

  /// No code of SQLite.
  private static let newer: Int32 = -1

  private static func create(in database: Database) throws(DatabaseError) {
    try database.run("BEGIN IMMEDIATE")
    for statement in tables { try database.run(statement) }
    try database.run("PRAGMA user_version = \(version)")
    try database.run("COMMIT")
  }

  private static let tables = [
    """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO facts VALUES ('next_node', 1), ('is_clean', 1)",
    """
    CREATE TABLE buckets (
      number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, made INTEGER NOT NULL,
      height INTEGER NOT NULL CHECK (height >= 0), oldest INTEGER NOT NULL CHECK (oldest <= height),
      link TEXT NOT NULL, seq INTEGER NOT NULL, modified INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX buckets_by_name ON buckets (name)",
    """
    CREATE TABLE versions (
      bucket INTEGER NOT NULL, height INTEGER NOT NULL, link TEXT NOT NULL, made INTEGER NOT NULL,
      PRIMARY KEY (bucket, height)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX versions_by_link ON versions (bucket, link)",
    """
    CREATE TABLE entries (
      row INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, parent INTEGER NOT NULL, name TEXT NOT NULL,
      node INTEGER NOT NULL, is_folder INTEGER NOT NULL CHECK (is_folder IN (0, 1)),
      size INTEGER NOT NULL CHECK (size >= 0), modified INTEGER NOT NULL, blob TEXT,
      since INTEGER NOT NULL, until INTEGER NOT NULL CHECK (until > since),
      CHECK (is_folder = (blob IS NULL))
    ) STRICT
    """,
    "CREATE INDEX entries_by_name ON entries (bucket, parent, name, since)",
    "CREATE UNIQUE INDEX entries_standing ON entries (bucket, parent, name) WHERE until = \(standing)",
    "CREATE INDEX entries_by_node ON entries (bucket, node)",
    "CREATE INDEX entries_by_blob ON entries (blob) WHERE blob IS NOT NULL",
    "CREATE INDEX entries_gone ON entries (bucket, until) WHERE until < \(standing)",
    """
    CREATE TABLE operations (
      bucket INTEGER NOT NULL, seq INTEGER NOT NULL, height INTEGER NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL,
      source TEXT, etag TEXT, is_folder INTEGER NOT NULL, origin TEXT NOT NULL, made INTEGER NOT NULL,
      PRIMARY KEY (bucket, seq)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE conflicts (
      number INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, path TEXT NOT NULL, conflict_path TEXT NOT NULL,
      height INTEGER NOT NULL, origin TEXT NOT NULL, made INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX conflicts_by_bucket ON conflicts (bucket, number)",
    """
    CREATE TABLE answers (
      number INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL,
      status INTEGER NOT NULL, body TEXT NOT NULL, etag TEXT, made INTEGER NOT NULL, UNIQUE (bucket, key)
    ) STRICT
    """,
  ]
}
