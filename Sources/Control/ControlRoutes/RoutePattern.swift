import ControlModel

/// The requests that a route takes: a method, a path and the parameters of the query.
///
/// It is a value that never changes; its route owns it, and the server's `RouteTable` asks it about each request. It
/// touches nothing else and waits for nothing.
package struct RoutePattern: Sendable {
  package let method: String
  /// From the root; "{name}" is one segment of any text.
  package let path: [String]
  package let parameters: [RouteParameter]

  package init(_ method: String, _ path: [String], _ parameters: [RouteParameter] = []) {
    self.method = method
    self.path = path
    self.parameters = parameters
  }

  package func matches(_ path: [String]) -> Bool {
    path.count == self.path.count && zip(path, self.path).allSatisfy { $1.hasPrefix("{") ? !$0.isEmpty : $0 == $1 }
  }

  /// - Throws: `invalid`, also for an unknown parameter, so that a misspelt one cannot mean "all".
  package func check(_ query: [String: String]) throws(ControlError) {
    if let unknown = query.keys.sorted().first(where: { name in !parameters.contains { $0.name == name } }) {
      throw ControlError(.invalid, "the parameter \(unknown) is not known here")
    }
    for parameter in parameters { try parameter.check(query[parameter.name]) }
  }
}
