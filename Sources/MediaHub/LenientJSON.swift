import FoundationEssentials

/// The service leaves unset keys out and spells numbers in several ways: what is missing or of the wrong type reads as nil, never as an error.
enum LenientJSON {
  /// Nil if the body is no JSON, or no object.
  static func object<Record: Decodable>(_ type: Record.Type, from body: [UInt8]) -> Record? {
    try? JSONDecoder().decode(type, from: Data(body))
  }
}

extension KeyedDecodingContainer {
  func text(_ key: Key) -> String? { try? decode(String.self, forKey: key) }

  /// An integer, a float or a text of either; rounded towards zero. Nil beyond 64 bits.
  func number(_ key: Key) -> Int64? {
    if let whole = try? decode(Int64.self, forKey: key) { return whole }
    if let real = try? decode(Double.self, forKey: key) { return Self.whole(real) }
    guard let text = text(key) else { return nil }
    return Int64(text) ?? Double(text).flatMap(Self.whole)
  }

  private static func whole(_ real: Double) -> Int64? { Int64(exactly: real.rounded(.towardZero)) }

  func record<Record: Decodable>(_ key: Key) -> Record? { try? decode(Record.self, forKey: key) }

  /// The elements that are what they should be; the others are skipped.
  func list<Record: Decodable>(_ key: Key) -> [Record] {
    guard var elements = try? nestedUnkeyedContainer(forKey: key) else { return [] }
    var list: [Record] = []
    while !elements.isAtEnd {
      if let record = try? elements.decode(Record.self) {
        list.append(record)
      } else if (try? elements.decode(Ignored.self)) == nil {
        break
      }
    }
    return list
  }
}

/// Takes anything, so that a container steps over it.
private struct Ignored: Decodable {
  init(from decoder: any Decoder) {}
}
