/// Times as people write them in settings and flags: "500ms", "5s", "1.5m", "1h"; a bare number is seconds. These are
/// pure functions.
package enum Durations {
  // The longer name first: "ms" ends in "s".
  private static let units: [(name: String, nanoseconds: Double)] = [
    ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
  ]

  /// Nil for anything else, negative or longer than a hundred years.
  package static func parse(_ text: String) -> Duration? {
    let text = text.filter { $0 != " " }
    let unit = units.first { text.hasSuffix($0.name) }
    let digits = text.dropLast(unit?.name.count ?? 0)
    // Double would also take "inf", "0x10" and "1e9".
    guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }), let number = Double(digits)
    else { return nil }
    return duration(nanoseconds: number * (unit?.nanoseconds ?? 1e9))
  }

  package static func seconds(_ seconds: Double) -> Duration? { duration(nanoseconds: seconds * 1e9) }

  private static func duration(nanoseconds: Double) -> Duration? {
    guard nanoseconds >= 0, nanoseconds <= 100 * 365 * 86_400 * 1e9 else { return nil }
    return .nanoseconds(Int64(nanoseconds.rounded()))
  }

  /// The shortest of the spellings that `parse` reads back exactly, to the millisecond: "90s", "2m", "1h", "1500ms".
  package static func format(_ duration: Duration) -> String {
    let milliseconds = duration.nanoseconds / 1_000_000
    if milliseconds % 1000 != 0 { return "\(milliseconds)ms" }
    let seconds = milliseconds / 1000
    if seconds > 0, seconds % 3600 == 0 { return "\(seconds / 3600)h" }
    return seconds > 0 && seconds % 60 == 0 ? "\(seconds / 60)m" : "\(seconds)s"
  }
}
