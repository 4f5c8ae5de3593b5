import Core
import EventLoop
import FoundationEssentials

/// The service leaves unset keys out and spells values in several ways: what is missing or of a type that makes no
/// sense reads as nil, never as an error. Numbers may be texts, texts numbers, and a list of one may be its element.
/// These are functions without state; a long answer is decoded off the transfer loop.
enum LenientJSON {
  /// Longer bodies are decoded on a worker thread.
  private static let longestOnLoop = 16 << 10

  /// Nil if the body is no JSON, or no object. A byte order mark before it is ignored.
  static func object<Record: Decodable>(_ type: Record.Type, from body: [UInt8]) -> Record? {
    try? JSONDecoder().decode(type, from: Data(body.starts(with: [0xef, 0xbb, 0xbf]) ? body[3...] : body[...]))
  }

  /// The same, without holding up the transfer loop: a list of jobs is megabytes.
  @TransferLoop
  static func decoded<Record: Decodable & Sendable>(_ type: Record.Type, from body: [UInt8]) async -> Record? {
    guard body.count > longestOnLoop else { return object(type, from: body) }
    return await withCheckedContinuation { continuation in
      EventLoop.transfer.background({ object(type, from: body) }) { continuation.resume(returning: $0) }
    }
  }
}

extension KeyedDecodingContainer {
  /// A text, or a whole number as one.
  func text(_ key: Key) -> String? {
    if let text = try? decode(String.self, forKey: key) { return text }
    return (try? decode(Int64.self, forKey: key)).map { "\($0)" }
  }

  /// An integer, a float or a text of either, maybe with blanks around it; rounded towards zero. Nil beyond 64 bits.
  func number(_ key: Key) -> Int64? {
    if let whole = try? decode(Int64.self, forKey: key) { return whole }
    if let real = try? decode(Double.self, forKey: key) { return Self.whole(real) }
    guard var text = (try? decode(String.self, forKey: key))?.drop(while: \.isWhitespace) else { return nil }
    while text.last?.isWhitespace == true { text.removeLast() }
    return Int64(text) ?? Double(text).flatMap(Self.whole)
  }

  private static func whole(_ real: Double) -> Int64? { Int64(exactly: real.rounded(.towardZero)) }

  func record<Record: Decodable>(_ key: Key) -> Record? { try? decode(Record.self, forKey: key) }

  /// The elements that are what they should be; the others are counted. Nil if there is no list; an object is a list of
  /// one.
  func elements<Record: Decodable>(_ key: Key) -> (records: [Record], count: Int)? {
    guard var elements = try? nestedUnkeyedContainer(forKey: key) else {
      guard (try? nestedContainer(keyedBy: AnyKey.self, forKey: key)) != nil else { return nil }
      let record: Record? = record(key)
      return (record.map { [$0] } ?? [], 1)
    }
    var (list, count): ([Record], Int) = ([], 0)
    while !elements.isAtEnd {
      count += 1
      if let record = try? elements.decode(Record.self) {
        list.append(record)
      } else if (try? elements.decode(Ignored.self)) == nil {
        break
      }
    }
    return (list, count)
  }
}

private struct AnyKey: CodingKey {
  var stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { return nil }
}

/// Takes anything, so that a container steps over it.
private struct Ignored: Decodable {
  init(from decoder: any Decoder) {}
}
