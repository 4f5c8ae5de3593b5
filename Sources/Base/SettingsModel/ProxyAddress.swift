/// The proxy's URL, as the setting has it: `scheme://[user[:password]@]host:port`. These are pure functions of the
/// text.
package enum ProxyAddress {
  private static let schemes = ["http", "https", "socks5", "socks5h"]

  /// The text with the scheme in lower case and without a last slash; nil unless it is one of the four schemes with a
  /// host and a port and nothing behind.
  package static func parse(_ text: String) -> String? {
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), let colon = text.firstIndex(of: ":"),
      text[colon...].hasPrefix("://")
    else {
      return nil
    }
    let scheme = text[..<colon].lowercased()
    var rest = text[text.index(colon, offsetBy: 3)...]
    if rest.hasSuffix("/") { rest.removeLast() }
    guard schemes.contains(scheme), !rest.contains(where: { "/?#\\\"<>^`{|}".contains($0) }) else { return nil }
    let parts = rest.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count <= 2, parts.count == 1 || !(parts.first ?? "").isEmpty, let place = parts.last,
      isHostAndPort(place)
    else {
      return nil
    }
    return scheme + "://" + rest
  }

  /// Without user and password; what was parsed comes in.
  package static func shown(_ address: String) -> String {
    guard let at = address.firstIndex(of: "@"), let slashes = address.firstRange(of: "://"), slashes.upperBound <= at
    else {
      return address
    }
    return address[..<slashes.upperBound] + "‹redacted›" + address[at...]
  }

  private static func isHostAndPort(_ place: Substring) -> Bool {
    guard let colon = place.lastIndex(of: ":"), let port = UInt16(place[place.index(after: colon)...]), port > 0,
      place[place.index(after: colon)...].allSatisfy(\.isNumber)
    else { return false }
    let host = place[..<colon]
    if host.hasPrefix("[") { return host.hasSuffix("]") && host.count > 2 }
    return !host.isEmpty && !host.contains(where: { ":[]".contains($0) })
  }
}
