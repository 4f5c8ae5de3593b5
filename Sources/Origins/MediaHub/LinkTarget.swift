import Core

/// The URL that a Location header points to. It is a pure function without state.
enum LinkTarget {
  /// The absolute URL of `location`, an answer to `request`; as secret as they are.
  static func resolve(_ location: Redacted<String>, from request: String) throws(Refusal) -> Redacted<String> {
    guard let repaired = PercentEncoding.repair(location.reveal()), let reference = WebAddress(repaired),
      let base = WebAddress(request)
    else {
      throw .unreadable
    }
    var target = base.resolve(reference)
    target.fragment = nil
    guard target.host != nil else { throw .unreadable }
    guard target.isAllowed else { throw .insecure }
    return Redacted(target.text)
  }

  enum Refusal: Error {
    case unreadable
    /// Neither https nor this machine, or with credentials in it.
    case insecure
  }
}
