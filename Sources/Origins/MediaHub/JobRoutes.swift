import ControlModel
import ControlRoutes
import Core

/// The routes of MediaHub's jobs. They have no state: a handler runs on the dispatch loop and asks `MediaHubClient`,
/// which asks the service.
package enum JobRoutes {
  package typealias Jobs = @DispatchLoop (_ search: String?, _ start: Int, _ limit: Int) async throws -> MediaHubPage
  package typealias Job = @DispatchLoop (_ id: String) async throws -> MediaHubJob

  /// - Parameters:
  ///   - jobs: `start` counts from 0; `search` is never empty.
  ///   - job: by id.
  package static func group(jobs: @escaping Jobs, job: @escaping Job) -> RouteGroup {
    let parameters: [RouteParameter] = [
      .text("search"), .number("start", in: JobsPaging.starts), .number("limit", in: JobsPaging.limits),
    ]
    return RouteGroup([
      Route("GET", "jobs", parameters, name: "jobs") { request in
        let search = request.query["search"] ?? ""
        return .long(
          try await jobs(
            search.isEmpty ? nil : search, request.number("start") ?? 0,
            request.number("limit") ?? JobsPaging.defaultLimit))
      },
      Route("GET", "jobs/{id}", name: "job") { try RouteAnswer(await job($0.segment)) },
    ])
  }

  /// - Parameter check: throws an `Explained` error while the service cannot be asked, because there are no credentials
  ///   for it.
  package static func group(_ client: MediaHubClient, check: @escaping @DispatchLoop () throws -> Void) -> RouteGroup {
    group { search, start, limit in
      try check()
      return try await client.jobs(search: search, start: start, limit: limit)
    } job: { id in
      try check()
      return try await client.job(id)
    }
  }
}

extension MediaHubError: Explained {
  package var code: ControlError.Code {
    switch self {
    case .unreachable, .busy: .serviceUnreachable
    case .refused, .unconfigured: .serviceRefused
    case .malformed, .tooLong: .serviceMalformed
    case .notFound: .noSuchFile
    }
  }
}
