import ControlModel
import ControlRoutes

/// A route of the server itself: it needs the connection, the page or the clients of the events. It is a value that
/// `RouteTable` finds; `ControlServer` answers it.
enum OwnRoute: Equatable, Sendable {
  case events(after: String?)
  case login
  case health
  case readiness
  /// A file of the page, by its path.
  case page(String)
  /// A login's link, with its code.
  case enter(String)

  static let table: [(RoutePattern, @Sendable (RouteRequest) -> OwnRoute)] = [
    (
      RoutePattern("GET", ["api", "v1", "events"], [.text("last_event_id")]),
      { .events(after: $0.query["last_event_id"]) }
    ),
    (RoutePattern("POST", ["api", "v1", "login"]), { _ in .login }),
    (RoutePattern("GET", ["healthz"]), { _ in .health }),
    (RoutePattern("GET", ["readyz"]), { _ in .readiness }),
    (RoutePattern("GET", [""]), { _ in .page("/") }),
    (RoutePattern("GET", ["assets", "{name}"]), { .page("/assets/\($0.segment)") }),
    (RoutePattern("GET", ["login"], [.text("code")]), { .enter($0.query["code"] ?? "") }),
  ]
}
