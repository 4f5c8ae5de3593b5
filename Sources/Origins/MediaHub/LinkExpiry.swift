import Core

/// How long a signed URL goes on working, where its own query says so in a form that storages are known for:
///
/// - `X-Amz-Date` + `X-Amz-Expires`, `X-Goog-Date` + `X-Goog-Expires` (signatures of version 4): when it was signed,
///   and for how many seconds;
/// - `Expires` in seconds since 1970 (CloudFront, and signatures of version 2);
/// - `se` in ISO 8601, beside `sig` (Azure).
///
/// Only a hint: storages' clocks are not ours, and a link may be revoked before. It is a pure function of the URL's
/// text.
enum LinkExpiry {
  /// More is not believed: signatures of version 4 have no more, and it costs nothing to ask again after a week.
  private static let longest: Int64 = 7 * 86_400

  /// The time left of a URL that was just given, more than nothing and at most a week; nil where it does not say, or
  /// cannot mean what it says: a new link that is over by our clock is one more sign of clocks that differ.
  /// - Parameter wallSeconds: seconds since 1970.
  static func left(of url: String, wallSeconds: Int64) -> Duration? {
    let query = items(WebAddress(url)?.query ?? "")
    var end: Int64?
    for vendor in ["X-Amz-", "X-Goog-"] {
      guard let date = query[vendor + "Date"].flatMap(basicTime), let life = query[vendor + "Expires"].flatMap(number),
        life <= longest
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
    let all = Array(text.utf8)
    guard all.count == 16, all[8] == UInt8(ascii: "T"), all[15] == UInt8(ascii: "Z"), let day = digits(all[0..<8]),
      let time = digits(all[9..<15])
    else { return nil }
    return seconds(day / 10_000, day / 100 % 100, day % 100, time / 10_000, time / 100 % 100, time % 100)
  }

  /// `2026-01-31T23:59:59Z`, also without seconds or without the time, as Azure allows it; with a fraction, with an
  /// offset, or without a zone (then it is UTC); colons encoded or not.
  private static func extendedTime(_ text: String) -> Int64? {
    let decoded = text.replacing("%3A", with: ":").replacing("%3a", with: ":").replacing("%2B", with: "+").replacing(
      "%2b", with: "+")
    var rest = Array(decoded.utf8)[...]
    func take(_ count: Int) -> Int64? {
      guard rest.count >= count, let value = digits(rest.prefix(count)) else { return nil }
      rest = rest.dropFirst(count)
      return value
    }
    func skip(_ characters: String) -> Bool {
      guard let first = rest.first, characters.utf8.contains(first) else { return false }
      rest = rest.dropFirst()
      return true
    }
    guard let year = take(4), skip("-"), let month = take(2), skip("-"), let day = take(2) else { return nil }
    guard !rest.isEmpty else { return seconds(year, month, day, 0, 0, 0) }
    guard skip("Tt +"), let hour = take(2), skip(":"), let minute = take(2) else { return nil }
    var second: Int64 = 0
    if skip(":") {
      guard let value = take(2) else { return nil }
      second = value
      if skip(".,") {
        guard take(1) != nil else { return nil }
        while take(1) != nil {}
      }
    }
    var offset: Int64 = 0
    if let sign = rest.first, skip("+-") {
      guard let hours = take(2), hours < 24 else { return nil }
      _ = skip(":")
      let minutes = rest.isEmpty ? 0 : take(2)
      guard let minutes, minutes < 60 else { return nil }
      offset = (hours * 3600 + minutes * 60) * (sign == UInt8(ascii: "-") ? -1 : 1)
    } else {
      _ = skip("Zz")
    }
    guard rest.isEmpty, let local = seconds(year, month, day, hour, minute, second), local >= offset else { return nil }
    return local - offset
  }

  /// Seconds since 1970; nil for the 31st of February, the 25th hour and what was before 1970.
  private static func seconds(
    _ year: Int64, _ month: Int64, _ day: Int64, _ hour: Int64, _ minute: Int64, _ second: Int64
  ) -> Int64? {
    guard (1970...9999).contains(year), (1...12).contains(month), hour < 24, minute < 60, second < 60 else {
      return nil
    }
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    guard day >= 1, day <= lengths[Int(month) - 1] else { return nil }
    let before = year - 1
    // 719,162 days from the first of January of year 1 to that of 1970.
    let days = before * 365 + before / 4 - before / 100 + before / 400 - 719_162
    return (days + lengths[..<Int(month - 1)].reduce(0, +) + day - 1) * 86_400 + hour * 3600 + minute * 60 + second
  }

  private static func digits(_ text: ArraySlice<UInt8>) -> Int64? {
    var value: Int64 = 0
    for byte in text {
      guard (0x30...0x39).contains(byte) else { return nil }
      value = value * 10 + Int64(byte - 0x30)
    }
    return text.isEmpty ? nil : value
  }

  private static func isDigits(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }
}
