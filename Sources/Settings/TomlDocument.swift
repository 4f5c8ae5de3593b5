import CToml
import FoundationEssentials

/// A value as it stands somewhere, before a rule was asked about it.
enum RawValue: Equatable {
  case string(String)
  case integer(Int64)
  case float(Double)
  case boolean(Bool)
  /// A table, a list or a date: nothing a setting can be.
  case other
}

/// The top-level keys of a TOML document, in the order of its lines.
struct TomlDocument {
  struct Entry {
    var name: String
    var value: RawValue
    var position: Position
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

  var entries: [Entry]

  init(_ text: [UInt8]) throws(Failure) {
    let json = text.withUnsafeBytes { bytes in
      bytes.withMemoryRebound(to: CChar.self) { ctoml_parse($0.baseAddress, $0.count) }
    }
    guard let json else { throw Failure(message: "it cannot be read (no memory)", position: Position(line: 1, column: 1)) }
    defer { ctoml_free(json) }
    guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(String(cString: json).utf8)) else {
      throw Failure(message: "it cannot be read", position: Position(line: 1, column: 1))
    }
    if let error = answer.error {
      // The parser's words name keys and single characters, not values, which may be secrets.
      let message = String(error.message.map { $0.isNewline ? " " : $0 })
      throw Failure(message: message, position: Position(line: error.line, column: error.column))
    }
    entries = (answer.keys ?? []).map { key in
      Entry(name: key.name, value: key.value, position: Position(line: key.line, column: key.column))
    }.sorted { ($0.position.line, $0.position.column) < ($1.position.line, $1.position.column) }
  }

  // MARK: What ctoml_parse writes

  private struct Answer: Decodable {
    var keys: [Key]?
    var error: Fault?
  }

  private struct Fault: Decodable {
    var message: String
    var line: Int
    var column: Int
  }

  private struct Key: Decodable {
    var name: String
    var string: String?
    var integer: Int64?
    var float: Double?
    var boolean: Bool?
    var line: Int
    var column: Int

    var value: RawValue {
      if let string { return .string(string) }
      if let integer { return .integer(integer) }
      if let float { return .float(float) }
      if let boolean { return .boolean(boolean) }
      return .other
    }
  }
}
