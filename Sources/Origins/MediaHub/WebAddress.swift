import Core

/// A URL reference in its five parts, and what it means relative to another: RFC 3986, section 5.2.
///
/// (Foundation's URL is not used: it changes what it parses, and a signed link must arrive as it was written.) It is a
/// pure value.
struct WebAddress: Equatable {
  var scheme: String?
  var authority: String?
  var path: String
  var query: String?
  var fragment: String?

  /// Splits as the expression of RFC 3986, appendix B, does; nil if the scheme is not spelled like one.
  init?(_ text: String) {
    var rest = text[...]
    if let hash = rest.firstIndex(of: "#") {
      fragment = String(rest[rest.index(after: hash)...])
      rest = rest[..<hash]
    }
    if let mark = rest.firstIndex(of: "?") {
      query = String(rest[rest.index(after: mark)...])
      rest = rest[..<mark]
    }
    if let colon = rest.firstIndex(of: ":"), !rest[..<colon].contains("/") {
      let name = rest[..<colon].lowercased()
      guard let first = name.first, first.isASCII, first.isLetter,
        name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) })
      else { return nil }
      scheme = name
      rest = rest[rest.index(after: colon)...]
    }
    if rest.hasPrefix("//") {
      let after = rest.dropFirst(2)
      let end = after.firstIndex(of: "/") ?? after.endIndex
      authority = String(after[..<end])
      rest = after[end...]
    }
    path = String(rest)
  }

  private init(scheme: String?, authority: String?, path: String, query: String?, fragment: String?) {
    self.scheme = scheme
    self.authority = authority
    self.path = path
    self.query = query
    self.fragment = fragment
  }

  /// Section 5.3.
  var text: String {
    (scheme.map { $0 + ":" } ?? "") + (authority.map { "//" + $0 } ?? "") + path + (query.map { "?" + $0 } ?? "")
      + (fragment.map { "#" + $0 } ?? "")
  }

  /// Section 5.2.2.
  func resolve(_ reference: WebAddress) -> WebAddress {
    let fragment = reference.fragment
    if let scheme = reference.scheme {
      let path = Self.withoutDots(reference.path)
      return WebAddress(
        scheme: scheme, authority: reference.authority, path: path, query: reference.query, fragment: fragment)
    }
    if let authority = reference.authority {
      let path = Self.withoutDots(reference.path)
      return WebAddress(scheme: scheme, authority: authority, path: path, query: reference.query, fragment: fragment)
    }
    if reference.path.isEmpty {
      return WebAddress(
        scheme: scheme, authority: authority, path: path, query: reference.query ?? query, fragment: fragment)
    }
    let path = Self.withoutDots(reference.path.hasPrefix("/") ? reference.path : merged(reference.path))
    return WebAddress(scheme: scheme, authority: authority, path: path, query: reference.query, fragment: fragment)
  }

  /// Section 5.2.3.
  private func merged(_ reference: String) -> String {
    if authority != nil && path.isEmpty { return "/" + reference }
    return path.prefix(through: path.lastIndex(of: "/") ?? path.startIndex).filter { _ in path.contains("/") }
      + reference
  }

  /// Section 5.2.4.
  private static func withoutDots(_ path: String) -> String {
    let segments = path.split(separator: "/", omittingEmptySubsequences: false)
    var out: [Substring] = []
    for (index, segment) in segments.enumerated() {
      let isLast = index == segments.count - 1
      switch segment {
      case ".": if isLast { out.append("") }
      case "..":
        // The first segment of an absolute path is the empty one before its slash.
        if out.count > 1 || (out.count == 1 && out[0] != "") { out.removeLast() }
        if isLast { out.append("") }
      default: out.append(segment)
      }
    }
    return out.joined(separator: "/")
  }

  // MARK: Host and port

  /// Host and port, without what may stand before an `@`.
  var hostAndPort: String? {
    authority.map { String($0.split(separator: "@", omittingEmptySubsequences: false).last ?? "") }
  }

  /// Nil for none or an empty one; an IPv6 address keeps its brackets.
  var host: String? {
    guard let place = hostAndPort else { return nil }
    guard place.hasPrefix("[") else {
      let host = place.prefix { $0 != ":" }
      return host.isEmpty ? nil : host.lowercased()
    }
    return place.firstIndex(of: "]").map { place[...$0].lowercased() }
  }

  /// Whether requests may go there: https, or plain http to this machine; as a literal, no name is looked up.
  var isAllowed: Bool {
    guard let host, let authority, !authority.contains("@"), !authority.contains("%") else { return false }
    switch scheme {
    case "https": return true
    case "http": return Loopback.contains(host)
    default: return false
    }
  }
}
