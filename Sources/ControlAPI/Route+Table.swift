import ControlModel

extension Route {
  /// What stands at a path, and the method that does it.
  struct Entry: Sendable {
    var method: String
    /// From the root; "{name}" is one segment of any text.
    var path: [String]
    var parameters: Set<String> = []
    var make: @Sendable (_ segment: String, _ query: [String: String]) throws(ControlError) -> Route

    func matches(_ path: [String]) -> Bool {
      path.count == self.path.count && zip(path, self.path).allSatisfy { $1.hasPrefix("{") ? !$0.isEmpty : $0 == $1 }
    }
  }

  /// - Parameter path: under /api/v1.
  private static func api(
    _ method: String, _ path: String, _ parameters: Set<String> = [],
    _ make: @escaping @Sendable (_ segment: String, _ query: [String: String]) throws(ControlError) -> Route
  ) -> Entry {
    Entry(method: method, path: ["api", "v1"] + path.split(separator: "/").map(String.init), parameters: parameters, make: make)
  }

  static let table: [Entry] = [
    api("GET", "status") { _, _ in .status },
    api("GET", "events", ["last_event_id"]) { _, query in .events(after: query["last_event_id"]) },
    api("GET", "jobs", ["search", "start", "limit"]) { (_, query) throws(ControlError) in
      let search = query["search"] ?? ""
      return .jobs(
        search: search.isEmpty ? nil : search,
        start: try number("start", of: query, in: JobsPaging.starts, default: 0),
        limit: try number("limit", of: query, in: JobsPaging.limits, default: JobsPaging.defaultLimit))
    },
    api("GET", "jobs/{id}") { segment, _ in .job(segment) },
    api("GET", "staged") { _, _ in .staged },
    api("POST", "staged") { _, _ in .stage },
    api("DELETE", "staged", ["path"]) { (_, query) throws(ControlError) in
      guard let path = query["path"] else { return .unstageAll }
      // Not "all of them": whoever wrote the parameter meant one.
      return .unstage(try absolute(path))
    },
    api("PATCH", "staged", ["path"]) { (_, query) throws(ControlError) in .pin(try absolute(query["path"] ?? "")) },
    api("GET", "staged/{id}") { segment, _ in .item(segment) },
    api("DELETE", "staged/{id}") { segment, _ in .unstage(segment) },
    api("PATCH", "staged/{id}") { segment, _ in .pin(segment) },
    api("GET", "cache") { _, _ in .cache },
    api("DELETE", "cache") { _, _ in .clearCache },
    api("GET", "trace") { _, _ in .trace },
    api("GET", "recipients") { _, _ in .recipients },
    api("GET", "config") { _, _ in .configuration },
    api("GET", "log") { _, _ in .logLevel },
    api("PUT", "log") { _, _ in .setLogLevel },
    api("POST", "login") { _, _ in .login },
    api("POST", "shim/restart") { _, _ in .restartShim },
    api("POST", "shim/kill") { _, _ in .killShim },
    api("POST", "reload") { _, _ in .reload },
    api("POST", "stop") { _, _ in .stop },
    Entry(method: "GET", path: ["healthz"]) { _, _ in .health },
    Entry(method: "GET", path: ["readyz"]) { _, _ in .readiness },
    Entry(method: "GET", path: [""]) { _, _ in .page("/") },
    Entry(method: "GET", path: ["assets", "{name}"]) { segment, _ in .page("/assets/\(segment)") },
    Entry(method: "GET", path: ["login"], parameters: ["code"]) { _, query in .enter(query["code"] ?? "") },
  ]

  /// - Throws: `no_such_route`, `method_not_allowed`, `invalid`; an unknown parameter is invalid, so that a misspelt one cannot mean "all".
  static func match(method: String, target raw: String) throws(ControlError) -> Route {
    let target = try RequestTarget(raw)
    let entries = table.filter { $0.matches(target.path) }
    guard !entries.isEmpty else { throw ControlError(.noSuchRoute, "there is nothing at this path of the API") }
    guard let entry = entries.first(where: { $0.method == method }) else {
      throw ControlError(.methodNotAllowed, "this path takes \(entries.map(\.method).joined(separator: ", "))")
    }
    if let unknown = target.query.keys.sorted().first(where: { !entry.parameters.contains($0) }) {
      throw ControlError(.invalid, "the parameter \(unknown) is not known here")
    }
    return try entry.make(target.path.last ?? "", target.query)
  }

  /// The methods a path takes, for the header `Allow`; empty where nothing stands there.
  static func methods(target raw: String) -> [String] {
    guard let target = try? RequestTarget(raw) else { return [] }
    return table.filter { $0.matches(target.path) }.map(\.method)
  }

  private static func absolute(_ path: String) throws(ControlError) -> String {
    guard path.hasPrefix("/") else { throw ControlError(.invalid, "the parameter path has to be an absolute path") }
    return path
  }

  private static func number(
    _ name: String, of query: [String: String], in range: ClosedRange<Int>, default fallback: Int
  ) throws(ControlError) -> Int {
    guard let text = query[name] else { return fallback }
    guard let value = Int(text), range.contains(value) else {
      throw ControlError(.invalid, "\(name) has to be a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }
}
