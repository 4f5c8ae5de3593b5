import Core

/// The service's base URL, as the setting has it. It is a pure function of the text.
package enum APIBase {
  /// Without trailing slashes; nil unless it is https (or http to this machine) with a host, and neither credentials,
  /// query nor fragment.
  package static func parse(_ text: String) -> String? {
    var base = text[...]
    while base.hasSuffix("/") { base.removeLast() }
    guard base.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), !base.contains(where: { "@?#\\\"<>^`{|}".contains($0) })
    else { return nil }
    guard let colon = base.firstIndex(of: ":"), base[colon...].hasPrefix("://") else { return nil }
    let scheme = base[..<colon].lowercased()
    let rest = base[base.index(colon, offsetBy: 3)...]
    let authority = rest.prefix { $0 != "/" }
    guard let host = host(authority) else { return nil }
    switch scheme {
    case "https": break
    case "http" where Loopback.contains(host): break
    default: return nil
    }
    return scheme + "://" + rest
  }

  /// The host of `host[:port]` or `[address][:port]`.
  private static func host(_ authority: Substring) -> Substring? {
    let end =
      authority.hasPrefix("[")
      ? authority.firstIndex(of: "]").map { authority.index(after: $0) } : authority.firstIndex(of: ":")
    let host = authority[..<(end ?? authority.endIndex)]
    let port = authority[(end ?? authority.endIndex)...]
    guard !host.isEmpty, host.hasPrefix("[") == host.hasSuffix("]") else { return nil }
    if !port.isEmpty {
      guard port.hasPrefix(":"), port.dropFirst().allSatisfy(\.isNumber), let number = UInt16(port.dropFirst()),
        number > 0
      else {
        return nil
      }
    }
    return host
  }
}
