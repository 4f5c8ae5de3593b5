/// A module's part of the control API: its routes, and the events that its state causes. The server is given a list of
/// them and knows none by name. It is a value, which the module's function makes once.
package struct RouteGroup: Sendable {
  package var routes: [Route]
  /// Nil: the module tells no events.
  package var events: (any EventSource)?

  package init(_ routes: [Route], events: (any EventSource)? = nil) {
    self.routes = routes
    self.events = events
  }
}
