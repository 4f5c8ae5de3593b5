import Core
import Volume

/// The journal's tables.
///
/// `origins` has one row: the next sequence number, when the journal was made, when the entries of `Staged` last
/// changed, and the next generation of stores. `items` has a row for each item that a restart is to bring back; `shown`
/// is its place in the order of staging, 0 while its tileRef is 0. A row is `leaving` from the moment its item is
/// unstaged until the last reader closed it: it keeps no new item of that name out. `pinned` ones are fetched and kept.
/// `recipients` has those that files were staged for last; the highest `used` is the latest. `dates` has the time of
/// each file for a recipient, by a hash of both and of the size, also after the item has gone: staged again it has the
/// same time.
///
/// The functions run on worker threads, under the lock of `Journal`, which owns the connection.
extension SQLite {
  enum JournalFound {
    case contents(Journal.Contents)
    /// The journal has a later schema than ours.
    case newer(Int64)
    /// Something in it cannot have been written by us.
    case damaged
  }

  /// Rules of the connection.
  func useAlone() throws(SQLiteError) {
    // No other process is to write it meanwhile; also, it then needs no shared memory file.
    try run("PRAGMA locking_mode = EXCLUSIVE")
    try run("PRAGMA journal_mode = WAL")
    // Survives any death of ours. A power failure may cost the last stagings, and the mount with them.
    try run("PRAGMA synchronous = NORMAL")
  }

  func readingJournal(wall: Int64) throws(SQLiteError) -> JournalFound {
    try useAlone()
    var version: Int64 = 0
    try run("PRAGMA user_version") { version = $0.integer(0) }
    guard (0...Journal.schema).contains(version) else { return .newer(version) }
    switch version {
    case 0: try createJournal(wall: wall)
    case 1: try markLeaving()
    case 2: try addPinned()
    case 3: try addRecipients()
    case 4: try addDates()
    default: break
    }
    var verdict = ""
    try run("PRAGMA quick_check(1)") { verdict = $0.text(0) }
    guard verdict == "ok", let contents = try journalContents() else { return .damaged }
    // A run's generations begin above all that earlier runs can have used.
    try run(
      "UPDATE origins SET generation = ?", [.integer(Int64(bitPattern: contents.origins.nextGeneration &+ (1 << 32)))])
    return .contents(contents)
  }

  private func createJournal(wall: Int64) throws(SQLiteError) {
    try transaction { () throws(SQLiteError) in
      try run(
        "CREATE TABLE origins (seq INTEGER NOT NULL, made INTEGER NOT NULL, modified INTEGER NOT NULL, generation "
          + "INTEGER NOT NULL)"
      )
      try run("INSERT INTO origins VALUES (0, ?, ?, 1)", [.integer(wall), .integer(wall)])
      try createItems()
      try createRecipients()
    }
  }

  /// Creates the list of recipients from the items that are staged; then it is of our schema.
  private func createRecipients() throws(SQLiteError) {
    try run("CREATE TABLE recipients (tag TEXT PRIMARY KEY, used INTEGER NOT NULL)")
    try run(
      "INSERT INTO recipients SELECT recipient, max(seq) FROM items GROUP BY recipient ORDER BY max(seq) DESC LIMIT "
        + "\(Journal.recipients)"
    )
    try createDates()
  }

  /// With the times of the items that stand, if there are any; then it is of our schema.
  private func createDates() throws(SQLiteError) {
    try run(
      "CREATE TABLE IF NOT EXISTS dates (pair INTEGER PRIMARY KEY, modified INTEGER NOT NULL, seq INTEGER NOT NULL)")
    try run("CREATE INDEX IF NOT EXISTS dated ON dates (seq)")
    var entries: [StagedEntry] = []
    try run("SELECT seq, file, recipient, size, modified FROM items") { row in
      entries.append(
        StagedEntry(
          seq: UInt64(bitPattern: row.integer(0)), id: "", fileID: row.text(1), recipient: row.text(2),
          name: FileName(""),
          size: row.integer(3), modified: row.integer(4)))
    }
    for entry in entries { try remember(entry) }
    try run("PRAGMA user_version = \(Journal.schema)")
  }

  private func remember(_ entry: StagedEntry) throws(SQLiteError) {
    try run(
      "INSERT OR REPLACE INTO dates VALUES (?, ?, ?)",
      [.integer(Int64(bitPattern: entry.dateKey)), .integer(entry.modified), .integer(Int64(bitPattern: entry.seq))])
    guard entry.seq > Journal.dates else { return }
    try run("DELETE FROM dates WHERE seq < ?", [.integer(Int64(bitPattern: entry.seq - Journal.dates))])
  }

  private func createItems() throws(SQLiteError) {
    try run(
      """
      CREATE TABLE items (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, file TEXT NOT NULL, recipient TEXT NOT NULL,
      name TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, shown INTEGER NOT NULL, leaving INTEGER NOT NULL,
      pinned INTEGER NOT NULL DEFAULT 0)
      """)
    try run("CREATE UNIQUE INDEX standing ON items (id) WHERE leaving = 0")
  }

  /// From schema 1, where a row stood for as long as its item's name did.
  private func markLeaving() throws(SQLiteError) {
    try transaction { () throws(SQLiteError) in
      try run("ALTER TABLE items RENAME TO standing_items")
      try createItems()
      try run(
        "INSERT INTO items SELECT seq, id, file, recipient, name, size, modified, shown, 0, 0 FROM standing_items")
      try run("DROP TABLE standing_items")
      try createRecipients()
    }
  }

  /// From schema 2, where nothing could be pinned.
  private func addPinned() throws(SQLiteError) {
    try transaction { () throws(SQLiteError) in
      try run("ALTER TABLE items ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0")
      try createRecipients()
    }
  }

  /// From schema 3, which had no recipients.
  private func addRecipients() throws(SQLiteError) {
    try transaction { () throws(SQLiteError) in try createRecipients() }
  }

  /// From schema 4, where a file staged again got another time.
  private func addDates() throws(SQLiteError) { try transaction { () throws(SQLiteError) in try createDates() } }

  private func journalContents() throws(SQLiteError) -> Journal.Contents? {
    var contents = Journal.Contents()
    var isSound = true
    var rows = 0
    try run("SELECT seq, made, modified, generation FROM origins") { row in
      rows += 1
      contents.origins = StagedItems.Origins(
        nextSeq: UInt64(bitPattern: row.integer(0)), made: row.integer(1), directoryModified: row.integer(2),
        nextGeneration: UInt64(bitPattern: row.integer(3)))
    }
    let origins = contents.origins
    guard rows == 1, origins.nextSeq <= StagedNode.maxSeq, (1..<(1 << 62)).contains(origins.nextGeneration) else {
      return nil
    }
    try run("SELECT seq, id, file, recipient, name, size, modified, shown, leaving, pinned FROM items ORDER BY seq") {
      row in
      let entry = StagedEntry(
        seq: UInt64(bitPattern: row.integer(0)), id: row.text(1), fileID: row.text(2), recipient: row.text(3),
        name: FileName(row.text(4)),
        size: row.integer(5), modified: row.integer(6))
      let order = UInt64(bitPattern: row.integer(7))
      contents.items.append(
        Journal.Contents.Item(entry: entry, order: order, isLeaving: row.integer(8) != 0, isPinned: row.integer(9) != 0)
      )
      if !entry.isSound || entry.seq >= origins.nextSeq || order >= 1 << 62 { isSound = false }
    }
    try run("SELECT tag FROM recipients ORDER BY used DESC LIMIT \(Journal.recipients)") {
      contents.recipients.append($0.text(0))
    }
    return isSound ? contents : nil
  }

  /// All of them, or none.
  func writeJournal(_ changes: [JournalChange]) throws(SQLiteError) {
    try transaction { () throws(SQLiteError) in
      for change in changes { try write(change) }
    }
  }

  private func write(_ change: JournalChange) throws(SQLiteError) {
    switch change {
    case .add(let entry, let order):
      // A row that could not be changed when its item went must not keep the next one of that name out.
      try run(
        "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
        [
          .integer(Int64(bitPattern: entry.seq)), .text(entry.id), .text(entry.fileID), .text(entry.recipient),
          .text(entry.name.description),
          .integer(entry.size), .integer(entry.modified), .integer(Int64(bitPattern: order)),
        ])
      try remember(entry)
      try run("UPDATE origins SET seq = max(seq, ?)", [.integer(Int64(bitPattern: entry.seq + 1))])
    case .show(let seq, let order):
      try run(
        "UPDATE items SET shown = ? WHERE seq = ?",
        [.integer(Int64(bitPattern: order)), .integer(Int64(bitPattern: seq))])
    case .leave(let seq):
      try run("UPDATE items SET leaving = 1, shown = 0, pinned = 0 WHERE seq = ?", [.integer(Int64(bitPattern: seq))])
    case .pin(let seq, let isPinned):
      try run(
        "UPDATE items SET pinned = ? WHERE seq = ?", [.integer(isPinned ? 1 : 0), .integer(Int64(bitPattern: seq))])
    case .replace(let entry):
      try run(
        "UPDATE items SET size = ?, modified = ? WHERE seq = ?",
        [.integer(entry.size), .integer(entry.modified), .integer(Int64(bitPattern: entry.seq))])
      try remember(entry)
    case .remove(let seq): try run("DELETE FROM items WHERE seq = ?", [.integer(Int64(bitPattern: seq))])
    case .removeAll:
      try run("DELETE FROM items")
      try run("DELETE FROM recipients")
      try run("DELETE FROM dates")
    case .recipient(let tag):
      try run("INSERT OR REPLACE INTO recipients SELECT ?, 1 + coalesce(max(used), 0) FROM recipients", [.text(tag)])
      try run(
        "DELETE FROM recipients WHERE used NOT IN (SELECT used FROM recipients ORDER BY used DESC LIMIT "
          + "\(Journal.recipients))"
      )
    case .directory(let modified): try run("UPDATE origins SET modified = max(modified, ?)", [.integer(modified)])
    }
  }
}

extension StagedEntry {
  /// Whether we can have made it.
  fileprivate var isSound: Bool {
    FileName(id).isValid && name.isValid && (0...StagedVolume.maxSize).contains(size) && !fileID.isEmpty
      && !recipient.isEmpty
  }
}
