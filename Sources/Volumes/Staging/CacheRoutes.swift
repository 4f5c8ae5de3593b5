import ControlModel
import ControlRoutes
import Core

/// The routes of the bytes that are here. Their report names items, so they are the staged volume's. They have no state
/// of their own and run on the dispatch loop.
@DispatchLoop
struct CacheRoutes {
  let operations: any StagedOperations

  var routes: [Route] {
    [
      Route("GET", "cache", ListPart.parameters, name: "cache") { try await report($0.part) },
      Route("DELETE", "cache", name: "cache clear") { _ in try RouteAnswer(await operations.clearCache()) },
    ]
  }

  private func report(_ part: ListPart) async throws -> RouteAnswer {
    var report = try await operations.cache()
    guard let limit = part.limit else { return .long(report) }
    var rest = report.items[...]
    if let after = part.after {
      guard let index = await index(of: after, in: report.items) else {
        throw ControlError(
          .noSuchItem, "nothing is here of \(after), so there is no place after it; begin again without `after`")
      }
      rest = rest[(index + 1)...]
    }
    report.items = Array(rest.prefix(limit))
    var answer = RouteAnswer.long(report)
    if rest.count > limit, let last = report.items.last { answer.link(next: "cache", after: last.id, limit: limit) }
    return answer
  }

  /// Looks through so many items in one turn of the loop.
  private static let step = 1024

  private func index(of id: String, in items: [CacheReport.Item]) async -> Int? {
    for start in stride(from: 0, to: items.count, by: Self.step) {
      if let index = items[start..<min(start + Self.step, items.count)].firstIndex(where: { $0.id == id }) {
        return index
      }
      await SliceTurns.pause()
    }
    return nil
  }
}
