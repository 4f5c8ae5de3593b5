import ControlModel

/// What a request's method and target ask for.
enum Route: Equatable {
  case status
  case events(after: String?)
  case jobs(search: String?, start: Int, limit: Int)
  case staged
  case stage
  case unstage(String)
  case unstageAll
  case pin(String)
  case cache
  case clearCache
  case trace
  case restartShim
  case killShim
  case reload
  case stop

  /// The table: what stands at a path, and the method that does it. `nil` in the path is one segment of any text.
  private struct Entry {
    var method: String
    var path: [String?]
    var parameters: Set<String> = []
    var make: (_ segment: String, _ query: [String: String]) throws(ControlError) -> Route

    func matches(_ path: ArraySlice<String>) -> Bool {
      path.count == self.path.count && zip(path, self.path).allSatisfy { $1 == nil ? !$0.isEmpty : $0 == $1 }
    }
  }

  private static var table: [Entry] {
    [
      Entry(method: "GET", path: ["status"]) { _, _ in .status },
      Entry(method: "GET", path: ["events"], parameters: ["last_event_id"]) { _, query in .events(after: query["last_event_id"]) },
      Entry(method: "GET", path: ["jobs"], parameters: ["search", "start", "limit"]) { (_, query) throws(ControlError) in
        let search = query["search"] ?? ""
        return .jobs(
          search: search.isEmpty ? nil : search,
          start: try number("start", of: query, in: JobsPaging.starts, default: 0),
          limit: try number("limit", of: query, in: JobsPaging.limits, default: JobsPaging.defaultLimit))
      },
      Entry(method: "GET", path: ["staged"]) { _, _ in .staged },
      Entry(method: "POST", path: ["staged"]) { _, _ in .stage },
      Entry(method: "DELETE", path: ["staged"], parameters: ["path"]) { (_, query) throws(ControlError) in
        guard let path = query["path"] else { return .unstageAll }
        // Not "all of them": whoever wrote the parameter meant one.
        return .unstage(try absolute(path))
      },
      Entry(method: "DELETE", path: ["staged", nil]) { segment, _ in .unstage(segment) },
      Entry(method: "PATCH", path: ["staged"], parameters: ["path"]) { (_, query) throws(ControlError) in
        .pin(try absolute(query["path"] ?? ""))
      },
      Entry(method: "PATCH", path: ["staged", nil]) { segment, _ in .pin(segment) },
      Entry(method: "GET", path: ["cache"]) { _, _ in .cache },
      Entry(method: "DELETE", path: ["cache"]) { _, _ in .clearCache },
      Entry(method: "GET", path: ["trace"]) { _, _ in .trace },
      Entry(method: "POST", path: ["shim", "restart"]) { _, _ in .restartShim },
      Entry(method: "POST", path: ["shim", "kill"]) { _, _ in .killShim },
      Entry(method: "POST", path: ["reload"]) { _, _ in .reload },
      Entry(method: "POST", path: ["stop"]) { _, _ in .stop },
    ]
  }

  /// - Throws: `no_such_route`, `method_not_allowed`, `invalid`; an unknown parameter is invalid, so that a misspelt one cannot mean "all".
  static func match(method: String, target raw: String) throws(ControlError) -> Route {
    let target = try RequestTarget(raw)
    let prefix = ["api", "v1"]
    let path = target.path.dropFirst(prefix.count)
    let entries = target.path.starts(with: prefix) ? table.filter { $0.matches(path) } : []
    guard !entries.isEmpty else { throw ControlError(.noSuchRoute, "there is nothing at this path of the API") }
    guard let entry = entries.first(where: { $0.method == method }) else {
      throw ControlError(.methodNotAllowed, "this path of the API takes \(entries.map(\.method).joined(separator: ", "))")
    }
    if let unknown = target.query.keys.sorted().first(where: { !entry.parameters.contains($0) }) {
      throw ControlError(.invalid, "the parameter \(unknown) is not known here")
    }
    return try entry.make(path.last ?? "", target.query)
  }

  /// The methods a path takes, for the header `Allow`; empty where nothing stands there.
  static func methods(target raw: String) -> [String] {
    guard let target = try? RequestTarget(raw), target.path.starts(with: ["api", "v1"]) else { return [] }
    return table.filter { $0.matches(target.path.dropFirst(2)) }.map(\.method)
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

  /// For the log: without what was asked for.
  var name: String {
    switch self {
    case .status: "status"
    case .events: "events"
    case .jobs: "jobs"
    case .staged: "staged"
    case .stage: "stage"
    case .unstage: "unstage"
    case .unstageAll: "unstage all"
    case .pin: "pin"
    case .cache: "cache"
    case .clearCache: "cache clear"
    case .trace: "trace"
    case .restartShim: "shim restart"
    case .killShim: "shim kill"
    case .reload: "reload"
    case .stop: "stop"
    }
  }

  /// What a `StagingError.noSuch` is about.
  var missing: ControlError.Code { self == .stage ? .noSuchFile : .noSuchItem }
}
