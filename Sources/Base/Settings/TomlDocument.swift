import CToml
import FoundationEssentials
import SettingsModel

/// The keys of a TOML document and of its tables, in the order of its lines. It is a value, parsed from bytes in
/// memory.
struct TomlDocument {
  struct Key {
    /// nil: above all tables.
    var table: String?
    var name: String
    var value: RawValue
    var position: Position

    /// "in line 3", "in `[staged]` in line 7".
    var whereabouts: String { (table.map { "in `[\($0)]` " } ?? "") + "in line \(position.line)" }
  }

  struct Position: Equatable {
    /// From 1.
    var line: Int
    var column: Int
  }

  /// The text is no TOML, and where.
  struct Failure: Error {
    var message: String
    var position: Position
  }

  private let answers: [AnswerKey]

  init(_ text: [UInt8]) throws(Failure) {
    let json = text.withUnsafeBytes { bytes in
      bytes.withMemoryRebound(to: CChar.self) { ctoml_parse($0.baseAddress, $0.count) }
    }
    guard let json else {
      throw Failure(message: "it cannot be read (no memory)", position: Position(line: 1, column: 1))
    }
    defer { ctoml_free(json) }
    guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(String(cString: json).utf8)) else {
      throw Failure(message: "it cannot be read", position: Position(line: 1, column: 1))
    }
    if let error = answer.error {
      // The parser's words name keys and single characters, not values, which may be secrets.
      let message = String(error.message.map { $0.isNewline ? " " : $0 })
      throw Failure(message: message, position: Position(line: error.line, column: error.column))
    }
    answers = answer.keys ?? []
  }

  /// All keys; those of a table that is none for the caller come as one key without a value.
  func keys(isTable: (String) -> Bool) -> [Key] {
    answers.flatMap { answer in
      guard let members = answer.keys, isTable(answer.name) else { return [answer.key(in: nil)] }
      return members.map { $0.key(in: answer.name) }
    }.sorted { ($0.position.line, $0.position.column) < ($1.position.line, $1.position.column) }
  }

  // MARK: The output of ctoml_parse

  private struct Answer: Decodable {
    var keys: [AnswerKey]?
    var error: Fault?
  }

  private struct Fault: Decodable {
    var message: String
    var line: Int
    var column: Int
  }

  private struct AnswerKey: Decodable {
    var name: String
    var string: String?
    var integer: Int64?
    var float: Double?
    var boolean: Bool?
    /// The keys of a table.
    var keys: [AnswerKey]?
    var line: Int
    var column: Int

    func key(in table: String?) -> Key {
      Key(table: table, name: name, value: value, position: Position(line: line, column: column))
    }

    private var value: RawValue {
      if let string { return .string(string) }
      if let integer { return .integer(integer) }
      if let float { return .float(float) }
      if let boolean { return .boolean(boolean) }
      return .other
    }
  }
}
