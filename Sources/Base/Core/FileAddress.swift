/// A file named by a path or by a `file:` URL (RFC 8089), as file managers and browsers hand it over. It is a pure
/// function of the text, which touches no file.
package enum FileAddress {
  /// - Returns: the path; a text that is no `file:` URL as it is; nil for a URL of another machine, without a path, or
  ///   with bad percent-encoding.
  package static func path(_ text: String) -> String? {
    guard text.prefix(5).lowercased() == "file:" else { return text }
    var rest = text.dropFirst(5)
    if rest.hasPrefix("//") {
      let host = rest.dropFirst(2).prefix { $0 != "/" }
      guard host.isEmpty || host.lowercased() == "localhost" else { return nil }
      rest = rest.dropFirst(2 + host.count)
    }
    guard rest.hasPrefix("/") else { return nil }
    return decoded(rest)
  }

  private static func decoded(_ text: Substring) -> String? {
    guard let bytes = PercentEncoding.decode(text.utf8), !bytes.contains(0) else { return nil }
    return String(validating: bytes, as: UTF8.self)
  }
}
