import Core

/// The rule for the values of a key. It is a plain value; nothing here reads a file.
package enum SettingRule: Sendable {
  case text
  /// A text that is never shown.
  case secret
  /// The service's base URL.
  case address
  /// A proxy's URL; user and password in it are never shown.
  case proxy
  case path
  case choice([String])
  case count(ClosedRange<Int>)
  case bytes(ClosedRange<Int64>)
  /// Bytes, or the text "auto".
  case bytesOrAuto(ClosedRange<Int64>)
  /// Bytes; a bare number from 1 to `mostChunks` counts pieces of the size that another key gives.
  case bytesOrChunks(ClosedRange<Int64>, of: String)
  case duration(ClosedRange<Duration>)
  case flag

  package static let auto = "auto"
  private static let mostChunks: Int64 = 4096

  /// The value, or nil if the rule does not allow it; `count` for a number of chunks.
  /// - Parameters:
  ///   - isSpelled: it came from a variable or a flag, where numbers and truths are texts too.
  ///   - absolute: makes a path absolute.
  package func read(_ raw: RawValue, isSpelled: Bool, absolute: (String) -> String?) -> SettingValue? {
    switch (self, raw) {
    case (.text, .string(let text)), (.secret, .string(let text)):
      // A NUL or a line break would end a C string or a header early.
      return text.utf8.contains { $0 < 0x20 || $0 == 0x7f } ? nil : .text(text)
    case (.address, .string(let text)): return APIBase.parse(text).map(SettingValue.text)
    case (.proxy, .string(let text)): return ProxyAddress.parse(text).map(SettingValue.text)
    case (.path, .string(let text)): return absolute(text).map(SettingValue.text)
    case (.choice(let names), .string(let text)):
      return names.contains(text.lowercased()) ? .text(text.lowercased()) : nil
    case (.count(let range), .integer(let number)):
      return Int(exactly: number).flatMap { range.contains($0) ? .count($0) : nil }
    case (.count(let range), .string(let text)) where isSpelled:
      return Int(text).flatMap { range.contains($0) ? .count($0) : nil }
    case (.bytesOrAuto, .string(Self.auto)): return .text(Self.auto)
    case (.bytesOrChunks, .integer(let number)) where (1...Self.mostChunks).contains(number): return .count(Int(number))
    case (.bytesOrChunks, .string(let text)) where (1...Self.mostChunks).contains(Int64(text) ?? 0):
      return Int(text).map(SettingValue.count)
    case (.bytes(let range), .integer(let number)), (.bytesOrAuto(let range), .integer(let number)),
      (.bytesOrChunks(let range, _), .integer(let number)):
      return range.contains(number) ? .bytes(number) : nil
    case (.bytes(let range), .string(let text)), (.bytesOrAuto(let range), .string(let text)),
      (.bytesOrChunks(let range, _), .string(let text)):
      return ByteCount.parse(text).flatMap { range.contains($0) ? .bytes($0) : nil }
    case (.duration(let range), .integer(let number)):
      return Self.duration(Durations.seconds(Double(number)), in: range)
    case (.duration(let range), .float(let number)): return Self.duration(Durations.seconds(number), in: range)
    case (.duration(let range), .string(let text)): return Self.duration(Durations.parse(text), in: range)
    case (.flag, .boolean(let flag)): return .flag(flag)
    case (.flag, .string(let text)) where isSpelled:
      return ["true": true, "yes": true, "on": true, "1": true, "false": false, "no": false, "off": false, "0": false][
        text.lowercased()
      ]
      .map(SettingValue.flag)
    default: return nil
    }
  }

  private static func duration(_ value: Duration?, in range: ClosedRange<Duration>) -> SettingValue? {
    value.flatMap { range.contains($0) ? .duration($0) : nil }
  }

  /// The allowed values in words, to follow "must be".
  package var allowed: String {
    switch self {
    case .text, .secret: "a text in quotes, on one line"
    case .address: "an https URL such as \"https://api.xvid.com/v1\" (http only for this machine)"
    case .proxy: "a proxy's URL with its port such as \"http://proxy.example:3128\" (also https, socks5, socks5h)"
    case .path: "a path (absolute, relative or ~/...)"
    case .choice(let names): names.map { "\"\($0)\"" }.joined(separator: " or ")
    case .count(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .bytes(let range), .bytesOrChunks(let range, _): Self.sizes(range)
    case .bytesOrAuto(let range): "\"\(Self.auto)\" or \(Self.sizes(range))"
    case .duration(let range):
      "a time from \(Durations.format(range.lowerBound)) to \(Durations.format(range.upperBound)) such as \"5s\" (a "
        + "bare number is seconds)"
    case .flag: "true or false"
    }
  }

  /// The allowed values in short, for a column of a table.
  package var summary: String {
    switch self {
    case .text, .secret: "text"
    case .address: "URL"
    case .proxy: "URL with a port"
    case .path: "path"
    case .choice(let names): names.map { "`\($0)`" }.joined(separator: ", ")
    case .count(let range): "\(range.lowerBound) to \(range.upperBound)"
    case .bytes(let range), .bytesOrChunks(let range, _):
      "\(ByteCount.format(range.lowerBound)) to \(ByteCount.format(range.upperBound))"
    case .bytesOrAuto(let range):
      "`\(Self.auto)`, \(ByteCount.format(range.lowerBound)) to \(ByteCount.format(range.upperBound))"
    case .duration(let range): "\(Durations.format(range.lowerBound)) to \(Durations.format(range.upperBound))"
    case .flag: "`true`, `false`"
    }
  }

  private static func sizes(_ range: ClosedRange<Int64>) -> String {
    "a size from \(ByteCount.format(range.lowerBound)) to \(ByteCount.format(range.upperBound)) such as \"64MiB\" (a "
      + "bare number is bytes)"
  }

  /// Whether a refused value may stand in the message.
  package func isShowable(_ raw: RawValue) -> Bool {
    switch (self, raw) {
    case (.secret, _): false
    // "https://user:password@host".
    case (.address, .string(let text)), (.proxy, .string(let text)): !text.contains("@") && !text.contains("?")
    default: true
    }
  }
}
