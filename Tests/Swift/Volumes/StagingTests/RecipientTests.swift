import Core
import Testing

@testable import OpenFiles
@testable import Staging

@Suite("Recipients")
struct RecipientTests {
  @Test("the last ones that files were staged for come first, each once, and outlive a restart")
  func order() async throws {
    try await World.run { world in
      #expect(world.volume.recipients() == [])
      for recipient in ["a", "b & 'c'", "e\u{301}", "\u{e9}"] { _ = try await world.stage("f1", recipient) }
      #expect(
        world.volume.recipients().map { Array($0.utf8) }
          == ["\u{e9}", "e\u{301}", "b & 'c'", "a"].map { Array($0.utf8) })
      // An item that is staged already counts too.
      _ = try await world.stage("f1", "a")
      _ = try await world.stage("f1", "a")
      #expect(world.volume.recipients().first == "a" && world.volume.recipients().count == 4)
      try await world.restart()
      #expect(
        world.volume.recipients().map { Array($0.utf8) }
          == ["a", "\u{e9}", "e\u{301}", "b & 'c'"].map { Array($0.utf8) })
    }
  }

  @Test("a recipient with whitespace round it is the one without; one that nothing was staged for is not remembered")
  func staged() async throws {
    try await World.run { world in
      let volume = world.volume
      _ = try await world.stage("f1", "  alice ")
      await expectError({ try await volume.stage("none", recipient: "bob") }) {
        if case .noSuchFile = $0 { true } else { false }
      }
      await expectError({ try await volume.stage("f1", recipient: " ") }) {
        if case .invalid = $0 { true } else { false }
      }
      #expect(volume.recipients() == ["alice"])
    }
  }

  @Test("no more than twenty are remembered, in memory and on disk")
  func twenty() async throws {
    try await World.run { world in
      for index in 0..<30 { _ = try await world.stage("f1", "r\(index)") }
      let expected = (10..<30).reversed().map { "r\($0)" }
      #expect(world.volume.recipients() == expected)
      try await world.restart()
      #expect(world.volume.recipients() == expected)
      _ = try await world.stage("f1", "r12")
      try await world.restart()
      #expect(world.volume.recipients() == ["r12"] + expected.filter { $0 != "r12" })
    }
  }

  @Test("they are forgotten with the list of staged items")
  func forgotten() async throws {
    try await World.run { world in
      _ = try await world.stage("f1", "alice")
      _ = try await world.volume.unstageAll()
      try await world.restart()
      #expect(world.volume.recipients() == ["alice"])
      await world.volume.remove(forget: true)
      try await world.restart()
      #expect(world.volume.recipients() == [])
    }
  }

  @Test("a journal of schema 3 is taken over, and those its items are for are remembered")
  func migration() async throws {
    try await World.run { world in
      for (file, recipient) in [("f1", "a"), ("f2", "b"), ("f3", "a"), ("f4", "c")] {
        _ = try await world.stage(file, recipient)
      }
      let items = world.volume.items()
      await world.volume.journal.close()
      try world.sql("DROP TABLE recipients")
      try world.sql("PRAGMA user_version = 3")
      try await world.restart()
      #expect(world.volume.recipients() == ["c", "a", "b"])
      #expect(world.volume.items() == items)
      _ = try await world.stage("f2", "b")
      try await world.restart()
      #expect(world.volume.recipients() == ["b", "c", "a"])
    }
  }
}
