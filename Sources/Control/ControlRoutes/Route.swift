import Core

/// A method and a path of the control API, and the code that answers there. It is a value that does not change, in a
/// `RouteGroup`; the handler runs on the dispatch loop.
package struct Route: Sendable {
  /// Runs on the dispatch loop; the request waits meanwhile, the loop does not. An error that is not `Explained` is
  /// answered as `failed`.
  package typealias Handler = @DispatchLoop (RouteRequest) async throws -> RouteAnswer

  package let pattern: RoutePattern
  /// The route's name in the log, without the values of a request.
  package let name: String
  package let handler: Handler

  /// - Parameter path: under /api/v1, with "{name}" in place of a segment of any text.
  package init(
    _ method: String, _ path: String, _ parameters: [RouteParameter] = [], name: String, handler: @escaping Handler
  ) {
    pattern = RoutePattern(method, ["api", "v1"] + path.split(separator: "/").map(String.init), parameters)
    self.name = name
    self.handler = handler
  }
}
