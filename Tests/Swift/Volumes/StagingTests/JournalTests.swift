import Core
import EventLoop
import Glibc
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Suite("Journal")
struct JournalTests {
  @Test("path, size, mtime and inode are the same after a restart; nothing of the past is used again")
  func restart() async throws {
    try await World.run { world in
      world.catalogue.add("f1", name: "Zoë 日本.mp4", size: 5_000_000_000)
      let first = try await world.volume.stage("f1", recipient: "a/b & 'c' \"d\" é")
      world.time.pass(.seconds(3))
      let second = try await world.stage("f2")
      let third = try await world.stage("f3")
      let gone = try world.look(third).node
      _ = try await world.volume.unstage(third.id)
      _ = try world.open(first, 1)
      await settle()
      let attributes = [try world.look(first), try world.look(second)]
      let directory = try world.volume.attributes(of: NodeID(2))
      let root = try world.volume.attributes(of: .root)

      world.time.pass(.seconds(100))
      try await world.restart()
      let items = world.volume.items()
      #expect(items == [first, second], "tiles shown, closed, without bytes")
      #expect(items.map(\.recipient.utf8.count) == [first, second].map(\.recipient.utf8.count))
      #expect([try world.look(first), try world.look(second)] == attributes)
      #expect(try world.volume.attributes(of: NodeID(2)) == directory)
      #expect(try world.volume.attributes(of: .root) == root)
      let other = try await world.stage("f3")
      #expect(other.path == third.path)
      #expect(try world.look(other).node.rawValue > gone.rawValue)

      _ = try world.open(first, 1)
      await settle()
      let stores = world.stores.made
      #expect(
        stores.count == 2 && stores[0].name != stores[1].name,
        "a new store has a new name, as the old file may be there still")
      #expect(
        stores[1].origin.isMinted == false && stores[1].origin.recipient == first.recipient,
        "a link is minted when it is needed")
    }
  }

  @Test("numbers go on though all items went")
  func numbersGoOn() async throws {
    try await World.run { world in
      let first = try await world.stage("f1")
      let node = try world.look(first).node
      _ = try await world.volume.unstageAll()
      try await world.restart()
      let second = try await world.stage("f1")
      #expect(try world.look(second).node.rawValue == node.rawValue + 2)
      await world.volume.remove(forget: true)
      try await world.restart()
      #expect(world.volume.items().isEmpty)
      let third = try await world.stage("f1")
      #expect(try world.look(third).node.rawValue == node.rawValue + 4)
    }
  }

  @Test("an item whose tile was pushed out while open comes back for another grace only")
  func loweredTile() async throws {
    try await World.run({ $0.maxTiles = 1 }) { world in
      let a = try await world.stage("A")
      _ = try world.open(a, 1)
      let b = try await world.stage("B")
      try await world.restart()
      #expect(world.volume.items().map(\.tileRef) == [0, 1])
      await world.alarms.pass(.seconds(5))
      #expect(world.volume.items().map(\.id) == [b.id])
      try await world.restart()
      #expect(world.volume.items().map(\.id) == [b.id], "evicted for good")
    }
  }

  @Test("the journal is its owner's only")
  func mode() async throws {
    try await World.run { world in
      _ = try await world.stage("f1")
      for name in ["", "-wal"] {
        var status = stat()
        #expect(stat(world.journalPath + name, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600, "\(name)")
      }
    }
  }

  @Test(
    "what cannot be read back is refused with a sentence that names the file, and left as it is",
    arguments: Damage.allCases)
  func damage(_ damage: Damage) async throws {
    try await World.run { world in
      for index in 0..<50 { _ = try await world.stage("f\(index)") }
      await world.volume.journal.close()
      let path = world.journalPath
      try damage.strike(path)
      let before = contents(path)
      await expectError({ try await world.restart() }) { error in
        guard case .failed(let sentence) = error else { return false }
        return sentence.contains(path) && sentence.contains(damage.expected)
      }
      #expect(contents(path) == before)
    }
  }

  @Test("a second process is kept out")
  func secondOpen() async throws {
    try await World.run { world in
      let path = world.journalPath
      _ = try await world.stage("f1")
      let result = await onWorker { Journal.open(path: path, wall: 0).map { _ in } }
      guard case .failure(.failed(let sentence)) = result else {
        Issue.record("\(result)")
        return
      }
      #expect(sentence.contains("in use") && sentence.contains(path))
    }
  }

  @Test("a state folder that is not there is one sentence")
  func noFolder() async throws {
    let result = Journal.open(path: "/nonexistent/staged.sqlite", wall: 0)
    guard case .failure(.failed(let sentence)) = result else {
      Issue.record("\(result)")
      return
    }
    #expect(sentence.contains("/nonexistent/staged.sqlite"))
  }

  @Test("what cannot be written down is not staged, and what is unstaged stays if that cannot be")
  func writeFails() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      await world.volume.journal.close()
      world.catalogue.add("f2")
      let volume = world.volume
      let name = StableHash.hex("f2", "r")
      await expectError({ try await volume.stage("f2", recipient: "r") }) { error in
        if case .failed(let sentence) = error { sentence.contains(world.journalPath) } else { false }
      }
      await expectError({ try await volume.unstage(item.id) }) { if case .failed = $0 { true } else { false } }
      #expect(try world.names() == [item.id])
      try await world.restart()
      let result1 = try await world.volume.stage("f2", recipient: "r")
      #expect(result1.id == name)
    }
  }

  @Test(
    "files of the list that are removed while it is open are written anew, with all that was in them",
    arguments: [["", "-wal"], [""], ["-wal"]])
  func removed(endings: [String]) async throws {
    try await World.run { world in
      let first = try await world.stage("f1")
      for ending in endings { unlink(world.journalPath + ending) }
      let second = try await world.stage("f2")
      #expect(access(world.journalPath, F_OK) == 0)
      for ending in endings { unlink(world.journalPath + ending) }
      #expect(await world.volume.restoreList() == nil, "without an order, too")
      var mode = stat()
      #expect(stat(world.journalPath, &mode) == 0 && mode.st_mode & 0o777 == 0o600)
      try await world.restart()
      #expect(world.volume.items().map(\.id) == [first.id, second.id])
    }
  }

  @Test("a folder in place of the list is told, and no order is answered as if it were written down")
  func replacedByAFolder() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      unlink(world.journalPath)
      mkdir(world.journalPath, 0o700)
      world.catalogue.add("f2")
      let volume = world.volume
      await expectError({ try await volume.stage("f2", recipient: "r") }) {
        if case .failed(let sentence) = $0 { sentence.contains(world.journalPath) } else { false }
      }
      #expect(await volume.restoreList()?.contains(world.journalPath) == true)
      rmdir(world.journalPath)
      _ = try await volume.stage("f2", recipient: "r")
      try await world.restart()
      #expect(world.volume.items().count == 2 && world.volume.items()[0].id == item.id)
    }
  }

  @Test("an eviction that cannot be written down keeps nothing else out, and is written with a later change")
  func laterRemoval() async throws {
    try await World.run({ $0.maxTiles = 2 }) { world in
      _ = try await world.stage("f0")
      _ = try await world.stage("f1")
      await world.volume.journal.close()
      // The disk refuses to let the first row go as long as there are fewer than 4.
      try SQLite(path: world.journalPath).run(
        """
        CREATE TRIGGER refuse BEFORE DELETE ON items WHEN OLD.seq = 0 AND (SELECT count(*) FROM items) < 4
        BEGIN SELECT RAISE(ABORT, 'refused'); END
        """)
      try await world.restart()
      let volume = world.volume
      let second = try await world.stage("f2")
      #expect(try world.names().count == 2)
      let third = try await world.stage("f3")
      _ = try await world.stage("f3", "another")
      #expect(try world.names().count == 2)
      await volume.journal.close()
      let path = world.journalPath
      let rows = await onWorker { Journal.open(path: path, wall: 0).map { $0.contents.items.map(\.entry.id) } }
      #expect(try rows.get() == [third.id, StableHash.hex("f3", "another")], "\(second.id) went too")
    }
  }

  @Test("a staging that could not be written down leaves its name free")
  func nameIsFree() async throws {
    try await World.run { world in
      await world.volume.journal.close()
      try SQLite(path: world.journalPath).run(
        """
        CREATE TRIGGER refuse BEFORE INSERT ON items WHEN NEW.file = 'f1' AND (SELECT count(*) FROM items) < 1
        BEGIN SELECT RAISE(ABORT, 'refused'); END
        """)
      try await world.restart()
      await expectError({ try await world.stage("f1") }) {
        if case .failed(let sentence) = $0 { sentence.contains("refused") } else { false }
      }
      _ = try await world.stage("f2")
      let item = try await world.stage("f1")
      #expect(item.id == StableHash.hex("f1", "alice"))
    }
  }

  @Test("a journal of schema 1 is taken over as it is, numbers and all")
  func migration() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let lowered = try await world.stage("f2")
      let attributes = try world.look(item)
      await world.volume.journal.close()
      try world.sql(
        "CREATE TABLE old (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, file TEXT NOT NULL, recipient TEXT NOT "
          + "NULL, "
          + "name TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, shown INTEGER NOT NULL)")
      try world.sql("INSERT INTO old SELECT seq, id, file, recipient, name, size, modified, shown FROM items")
      try world.sql("UPDATE old SET shown = 0 WHERE seq = 1")
      try world.sql("DROP TABLE items")
      try world.sql("ALTER TABLE old RENAME TO items")
      try world.sql("DROP TABLE recipients")
      try world.sql("PRAGMA user_version = 1")
      try await world.restart()
      #expect(
        world.volume.items().map(\.id) == [item.id, lowered.id] && world.volume.items().map(\.tileRef) == [1, 0])
      #expect(try world.look(item) == attributes)
      _ = try world.open(item, 1)
      _ = try await world.volume.unstage(item.id)
      let again = try await world.stage("f1")
      #expect(again.id == item.id, "a leaving row keeps no new one out")
      try await world.restart()
      #expect(try world.names() == [lowered.id, item.id])
    }
  }

  @Test("a journal of schema 2 is taken over as it is, with nothing pinned")
  func migrationOfPins() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let open = try await world.stage("f2")
      _ = try world.open(open, 1)
      _ = try await world.volume.unstage(open.id)
      let attributes = try world.look(item)
      await world.volume.journal.close()
      try world.sql("ALTER TABLE items DROP COLUMN pinned")
      try world.sql("DROP TABLE recipients")
      try world.sql("PRAGMA user_version = 2")
      try await world.restart(Inheritance(handles: [HandleID(1): NodeID(19)]))
      #expect(
        world.volume.items().map(\.state) == [.ready, .leaving] && world.volume.items().allSatisfy { !$0.pinned })
      #expect(try world.look(item) == attributes)
      _ = try await world.volume.setPinned(item.id, true)
      try await world.restart(Inheritance(handles: [HandleID(1): NodeID(19)]))
      #expect(world.volume.items().map(\.pinned) == [true, false])
    }
  }

  enum Damage: CaseIterable, Sendable {
    case noDatabase, tornPages, newerSchema, foreignTables, hostileName, hostileSize, hostileSeq, folder

    var expected: String {
      switch self {
      case .newerSchema: "newer"
      case .folder: "opened"
      case .foreignTables: "no such table"
      default: "damaged"
      }
    }

    func strike(_ path: String) throws {
      switch self {
      case .noDatabase: try overwrite(path, at: 0, with: Array(repeating: 0x41, count: 4096))
      case .tornPages: try overwrite(path, at: 4096, with: Array(repeating: 0xff, count: 3 * 4096))
      case .newerSchema: try sql(path, "PRAGMA user_version = \(Journal.schema + 1)")
      case .foreignTables: try sql(path, "DROP TABLE origins")
      case .hostileName: try sql(path, "UPDATE items SET name = '../../etc/passwd'")
      case .hostileSize: try sql(path, "UPDATE items SET size = -5")
      case .hostileSeq: try sql(path, "UPDATE items SET seq = -1 WHERE seq = 3")
      case .folder:
        unlink(path)
        mkdir(path, 0o700)
      }
    }

    private func sql(_ path: String, _ statement: String) throws { try SQLite(path: path).run(statement) }

    private func overwrite(_ path: String, at offset: Int, with bytes: [UInt8]) throws {
      let descriptor = open(path, O_WRONLY)
      defer { close(descriptor) }
      try #require(pwrite(descriptor, bytes, bytes.count, offset) == bytes.count)
    }
  }
}

private func contents(_ path: String) -> [UInt8]? {
  let descriptor = open(path, O_RDONLY)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  var buffer = [UInt8](repeating: 0, count: 1 << 20)
  let count = read(descriptor, &buffer, buffer.count)
  return count < 0 ? nil : Array(buffer.prefix(count))
}
