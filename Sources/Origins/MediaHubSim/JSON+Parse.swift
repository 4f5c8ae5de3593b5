/// A mistake in an admin request or on the command line; the text is for its author.
package struct SimulatorError: Error, CustomStringConvertible, Sendable {
  package let description: String
  package init(_ description: String) { self.description = description }
}

/// JSON read from text. The parser is a value of one call, which touches nothing else.
extension JSON {
  /// The value `text` holds and nothing after it.
  package init(parsing text: some Sequence<UInt8>) throws(SimulatorError) {
    var parser = Parser(bytes: Array(text))
    let value = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.position == parser.bytes.count else { throw parser.failure("text after the value") }
    self = value
  }

  private struct Parser {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    func failure(_ what: String) -> SimulatorError { SimulatorError("JSON: \(what) at byte \(position)") }

    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
      while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    mutating func take(_ byte: Character) -> Bool {
      skipSpace()
      guard next == byte.asciiValue else { return false }
      position += 1
      return true
    }

    mutating func take(word: String) -> Bool {
      guard bytes[position...].starts(with: word.utf8) else { return false }
      position += word.utf8.count
      return true
    }

    /// The depth is bounded because a connection's thread has a small stack.
    mutating func value(depth: Int) throws(SimulatorError) -> JSON {
      guard depth < 16 else { throw failure("nested too deeply") }
      if take("{") { return try object(depth: depth + 1) }
      if take("[") { return try array(depth: depth + 1) }
      if next == UInt8(ascii: "\"") { return .string(try string()) }
      if take(word: "true") { return .bool(true) }
      if take(word: "false") { return .bool(false) }
      if take(word: "null") { return .null }
      return try number()
    }

    mutating func object(depth: Int) throws(SimulatorError) -> JSON {
      var members: [(String, JSON)] = []
      if take("}") { return .object(members) }
      repeat {
        skipSpace()
        let key = try string()
        guard take(":") else { throw failure("a ':' is missing") }
        members.append((key, try value(depth: depth)))
      } while take(",")
      guard take("}") else { throw failure("a '}' is missing") }
      return .object(members)
    }

    mutating func array(depth: Int) throws(SimulatorError) -> JSON {
      var items: [JSON] = []
      if take("]") { return .array(items) }
      repeat { items.append(try value(depth: depth)) } while take(",")
      guard take("]") else { throw failure("a ']' is missing") }
      return .array(items)
    }

    mutating func number() throws(SimulatorError) -> JSON {
      let start = position
      while let byte = next, "+-.0123456789eE".utf8.contains(byte) { position += 1 }
      let text = String(decoding: bytes[start..<position], as: UTF8.self)
      if let whole = Int64(text) { return .int(whole) }
      guard let value = Double(text) else { throw failure("no value") }
      return .double(value)
    }

    mutating func string() throws(SimulatorError) -> String {
      guard next == UInt8(ascii: "\"") else { throw failure("no string") }
      position += 1
      var out: [UInt8] = []
      while let byte = next, byte != UInt8(ascii: "\"") {
        position += 1
        if byte == UInt8(ascii: "\\") { out += try escape() } else { out.append(byte) }
      }
      guard next != nil else { throw failure("a '\"' is missing") }
      position += 1
      return String(decoding: out, as: UTF8.self)
    }

    mutating func escape() throws(SimulatorError) -> [UInt8] {
      guard let byte = next else { throw failure("nothing after '\\'") }
      position += 1
      switch byte {
      case UInt8(ascii: "n"): return [0x0a]
      case UInt8(ascii: "r"): return [0x0d]
      case UInt8(ascii: "t"): return [0x09]
      case UInt8(ascii: "b"): return [0x08]
      case UInt8(ascii: "f"): return [0x0c]
      case UInt8(ascii: "u"):
        var unit = try hexUnit()
        if unit & 0xfc00 == 0xd800, take(word: "\\u") {
          unit = 0x10000 + (unit & 0x3ff) << 10 + (try hexUnit()) & 0x3ff
        }
        return Array(String(Unicode.Scalar(unit).map(Character.init) ?? "\u{fffd}").utf8)
      default: return [byte]
      }
    }

    mutating func hexUnit() throws(SimulatorError) -> UInt32 {
      guard position + 4 <= bytes.count,
        let unit = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
      else { throw failure("four hex digits expected") }
      position += 4
      return unit
    }
  }
}

/// The members of an admin route's body, taken one by one; `finish` refuses members that are left, so that a misspelt
/// key fails a test at once instead of leaving the fault it meant unset.
struct Fields {
  private var left: [(String, JSON)]

  init(_ json: JSON) throws(SimulatorError) {
    guard case .object(let members) = json else { throw SimulatorError("an object is expected") }
    left = members
  }

  mutating func take<T>(_ key: String, _ convert: (JSON) -> T?) throws(SimulatorError) -> T? {
    guard let index = left.firstIndex(where: { $0.0 == key }) else { return nil }
    let value = left.remove(at: index).1
    if case .null = value { return nil }
    guard let converted = convert(value) else { throw SimulatorError("'\(key)' cannot be \(value.text)") }
    return converted
  }

  mutating func int(_ key: String) throws(SimulatorError) -> Int64? { try take(key) { $0.int } }
  /// Not negative, and of a size that a person may mean.
  mutating func count(_ key: String) throws(SimulatorError) -> Int? {
    try take(key) { $0.int.flatMap { 0...1_000_000_000 ~= $0 ? Int($0) : nil } }
  }
  mutating func string(_ key: String) throws(SimulatorError) -> String? { try take(key) { $0.string } }
  mutating func bool(_ key: String) throws(SimulatorError) -> Bool? { try take(key) { $0.bool } }
  /// A number, or a text as `ByteCount` reads it.
  mutating func bytes(_ key: String) throws(SimulatorError) -> Int64? { try take(key) { $0.byteCount } }

  func finish() throws(SimulatorError) {
    guard left.isEmpty else { throw SimulatorError("unknown: " + left.map { $0.0 }.joined(separator: ", ")) }
  }
}
