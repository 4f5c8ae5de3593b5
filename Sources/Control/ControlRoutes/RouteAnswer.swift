import ControlModel
import Core

/// An answer of a route: a status, headers and JSON. It is a value: the route's handler makes it on the dispatch loop,
/// and the server owns it from then on and sends it. It touches no connection itself.
package struct RouteAnswer {
  package enum Body {
    case json([UInt8])
    /// May be long: the closure writes the JSON on another thread.
    case long(@Sendable () -> [UInt8])
    /// An array that is made while it is sent (docs/adr/0028).
    case list(ListSource)
  }

  package let status: Int
  package let body: Body
  /// Beside those that every answer has.
  package var headers: [String: String] = [:]
  /// Called once the answer has gone out, or its client has.
  package var afterwards: (@DispatchLoop () -> Void)?
  /// The control plane stops: the server answers every later request with `stopping`.
  package var isLast = false

  private init(status: Int, body: Body) {
    self.status = status
    self.body = body
  }

  /// For small values: their JSON is written at once.
  package init(_ value: some Encodable, status: Int = 200) throws {
    self.init(status: status, body: .json(try ControlJSON.encode(value)))
  }

  package static func long(_ value: some Encodable & Sendable) -> RouteAnswer {
    RouteAnswer(status: 200, body: .long { (try? ControlJSON.encode(value)) ?? Array("null".utf8) })
  }

  package static func list(_ source: ListSource) -> RouteAnswer { RouteAnswer(status: 200, body: .list(source)) }

  /// Says where the next part of the list is: the header `Link` (RFC 8288).
  /// - Parameters:
  ///   - path: under /api/v1.
  ///   - after: made of characters that a query may have as they are.
  package mutating func link(next path: String, after: String, limit: Int) {
    headers["Link"] = "</api/v1/\(path)?after=\(after)&limit=\(limit)>; rel=\"next\""
  }
}
