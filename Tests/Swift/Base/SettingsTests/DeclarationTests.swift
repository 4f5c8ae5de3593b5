import FoundationEssentials
import SettingsModel
import Testing

@testable import Daemon
@testable import Settings

/// The declarations, and the documents that are made from them.
struct DeclarationTests {
  private struct Group: SettingGroup {
    enum Mood: String, Sendable, CaseIterable { case calm, loud }
    let size = Setting.bytes("music.size", 1...4096, default: 1024, unit: "a song", variable: "FSMVP_SIZE", "bytes")
    let notASetting = 7
    let mood = Setting.choice("music.mood", default: Mood.loud, "a mood")
    var title: String { "Music" }
  }

  @Test("the properties of a group are its settings, in their order, with their defaults")
  func group() {
    let declarations = Group().declarations
    #expect(declarations.map(\.path) == ["music.size", "music.mood"])
    #expect(declarations.map(\.table) == ["music", "music"] && declarations.map(\.name) == ["size", "mood"])
    #expect(declarations.map(\.shownValues) == ["1 B to 4 KiB a song", "`calm`, `loud`"])
    let none = SettingValues()
    #expect((none[\Group.size], none[\Group.mood]) == (1024, .loud))
  }

  @Test("a group of another table is read there, and not above all tables")
  func table() throws {
    let scratch = try Scratch()
    func load(_ toml: String) throws -> Settings {
      try scratch.write(".fuse-stream-mvp/config.toml", toml)
      return try Settings.load(SettingsCatalog.groups + [Group()], scratch.inputs())
    }
    let settings = try load("[staged]\nmax_tiles = 1\n[music]\nsize = 7\nmood = \"calm\"")
    #expect((settings[\Group.size], settings[\Group.mood]) == (7, .calm))
    #expect(settings.describe().suffix(2).map(\.key) == ["music.size", "music.mood"])
    #expect(throws: SettingsError("\(scratch.usual):1:1: unknown key `mood`; `fsmvp config` lists the keys")) {
      try load("mood = 1")
    }
  }

  @Test("every setting has a path and a variable of its own, a default by its own rule, and one line of help")
  func catalog() throws {
    let declarations = SettingsCatalog.groups.flatMap(\.declarations)
    #expect(Set(declarations.map(\.path)).count == declarations.count)
    let variables = declarations.compactMap(\.variable)
    #expect(Set(variables).count == variables.count && variables.allSatisfy { $0.hasPrefix("FSMVP_") })
    for declaration in declarations {
      #expect(
        !declaration.help.isEmpty && !declaration.help.contains { $0.isNewline || $0 == "|" }
          && !declaration.help.hasSuffix("."))
      guard case .value(let value) = declaration.fallback, value != .text("") else { continue }
      #expect(declaration.rule.read(.string(value.shown), isSpelled: true) { $0 } == value, "\(declaration.path)")
    }
  }

  /// FSMVP_WRITE_DOCUMENTS=1 writes them, as `make documents` does.
  @Test("the tables of docs/CONFIG.md are those that the declarations make")
  func document() throws {
    let path = #filePath.replacing("Tests/Swift/Base/SettingsTests/DeclarationTests.swift", with: "docs/CONFIG.md")
    let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    let wanted = try #require(SettingsDocument.replaced(in: text, with: SettingsCatalog.groups))
    if ProcessInfo.processInfo.environment["FSMVP_WRITE_DOCUMENTS"] == "1" {
      return try Data(wanted.utf8).write(to: URL(filePath: path))
    }
    let lines = Set(text.split(separator: "\n"))
    let news = wanted.split(separator: "\n").filter { !lines.contains($0) }
    #expect(text == wanted, "run `make documents`; it makes these lines anew:\n\(news.joined(separator: "\n"))")
  }
}
