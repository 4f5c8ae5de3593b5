import Core
import FoundationEssentials

/// How long a signed URL goes on working, where its own query says so in a form that storages are known for:
///
/// - `X-Amz-Date` + `X-Amz-Expires`, `X-Goog-Date` + `X-Goog-Expires` (signatures of version 4): when it was signed, and for how many seconds;
/// - `Expires` in seconds since 1970 (CloudFront, and signatures of version 2);
/// - `se` in ISO 8601, beside `sig` (Azure).
///
/// Only a hint: storages' clocks are not ours, and a link may be revoked before.
enum LinkExpiry {
  /// More is not believed: signatures of version 4 have no more, and it costs nothing to ask again after a week.
  private static let longest: Int64 = 7 * 86_400

  /// The time left of a URL that was just given, more than nothing and at most a week; nil where it does not say, or cannot mean what it says: a
  /// new link that is over by our clock is one more sign of clocks that differ.
  /// - Parameter wallSeconds: seconds since 1970.
  static func left(of url: String, wallSeconds: Int64) -> Duration? {
    let query = items(WebAddress(url)?.query ?? "")
    var end: Int64?
    for vendor in ["X-Amz-", "X-Goog-"] {
      guard let date = query[vendor + "Date"].flatMap(basicTime), let life = query[vendor + "Expires"].flatMap(number), life <= longest
      else { continue }
      // Signed in our future, by a clock ahead of ours: it has not more than its whole life.
      end = min(date, wallSeconds) + life
      break
    }
    if end == nil { end = query["Expires"].flatMap(number) }
    if end == nil, query["sig"] != nil { end = query["se"].flatMap(extendedTime) }
    guard let end, end > wallSeconds else { return nil }
    return .seconds(min(end - wallSeconds, longest))
  }

  /// Names and values as they stand; a name that comes twice has no value.
  private static func items(_ query: String) -> [String: String] {
    var found: [String: String] = [:]
    var twice: Set<String> = []
    for item in query.split(separator: "&") {
      let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2 else { continue }
      if found.updateValue(parts[1], forKey: parts[0]) != nil { twice.insert(parts[0]) }
    }
    for name in twice { found[name] = nil }
    return found
  }

  /// Digits only, up to the year 9999.
  private static func number(_ text: String) -> Int64? {
    guard isDigits(text[...]), let value = Int64(text), value < 253_402_300_800 else { return nil }
    return value
  }

  /// `20260131T235959Z`
  private static func basicTime(_ text: String) -> Int64? {
    let all = Array(text)
    guard all.count == 16, all[8] == "T", all[15] == "Z", isDigits(text.prefix(8)), isDigits(text.dropFirst(9).dropLast()) else {
      return nil
    }
    func part(_ range: Range<Int>) -> String { String(all[range]) }
    return time("\(part(0..<4))-\(part(4..<6))-\(part(6..<8))T\(part(9..<11)):\(part(11..<13)):\(part(13..<15))Z")
  }

  /// `2026-01-31T23:59:59Z`, also without seconds or without the time, as Azure allows it; colons encoded or not.
  private static func extendedTime(_ text: String) -> Int64? {
    let text = text.replacing("%3A", with: ":").replacing("%3a", with: ":")
    return switch text.count {
    case 10: time(text + "T00:00:00Z")
    case 17 where text.hasSuffix("Z"): time(text.dropLast() + ":00Z")
    case 20: time(text)
    default: nil
    }
  }

  private static func time(_ text: String) -> Int64? {
    // The 31st of February and the 25th hour would be read as the days after them.
    guard let date = try? Date(text, strategy: .iso8601), date.formatted(.iso8601) == text, date.timeIntervalSince1970 >= 0 else {
      return nil
    }
    return Int64(date.timeIntervalSince1970)
  }

  private static func isDigits(_ text: Substring) -> Bool { !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) } }
}
