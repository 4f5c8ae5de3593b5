import EventLoop

/// Connections to read the database with, lent to one thread at a time. More are made if all are lent, up to a limit;
/// then a thread waits for one. `BucketStore` owns it; threads of connections use it.
final class ReaderPool: Sendable {
  private static let limit = 8

  private struct State: Sendable {
    var idle: [Database] = []
    var made = 0
  }

  private let path: String
  private let state = Monitor(State())

  init(path: String) { self.path = path }

  /// - Throws: an error of SQLite as `BucketError`, or what `body` throws.
  func read<Result>(_ body: (Database) throws(BucketError) -> Result) throws(BucketError) -> Result {
    let database = try take()
    defer { state.change { $0.idle.append(database) } }
    return try body(database)
  }

  private func take() throws(BucketError) -> Database {
    let lent: Database?? = state.wait { state in
      if let database = state.idle.popLast() { return .some(database) }
      guard state.made < Self.limit else { return nil }
      state.made += 1
      return .some(nil)
    }
    if let database = lent ?? nil { return database }
    do throws(DatabaseError) {
      return try Database(path: path)
    } catch {
      state.change { $0.made -= 1 }
      throw BucketError(error)
    }
  }

  /// Closes those that are idle; a connection that is lent is closed with its last reference.
  func close() { state.change { $0.idle = [] } }
}
