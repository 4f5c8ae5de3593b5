import ByteSource
import CCurl
import Core

/// The one rule of where requests may go: https, or plain http to this machine and to hosts that a policy names. Judged
/// by libcurl's own parser, so that there are no two opinions of what a URL's host is. It is a pure function, without
/// state or network.
enum SecureURL {
  /// The author of a URL, which an error is about.
  enum Author {
    /// The service, or the configuration: it will not say otherwise.
    case service
    /// A server on the way, whose next answer may lead elsewhere.
    case redirect

    fileprivate func error(_ sentence: String, isInsecure: Bool) -> TransferError {
      switch self {
      case .redirect: .wrongAnswer("a redirect: \(sentence)")
      case .service: isInsecure ? .insecure(sentence) : .refused(sentence)
      }
    }
  }

  /// - Parameters:
  ///   - text: the URL; relative to `base`, where one is given (a Location header).
  /// - Returns: the URL, absolute; as secret as what came in.
  static func check(
    _ text: String, relativeTo base: String? = nil, _ policy: SourcePolicy = SourcePolicy(),
    of author: Author = .service
  ) throws(TransferError) -> String {
    let noURL = author.error(
      author == .service ? "The service gave a link that is not a URL." : "it leads to what is not a URL",
      isInsecure: false)
    guard let handle = curl_url() else { throw .unreachable("out of memory") }
    defer { curl_url_cleanup(handle) }
    // A NUL would end the C string before what we judged.
    guard !text.utf8.contains(0) else { throw noURL }
    if let base {
      guard curl_url_set(handle, CURLUPART_URL, base, 0) == CURLUE_OK else { throw noURL }
    }
    // For redirects, with the leniency libcurl has when it follows them.
    let flags = base == nil ? 0 : UInt32(CURLU_URLENCODE | CURLU_ALLOW_SPACE)
    guard curl_url_set(handle, CURLUPART_URL, text, flags | UInt32(CURLU_NON_SUPPORT_SCHEME)) == CURLUE_OK,
      let scheme = part(CURLUPART_SCHEME, of: handle), let absolute = part(CURLUPART_URL, of: handle)
    else { throw noURL }
    // libcurl would make a Basic Authorization header of it.
    guard part(CURLUPART_USER, of: handle) == nil, part(CURLUPART_PASSWORD, of: handle) == nil else {
      throw author.error("The link holds a user name, which is not allowed.", isInsecure: true)
    }
    switch scheme {
    case "https": return absolute
    case "http" where isPlainAllowed(part(CURLUPART_HOST, of: handle) ?? "", policy): return absolute
    case "http":
      throw author.error("The link is plain http to another machine; only https is allowed.", isInsecure: true)
    default: throw author.error("The link is neither https nor http.", isInsecure: true)
    }
  }

  private static func isPlainAllowed(_ host: String, _ policy: SourcePolicy) -> Bool {
    Loopback.contains(host) || policy.plainHosts.contains(host.lowercased())
  }

  private static func part(_ part: CURLUPart, of handle: OpaquePointer) -> String? {
    var text: UnsafeMutablePointer<CChar>?
    guard curl_url_get(handle, part, &text, 0) == CURLUE_OK, let text else { return nil }
    defer { curl_free(text) }
    return String(cString: text)
  }
}
