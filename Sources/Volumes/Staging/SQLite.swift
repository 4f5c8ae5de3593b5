import CSQLite

/// An error of SQLite, in its words.
struct SQLiteError: Error, Sendable, Equatable {
  var code: Int32
  var message: String

  /// The file is no database, or a broken one.
  var isDamage: Bool { code & 0xff == SQLITE_CORRUPT || code & 0xff == SQLITE_NOTADB }
  /// Another process has it.
  var isBusy: Bool { code & 0xff == SQLITE_BUSY || code & 0xff == SQLITE_LOCKED }
}

/// One connection to a database file. Every call waits for the disk: worker threads only, one at a time. `Journal` owns
/// the value, which closes the file when it goes.
struct SQLite: ~Copyable {
  enum Value: Sendable {
    case integer(Int64)
    case text(String)
  }

  /// A row of an answer, valid during the call that hands it over.
  struct Row {
    fileprivate let statement: OpaquePointer
    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }
    func text(_ column: Int32) -> String {
      guard let bytes = sqlite3_column_text(statement, column) else { return "" }
      let count = Int(sqlite3_column_bytes(statement, column))
      return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    }
  }

  private let database: OpaquePointer

  /// The file was removed, moved or replaced since it was opened: what is written now is lost with this process.
  var hasMoved: Bool {
    var moved: Int32 = 0
    return sqlite3_file_control(database, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0
  }

  /// Opens a file that is there.
  init(path: String) throws(SQLiteError) {
    var opened: OpaquePointer?
    let code = sqlite3_open_v2(path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nil)
    guard code == SQLITE_OK, let opened else {
      let error = SQLiteError(
        code: code, message: opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory")
      sqlite3_close_v2(opened)
      throw error
    }
    database = opened
  }

  deinit { sqlite3_close_v2(database) }

  /// Runs one statement, with `values` for its question marks.
  func run(_ sql: String, _ values: [Value] = [], row take: (Row) -> Void = { _ in }) throws(SQLiteError) {
    var prepared: OpaquePointer?
    try check(sqlite3_prepare_v2(database, sql, -1, &prepared, nil))
    defer { sqlite3_finalize(prepared) }
    guard let statement = prepared else { return }
    for (index, value) in values.enumerated() {
      let parameter = Int32(truncatingIfNeeded: index + 1)
      switch value {
      case .integer(let number): try check(sqlite3_bind_int64(statement, parameter, number))
      case .text(let text): try check(csqlite_bind_text(statement, parameter, text, Int32(clamping: text.utf8.count)))
      }
    }
    while true {
      switch sqlite3_step(statement) {
      case SQLITE_ROW: take(Row(statement: statement))
      case SQLITE_DONE: return
      case let code: try check(code)
      }
    }
  }

  /// All of `body`, or nothing of it.
  func transaction(_ body: () throws(SQLiteError) -> Void) throws(SQLiteError) {
    try run("BEGIN IMMEDIATE")
    do {
      try body()
      try run("COMMIT")
    } catch {
      // Fails without harm if SQLite has rolled back by itself already.
      try? run("ROLLBACK")
      throw error
    }
  }

  private func check(_ code: Int32) throws(SQLiteError) {
    guard code != SQLITE_OK else { return }
    throw SQLiteError(code: code, message: String(cString: sqlite3_errmsg(database)))
  }
}
