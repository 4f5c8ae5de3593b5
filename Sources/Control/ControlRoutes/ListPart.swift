import ControlModel

/// The part of a long list that a request wants. It is a plain value.
package struct ListPart: Equatable, Sendable {
  package static let limits = 1...1000
  /// The parameters of a route whose list can be had in parts.
  package static let parameters: [RouteParameter] = [.text("after"), .number("limit", in: limits)]

  /// The element after which the part begins: the value in the header `Link` of the part before, or an id; nil: from
  /// the beginning.
  package var after: String?
  /// At most so many; nil: all that follow.
  package var limit: Int?

  package init(after: String? = nil, limit: Int? = nil) {
    self.after = after
    self.limit = limit
  }
}
