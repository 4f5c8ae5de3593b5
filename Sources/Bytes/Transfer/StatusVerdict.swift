/// The meaning of an HTTP status for a client that wants bytes of a file it was told exists; docs/ORIGINS.md has the
/// table. It is a value, without state.
package enum StatusVerdict: Sendable, Equatable, CaseIterable {
  /// The bytes follow: 206, or 200 with the whole object.
  case bytes
  /// Says nothing about the file: the same request is worth repeating after a pause.
  case passing
  /// The same, and fewer requests at a time are wanted.
  case overload
  /// The link may be at fault: another one is worth minting, and a new one may not be known everywhere yet.
  case link
  /// The file is gone, unless it is only the link: final once a new link is answered so too.
  case gone
  /// The range lies outside the object. Its length decides (`sizeDiffers`); with the right length, or none, it is a
  /// passing error.
  case outside

  package init(status: Int) {
    switch status {
    case 200, 206: self = .bytes
    case 429, 503: self = .overload
    case 408, 425: self = .passing
    case 410, 451: self = .gone
    case 416: self = .outside
    case 400..<500: self = .link
    default: self = .passing
    }
  }
}
