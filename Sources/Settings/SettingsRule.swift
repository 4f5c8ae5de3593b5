import Core

/// A setting's value after its rule agreed.
enum SettingsValue: Equatable, Sendable {
  case text(String)
  case count(Int)
  case bytes(Int64)
  case duration(Duration)
  case flag(Bool)
}

/// What the values of a key must be like.
enum SettingsRule {
  case text
  /// A text that is never shown.
  case secret
  /// The service's base URL.
  case address
  case path
  case choice([String])
  case count(ClosedRange<Int>)
  case bytes(ClosedRange<Int64>)
  /// Bytes, or the text "auto".
  case bytesOrAuto(ClosedRange<Int64>)
  case duration(ClosedRange<Duration>)
  case flag

  static let auto = "auto"

  /// The value, or nil where the rule does not allow it.
  /// - Parameters:
  ///   - isSpelled: it came from a variable or a flag, where numbers and truths are texts too.
  ///   - absolute: makes a path absolute.
  func read(_ raw: RawValue, isSpelled: Bool, absolute: (String) -> String?) -> SettingsValue? {
    switch (self, raw) {
    case (.text, .string(let text)), (.secret, .string(let text)):
      // A NUL or a line break would end a C string or a header early.
      return text.utf8.contains { $0 < 0x20 || $0 == 0x7f } ? nil : .text(text)
    case (.address, .string(let text)): return APIBase.parse(text).map(SettingsValue.text)
    case (.path, .string(let text)): return absolute(text).map(SettingsValue.text)
    case (.choice(let names), .string(let text)): return names.contains(text) ? .text(text) : nil
    case (.count(let range), .integer(let number)): return Int(exactly: number).flatMap { range.contains($0) ? .count($0) : nil }
    case (.count(let range), .string(let text)) where isSpelled:
      return Int(text).flatMap { range.contains($0) ? .count($0) : nil }
    case (.bytesOrAuto, .string(Self.auto)): return .text(Self.auto)
    case (.bytes(let range), .integer(let number)), (.bytesOrAuto(let range), .integer(let number)):
      return range.contains(number) ? .bytes(number) : nil
    case (.bytes(let range), .string(let text)), (.bytesOrAuto(let range), .string(let text)):
      return ByteCount.parse(text).flatMap { range.contains($0) ? .bytes($0) : nil }
    case (.duration(let range), .integer(let number)): return Self.duration(Durations.seconds(Double(number)), in: range)
    case (.duration(let range), .float(let number)): return Self.duration(Durations.seconds(number), in: range)
    case (.duration(let range), .string(let text)): return Self.duration(Durations.parse(text), in: range)
    case (.flag, .boolean(let flag)): return .flag(flag)
    case (.flag, .string(let text)) where isSpelled:
      return ["true": true, "yes": true, "1": true, "false": false, "no": false, "0": false][text.lowercased()].map(SettingsValue.flag)
    default: return nil
    }
  }

  private static func duration(_ value: Duration?, in range: ClosedRange<Duration>) -> SettingsValue? {
    value.flatMap { range.contains($0) ? .duration($0) : nil }
  }

  /// What is allowed, to follow "must be".
  var allowed: String {
    switch self {
    case .text, .secret: "a text in quotes, on one line"
    case .address: "an https URL such as \"https://api.xvid.com/v1\" (http only for this machine)"
    case .path: "a path (absolute, relative or ~/...)"
    case .choice(let names): names.map { "\"\($0)\"" }.joined(separator: " or ")
    case .count(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .bytes(let range): Self.sizes(range)
    case .bytesOrAuto(let range): "\"\(Self.auto)\" or \(Self.sizes(range))"
    case .duration(let range):
      "a time from \(Durations.format(range.lowerBound)) to \(Durations.format(range.upperBound)) such as \"5s\" (a bare number is seconds)"
    case .flag: "true or false"
    }
  }

  private static func sizes(_ range: ClosedRange<Int64>) -> String {
    "a size from \(ByteCount.format(range.lowerBound)) to \(ByteCount.format(range.upperBound)) such as \"64MiB\" (a bare number is bytes)"
  }

  /// Whether a refused value may stand in the message.
  func isShowable(_ raw: RawValue) -> Bool {
    switch (self, raw) {
    case (.secret, _): false
    // "https://user:password@host".
    case (.address, .string(let text)): !text.contains("@") && !text.contains("?")
    default: true
    }
  }
}
