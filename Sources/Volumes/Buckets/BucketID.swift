import Glibc

/// The id of a bucket: a UUID in lower case, version 4. These are pure functions.
enum BucketID {
  static func make() -> String {
    var generator = SystemRandomNumberGenerator()
    var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    bytes[6] = bytes[6] & 0x0f | 0x40
    bytes[8] = bytes[8] & 0x3f | 0x80
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for (index, byte) in bytes.enumerated() {
      if [4, 6, 8, 10].contains(index) { text.append(0x2d) }
      text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The id in lower case; nil for a text that is no UUID.
  static func parse(_ text: String) -> String? {
    let groups = text.utf8.split(separator: 0x2d, omittingEmptySubsequences: false)
    guard groups.map(\.count) == [8, 4, 4, 4, 12] else { return nil }
    let isHex = groups.joined().allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0)
    }
    return isHex ? text.lowercased() : nil
  }
}

/// Times as the bucket API writes them: RFC 3339 in UTC. These are pure functions.
enum BucketTime {
  /// - Parameter nanoseconds: since 1970.
  static func text(_ nanoseconds: Int64) -> String {
    let parts = split(nanoseconds)
    let thousandths = String(1000 + (nanoseconds / 1_000_000 % 1000 + 1000) % 1000).dropFirst()
    return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T\(clock(parts)).\(thousandths)Z"
  }

  /// For the header Last-Modified.
  static func header(_ nanoseconds: Int64) -> String {
    let parts = split(nanoseconds)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(parts.tm_year + 1900) "
      + "\(clock(parts)) GMT"
  }

  private static func split(_ nanoseconds: Int64) -> tm {
    var seconds = time_t(nanoseconds / 1_000_000_000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    return parts
  }

  private static func clock(_ parts: tm) -> String { "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))" }
  private static func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
