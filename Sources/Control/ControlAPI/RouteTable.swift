import ControlModel
import ControlRoutes

/// The routes of all groups, and the server's own. It is a value that does not change; `ControlServer` owns it.
struct RouteTable: Sendable {
  /// A request whose method, path and parameters are right.
  enum Match: Sendable {
    case own(OwnRoute)
    case given(Route, RouteRequest)
  }

  private struct Entry: Sendable {
    var pattern: RoutePattern
    var match: @Sendable (RouteRequest) -> Match
  }

  private let entries: [Entry]

  init(_ groups: [RouteGroup]) {
    let own = OwnRoute.table.map { pattern, make in Entry(pattern: pattern) { .own(make($0)) } }
    entries = groups.flatMap(\.routes).map { route in Entry(pattern: route.pattern) { .given(route, $0) } } + own
  }

  var patterns: [RoutePattern] { entries.map(\.pattern) }

  /// - Throws: `no_such_route`, `method_not_allowed`, `invalid`.
  func match(method: String, target raw: String) throws(ControlError) -> Match {
    let target = try RequestTarget(raw)
    let entries = entries.filter { $0.pattern.matches(target.path) }
    guard !entries.isEmpty else { throw ControlError(.noSuchRoute, "there is nothing at this path of the API") }
    guard let entry = entries.first(where: { $0.pattern.method == method }) else {
      throw ControlError(.methodNotAllowed, "this path takes \(entries.map(\.pattern.method).joined(separator: ", "))")
    }
    try entry.pattern.check(target.query)
    return entry.match(RouteRequest(segment: target.path.last ?? "", query: target.query))
  }

  /// The methods a path takes, for the header `Allow`; empty if nothing is there.
  func methods(target raw: String) -> [String] {
    guard let target = try? RequestTarget(raw) else { return [] }
    return entries.map(\.pattern).filter { $0.matches(target.path) }.map(\.method)
  }
}
