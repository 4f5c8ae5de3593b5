import Core

/// Codes that each log a browser in once, for the link that `fsmvp ui` gives. They are a value in `WebState`, in memory
/// alone; the time is passed in.
struct LoginCodes: Sendable {
  static let lifetime: Duration = .seconds(300)
  /// Most unused codes; one more drops the oldest.
  private static let most = 16

  private var codes: [(text: Redacted<String>, end: Moment)] = []

  /// A random code of 128 bits, as hex digits.
  mutating func make(at now: Moment) -> Redacted<String> {
    codes.removeAll { $0.end <= now }
    if codes.count == Self.most { codes.removeFirst() }
    let code = Redacted(Secret.hex(bytes: 16))
    codes.append((code, now + Self.lifetime))
    return code
  }

  /// Whether it is one, and not used.
  func knows(_ text: String, at now: Moment) -> Bool { index(of: text, at: now) != nil }

  /// The same; it is used from then on.
  mutating func use(_ text: String, at now: Moment) -> Bool {
    guard let index = index(of: text, at: now) else { return false }
    codes.remove(at: index)
    return true
  }

  private func index(of text: String, at now: Moment) -> Int? {
    let bytes = Array(text.utf8)
    return codes.firstIndex { $0.end > now && SessionKey.equal(Array($0.text.reveal().utf8), bytes) }
  }
}
