import CSQLite
import Synchronization

/// An error of SQLite, in its words.
struct DatabaseError: Error, Sendable, Equatable {
  var code: Int32
  var message: String

  /// The file is no database, or a broken one.
  var isDamage: Bool { code & 0xff == SQLITE_CORRUPT || code & 0xff == SQLITE_NOTADB }
  /// Another process has it.
  var isBusy: Bool { code & 0xff == SQLITE_BUSY || code & 0xff == SQLITE_LOCKED }
  /// The disk is full. The second code is SQLITE_IOERR_SHMSIZE, which Swift does not import: no room for the file that
  /// readers and writer share.
  var isFull: Bool { code & 0xff == SQLITE_FULL || code == 4874 }
  var isShortage: Bool { code & 0xff == SQLITE_NOMEM || code & 0xff == SQLITE_CANTOPEN }
}

/// One connection to the database of the buckets. Statements are prepared once. Every call waits for the disk: threads
/// of the bucket server only. The connection is behind a lock; `BucketStore` owns one to write with, `ReaderPool` those
/// to read with.
final class Database: Sendable {
  enum Value: Sendable {
    case integer(Int64)
    case text(String)
    case none
  }

  /// A row of an answer, valid during the call that hands it over.
  struct Row {
    fileprivate let statement: OpaquePointer
    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }
    func isNone(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }
    func text(_ column: Int32) -> String {
      guard let bytes = sqlite3_column_text(statement, column) else { return "" }
      let count = Int(sqlite3_column_bytes(statement, column))
      return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    }
  }

  private struct Connection: ~Copyable {
    let database: OpaquePointer
    var statements: [String: OpaquePointer] = [:]

    init(database: OpaquePointer) { self.database = database }

    deinit {
      for statement in statements.values { sqlite3_finalize(statement) }
      sqlite3_close_v2(database)
    }

    mutating func prepared(_ sql: String) throws(DatabaseError) -> OpaquePointer {
      if let statement = statements[sql] { return statement }
      var made: OpaquePointer?
      try check(sqlite3_prepare_v3(database, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &made, nil))
      guard let made else { throw DatabaseError(code: SQLITE_MISUSE, message: "an empty statement") }
      statements[sql] = made
      return made
    }

    func check(_ code: Int32) throws(DatabaseError) {
      guard code != SQLITE_OK else { return }
      throw DatabaseError(code: code, message: String(cString: sqlite3_errmsg(database)))
    }
  }

  private let connection: Mutex<Connection>

  /// Opens a file that is there.
  init(path: String) throws(DatabaseError) {
    var opened: OpaquePointer?
    let code = sqlite3_open_v2(path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nil)
    guard code == SQLITE_OK, let opened else {
      let error = DatabaseError(
        code: code, message: opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory")
      sqlite3_close_v2(opened)
      throw error
    }
    // A reader may meet the writer at a checkpoint for a moment; another program that looks, for longer.
    sqlite3_busy_timeout(opened, 5000)
    nonisolated(unsafe) let database = opened
    connection = Mutex(Connection(database: database))
  }

  /// Runs one statement, with `values` for its question marks.
  /// - Parameter take: gets each row; it may not use this connection.
  func run(_ sql: String, _ values: [Value] = [], row take: (Row) -> Void = { _ in }) throws(DatabaseError) {
    try connection.withLock { connection throws(DatabaseError) in
      let statement = try connection.prepared(sql)
      defer {
        sqlite3_reset(statement)
        sqlite3_clear_bindings(statement)
      }
      for (index, value) in values.enumerated() {
        let parameter = Int32(truncatingIfNeeded: index + 1)
        switch value {
        case .integer(let number): try connection.check(sqlite3_bind_int64(statement, parameter, number))
        case .text(let text):
          try connection.check(csqlite_bind_text(statement, parameter, text, Int32(clamping: text.utf8.count)))
        case .none: try connection.check(sqlite3_bind_null(statement, parameter))
        }
      }
      while true {
        switch sqlite3_step(statement) {
        case SQLITE_ROW: take(Row(statement: statement))
        case SQLITE_DONE: return
        case let code: try connection.check(code)
        }
      }
    }
  }

  /// The first row as `make` reads it; nil without one.
  func first<Result>(_ sql: String, _ values: [Value] = [], _ make: (Row) -> Result) throws(DatabaseError) -> Result? {
    var found: Result?
    try run(sql, values) { row in if found == nil { found = make(row) } }
    return found
  }

  func all<Result>(_ sql: String, _ values: [Value] = [], _ make: (Row) -> Result) throws(DatabaseError) -> [Result] {
    var found: [Result] = []
    try run(sql, values) { found.append(make($0)) }
    return found
  }

  /// Rows that the last statement changed.
  var changes: Int { connection.withLock { Int(sqlite3_changes($0.database)) } }
  /// Whether a transaction is open; SQLite ends one by itself at some errors.
  var isInTransaction: Bool { connection.withLock { sqlite3_get_autocommit($0.database) == 0 } }
}
