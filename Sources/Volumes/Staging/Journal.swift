import Core
import Glibc
import Synchronization
import Telemetry
import Volume

/// The list of staged items on disk, for restarts. It holds recipients, so only its owner may read it (0600); no token,
/// no link and no secret is ever written to it.
///
/// Every call waits for the disk: worker threads only. `JournalQueue` owns the journal and sees to the order; the
/// journal owns the connection to SQLite, behind a lock.
final class Journal: Sendable {
  struct Contents: Sendable, Equatable {
    var origins = StagedItems.Origins()
    /// By rising sequence number.
    var items: [Item] = []
    /// The recipients of earlier staging, the last one first.
    var recipients: [String] = []
    struct Item: Sendable, Equatable {
      var entry: StagedEntry
      var order: UInt64
      /// Unstaged while open: its readers may still be there.
      var isLeaving = false
      var isPinned = false
    }
  }

  static let schema: Int64 = 5
  /// The times of files staged for recipients are remembered for so many stagings.
  static let dates: UInt64 = 200_000
  /// So many recipients are remembered.
  static let recipients = 20
  let path: String
  private let connection: Mutex<Connection>
  private struct Connection: ~Copyable {
    /// nil: it is closed, or could not be opened again.
    var database: SQLite?
    var isClosed = false
  }

  /// Opens the journal, or makes it, and reads it.
  /// - Parameter wall: nanoseconds since 1970, for a new one.
  static func open(path: String, wall: Int64) -> Result<(journal: Journal, contents: Contents), StagingError> {
    do throws(SQLiteError) {
      try prepareFile(path)
      let journal = Journal(path: path, try SQLite(path: path))
      let found = try journal.connection.withLock { connection throws(SQLiteError) in
        try connection.database?.readingJournal(wall: wall)
      }
      switch found {
      case .contents(let contents)?: return .success((journal, contents))
      case .newer(let version)?:
        return .failure(
          .failed(
            "\(path) was written by a newer version (schema \(version), this one knows \(schema)): update fsmvp, or "
              + "move it away"
          ))
      case .damaged?, nil: return .failure(damaged(path))
      }
    } catch {
      if error.isDamage { return .failure(damaged(path)) }
      if error.isBusy { return .failure(.failed("\(path) is in use by another fsmvp: stop that one first")) }
      return .failure(.failed("\(path), the list of staged items, cannot be opened: \(error.message)"))
    }
  }

  private init(path: String, _ database: consuming sending SQLite) {
    self.path = path
    connection = Mutex(Connection(database: database))
  }

  private static func damaged(_ path: String) -> StagingError {
    .failed("\(path), the list of staged items, is damaged: move it away to start with an empty list")
  }

  /// SQLite would make it readable to all; its other files take over the mode of this one.
  private static func prepareFile(_ path: String) throws(SQLiteError) {
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard descriptor >= 0 else { throw SQLiteError(code: 0, message: "\(Errno.current)") }
    _ = fchmod(descriptor, 0o600)
    Glibc.close(descriptor)
  }

  // MARK: Writing

  /// Writes all parts as one transaction; where that fails, each as its own, so that none keeps the others out.
  /// - Returns: for each part, why it could not be written; nothing of it was, then.
  func write(_ parts: [[JournalChange]]) -> [SQLiteError?] {
    guard write(Array(parts.joined())) != nil else { return parts.map { _ in nil } }
    return parts.map { write($0) }
  }

  private func write(_ changes: [JournalChange]) -> SQLiteError? {
    connection.withLock { connection in
      do throws(SQLiteError) {
        try restore(&connection)
        try connection.database?.writeJournal(changes)
        return nil
      } catch {
        return error
      }
    }
  }

  // MARK: Files that were removed

  /// Puts the list's files back if they were removed, moved, emptied or replaced.
  /// - Returns: why that failed.
  func restore() -> SQLiteError? {
    connection.withLock { connection in
      do throws(SQLiteError) {
        try restore(&connection)
        return nil
      } catch {
        return error
      }
    }
  }

  private func restore(_ connection: inout Connection) throws(SQLiteError) {
    guard !connection.isClosed else { throw SQLiteError(code: 0, message: "it is closed") }
    guard connection.database != nil else { return try reopen(&connection) }
    guard connection.database?.hasMoved == true || Self.isEmpty(path) || access(path + "-wal", F_OK) != 0 else {
      return
    }
    // The connection still has the files that were removed, so it can write down all that was in them.
    let copy = path + ".new"
    unlink(copy)
    try Self.makeFolder(of: path)
    try Self.prepareFile(copy)
    try connection.database?.run("VACUUM INTO ?", [.text(copy)])
    guard rename(copy, path) == 0 else { throw SQLiteError(code: 0, message: "\(Errno.current)") }
    // The end of a connection removes the write-ahead log by its name, so it comes before there is another.
    connection.database = nil
    unlink(path + "-wal")
    try reopen(&connection)
  }

  private func reopen(_ connection: inout Connection) throws(SQLiteError) {
    let database = try SQLite(path: path)
    try database.useAlone()
    // Makes the write-ahead log, whose absence is looked for.
    try database.run("UPDATE origins SET seq = seq")
    connection.database = consume database
    Log.warning(.journalRestored, ["path": path])
  }

  private static func isEmpty(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_size == 0
  }

  private static func makeFolder(of path: String) throws(SQLiteError) {
    let folder = path.split(separator: "/").dropLast()
    for count in folder.indices {
      let parent = "/" + folder[...count].joined(separator: "/")
      guard mkdir(parent, 0o700) != 0, errno != EEXIST, access(parent, F_OK) != 0 else { continue }
      throw SQLiteError(code: 0, message: "the folder \(parent) cannot be made: \(Errno.current)")
    }
  }

  /// The time that the file had when it was staged for the recipient before, if that is remembered; in nanoseconds
  /// since 1970.
  func modified(_ pair: UInt64) -> Int64? {
    connection.withLock { connection in
      var found: Int64?
      try? connection.database?.run("SELECT modified FROM dates WHERE pair = ?", [.integer(Int64(bitPattern: pair))]) {
        found = $0.integer(0)
      }
      return found
    }
  }

  func close() { connection.withLock { $0 = Connection(database: nil, isClosed: true) } }
}
