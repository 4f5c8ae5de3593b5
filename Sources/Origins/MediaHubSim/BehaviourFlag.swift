import Core

/// A flag of the command line for each key of `Behaviour`'s JSON, so that both refuse the same values. The flags are
/// constants, which the program's start alone uses.
struct BehaviourFlag {
  enum Value {
    /// A time, for a key in milliseconds or in seconds.
    case milliseconds, seconds
    case bytes, count, word
    /// The flag alone, meaning this.
    case on, off
  }

  let name: String
  let key: String
  let value: Value
  /// The placeholder for the value in the help; empty for a flag without one.
  let placeholder: String
  let help: String

  private init(_ name: String, _ key: String, _ value: Value, _ placeholder: String, _ help: String) {
    (self.name, self.key, self.value, self.placeholder, self.help) = (name, key, value, placeholder, help)
  }

  var takesValue: Bool { !placeholder.isEmpty }

  /// In the order of the help.
  static let all = [
    BehaviourFlag(
      "--rate", "rate", .bytes, "BYTES", "a second, of all downloads together, as 40MiB; unlimited by default"),
    BehaviourFlag("--rate-per-connection", "rate_per_connection", .bytes, "BYTES", "a second, of each download"),
    BehaviourFlag(
      "--first-byte-delay", "first_byte_delay_ms", .milliseconds, "TIME", "before each answer of the storage, as 80ms"),
    BehaviourFlag("--api-delay", "api_delay_ms", .milliseconds, "TIME", "before each answer of the API"),
    BehaviourFlag("--max-connections", "max_connections", .count, "N", "storage requests at a time; more are refused"),
    BehaviourFlag(
      "--max-requests-per-second", "max_requests_per_second", .count, "N", "storage requests; more are refused"),
    BehaviourFlag("--limit-status", "limit_status", .count, "STATUS", "of those refusals; 429 by default"),
    BehaviourFlag(
      "--limit-retry-after", "limit_retry_after", .count, "N", "their Retry-After, in seconds; 1 by default, 0 is none"),
    BehaviourFlag("--token-seconds", "token_seconds", .seconds, "SECONDS", "how long a token lives; 7200 by default"),
    BehaviourFlag(
      "--expires-in", "expires_in", .word, "HOW", "how a token says it: string (default), number or absent"),
    BehaviourFlag("--link-seconds", "link_seconds", .seconds, "SECONDS", "how long a link lives; 3600 by default"),
    BehaviourFlag("--link-expiry-shown", "link_expiry_shown", .on, "", "links say when they end, in Expires="),
    BehaviourFlag(
      "--expired-status", "expired_status", .count, "STATUS", "of a link that has ended; 403 by default, 400 as S3's"),
    BehaviourFlag(
      "--link-ready", "link_ready_seconds", .seconds, "SECONDS", "a younger link is answered 404; 0 by default"),
    BehaviourFlag(
      "--relative-location", "relative_location", .on, "", "links are relative to the API, on a port that is shared"),
    BehaviourFlag("--storage-hops", "storage_hops", .count, "N", "redirects within the storage before the bytes"),
    BehaviourFlag("--no-ranges", "ranges", .off, "", "every answer of the storage is the whole file"),
    BehaviourFlag(
      "--etag", "etag", .word, "HOW",
      "strong (default), weak, none, edges (two by turns) or erratic (another each time)"),
    BehaviourFlag("--no-last-modified", "last_modified", .off, "", "answers have no date of change"),
    BehaviourFlag("--same-date", "date_changes", .off, "", "a change of a file does not show in its date"),
    BehaviourFlag(
      "--size-spelling", "size_spelling", .word, "HOW", "sizes in the API's bodies: number (default), float or string"),
  ]

  /// `text` is ignored by a flag alone.
  func apply(_ text: String, to settings: inout Behaviour) throws(SimulatorError) {
    do { try settings.merge(.object([(key, try json(text))])) } catch { throw SimulatorError("\(name): \(error)") }
  }

  private func json(_ text: String) throws(SimulatorError) -> JSON {
    switch value {
    case .on: return true
    case .off: return false
    case .bytes, .word: return .string(text)
    case .count: if let count = Int64(text) { return .int(count) }
    case .seconds: if let time = Durations.parse(text) { return .double(time.seconds) }
    case .milliseconds: if let time = Durations.parse(text) { return .double(time.seconds * 1000) }
    }
    throw SimulatorError(value == .count ? "'\(text)' is no number" : "'\(text)' is no time such as 80ms or 2.5s")
  }
}

extension Fault {
  /// `KIND[,key=value...]`, with the keys and values of the JSON form.
  init(flag text: String) throws(SimulatorError) {
    var parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    var members: [(String, JSON)] = [("kind", .string(parts.removeFirst()))]
    for part in parts {
      guard let equals = part.firstIndex(of: "=") else { throw SimulatorError("--fault: '\(part)' is not key=value") }
      members.append((String(part[..<equals]), Self.json(String(part[part.index(after: equals)...]))))
    }
    do { try self.init(.object(members)) } catch { throw SimulatorError("--fault \(text): \(error)") }
  }

  /// An id may consist of decimal digits, and is none.
  private static func json(_ text: String) -> JSON {
    if text.isMediaHubID { return .string(text) }
    if let whole = Int64(text) { return .int(whole) }
    return Double(text).map { .double($0) } ?? .string(text)
  }
}
