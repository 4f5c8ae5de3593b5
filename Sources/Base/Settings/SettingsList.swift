import Core
import SettingsModel

/// All keys that a program knows, and how they are written. It is a value that does not change, in `Settings`.
struct SettingsList: Sendable {
  /// The keys of these tables may also stand above all tables: as they did before there were tables, or because they
  /// carry the name of their subject.
  private static let flatTables: Set = ["staged", "buckets"]

  let declarations: [SettingDeclaration]
  /// By the text in front of the equals sign, for keys above all tables.
  private let flat: [String: SettingDeclaration]
  /// By table, then by name.
  private let tables: [String: [String: SettingDeclaration]]

  init(_ groups: [any SettingGroup]) {
    declarations = groups.flatMap(\.declarations)
    var (flat, tables): ([String: SettingDeclaration], [String: [String: SettingDeclaration]]) = ([:], [:])
    for declaration in declarations {
      if let table = declaration.table { tables[table, default: [:]][declaration.name] = declaration }
      if Self.isFlat(declaration) { flat[declaration.name] = declaration }
    }
    (self.flat, self.tables) = (flat, tables)
  }

  private static func isFlat(_ declaration: SettingDeclaration) -> Bool {
    declaration.table.map(flatTables.contains) ?? true
  }

  /// The key in sentences, flags and `fsmvp config`: without its table if it may stand without it.
  static func shown(_ declaration: SettingDeclaration) -> String {
    isFlat(declaration) ? declaration.name : declaration.path
  }

  func isTable(_ name: String) -> Bool { tables[name] != nil }

  /// - Parameter table: nil for a key above all tables.
  func declaration(_ name: String, in table: String?) -> SettingDeclaration? {
    if let table { tables[table]?[name] } else { flat[name] }
  }

  /// The refusal of a key that is none, with the one that was most likely meant.
  func unknown(_ name: String, in table: String?) -> String {
    let key = "unknown key `\(Spelling.quoted(name).dropFirst().dropLast())`"
    guard let table else {
      let nearest = NearestName.of(name, in: declarations.filter(Self.isFlat).map(\.name) + tables.keys.sorted())
      let hint = nearest.map { isTable($0) ? "did you mean `[\($0)]`?" : "did you mean `\($0)`?" }
      return "\(key); \(hint ?? "`fsmvp config` lists the keys")"
    }
    if flat[name] != nil { return "\(key) in `[\(table)]`; it has to stand above the first table" }
    let hint = NearestName.of(name, in: declarations.filter { $0.table == table }.map(\.name)).map {
      "did you mean `\($0)`?"
    }
    return "\(key) in `[\(table)]`; \(hint ?? "`fsmvp config` lists the keys")"
  }
}
