import ControlModel

/// A request that matches a route's pattern: its values have been checked. It is a value, which the server makes for
/// the route's handler.
package struct RouteRequest: Sendable {
  /// The text at the place of "{name}"; else the last segment of the path.
  package let segment: String
  package let query: [String: String]
  package var body: [UInt8]

  package init(segment: String = "", query: [String: String] = [:], body: [UInt8] = []) {
    self.segment = segment
    self.query = query
    self.body = body
  }

  /// A parameter `number`; nil if the request does not have it.
  package func number(_ name: String) -> Int? { query[name].flatMap { Int($0) } }

  /// A parameter `path`, absolute; nil if the request does not have it.
  package func path(_ name: String) -> String? { query[name].flatMap(RouteParameter.absolute) }

  /// The part of a list that the parameters `ListPart.parameters` name.
  package var part: ListPart {
    guard query["after"] != nil || query["limit"] != nil else { return ListPart() }
    return ListPart(after: query["after"], limit: number("limit") ?? ListPart.limits.upperBound)
  }

  /// The body's value.
  /// - Parameter shape: an example, for the sentence of the error.
  /// - Throws: `invalid`.
  package func decode<Value: Decodable>(_ type: Value.Type, shape: String) throws(ControlError) -> Value {
    do {
      return try ControlJSON.decode(type, from: body)
    } catch {
      throw ControlError(.invalid, "the request's body has to be JSON like \(shape)")
    }
  }
}
