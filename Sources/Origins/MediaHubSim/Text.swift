import Core
import Glibc

/// The URL and date spellings of RFC 3986 and RFC 9110, by hand since Foundation stays out of this module. These are
/// pure functions.
enum URLText {
  private static let unreserved = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~".utf8)
  private static let digits = Array("0123456789ABCDEF".utf8)

  static func isUnreserved(_ byte: UInt8) -> Bool { unreserved.contains(byte) }

  /// Everything but the unreserved characters as %XX, so that a tag with `/ & # % +`, spaces or UTF-8 comes back as it
  /// went.
  static func encode(_ text: String) -> String {
    var out: [UInt8] = []
    for byte in text.utf8 {
      if unreserved.contains(byte) {
        out.append(byte)
      } else {
        out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// A component of a form or a query: `+` is a space.
  static func decode(_ text: some Collection<UInt8>) -> String {
    var out: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "+") {
        out.append(0x20)
      } else if byte == UInt8(ascii: "%"), rest.count >= 2,
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      {
        out.append(value)
        rest = rest.dropFirst(2)
      } else {
        out.append(byte)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// The fields of an `application/x-www-form-urlencoded` body; the first of a name counts.
  static func form(_ body: [UInt8]) -> [String: String] {
    var fields: [String: String] = [:]
    for pair in body.split(separator: UInt8(ascii: "&")) {
      let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
      let name = decode(pair[..<equals])
      if fields[name] == nil { fields[name] = decode(equals < pair.endIndex ? pair[(equals + 1)...] : []) }
    }
    return fields
  }

  /// `text` with the values for `{name}`.
  static func filled(_ text: String, _ values: [String: Int64]) -> String {
    var (out, rest) = ("", text[...])
    while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
      out += rest[..<open] + (values[String(rest[rest.index(after: open)..<close])].map { "\($0)" } ?? "")
      rest = rest[rest.index(after: close)...]
    }
    return out + rest
  }

  /// "Sun, 06 Nov 1994 08:49:37 GMT".
  static func date(seconds: Int64) -> String {
    var time = time_t(seconds)
    var parts = tm()
    gmtime_r(&time, &parts)
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(1900 + parts.tm_year) "
      + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
  }
}

extension JSON {
  /// A count of bytes, as a number or as people write it ("40MiB").
  var byteCount: Int64? {
    if let text = string { return ByteCount.parse(text) }
    return int.flatMap { $0 >= 0 ? $0 : nil }
  }
}

extension String {
  /// 24 lower-case hex digits, as MediaHub's ids are.
  var isMediaHubID: Bool { utf8.count == 24 && utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) } }
}
