import ControlModel
import ControlRoutes
import Core

/// The routes of staged files: they are listed, staged, pinned and unstaged. They have no state of their own: a handler
/// runs on the dispatch loop and calls the volume.
@DispatchLoop
package struct StagedRoutes {
  /// The parts of the control plane that staging by the API needs.
  package struct Dependencies: Sendable {
    /// - Throws: an `Explained` error while the service cannot be asked, because there are no credentials for it.
    package var checkService: @DispatchLoop () throws -> Void
    /// An absolute path as the volume gives it, though links may lead to the mount by other names.
    package var resolve: @DispatchLoop (_ path: String) async -> String

    package init(
      checkService: @escaping @DispatchLoop () throws -> Void = {},
      resolve: @escaping @DispatchLoop (_ path: String) async -> String = { $0 }
    ) {
      self.checkService = checkService
      self.resolve = resolve
    }
  }

  let operations: any StagedOperations
  let dependencies: Dependencies

  /// All that the staged volume contributes to the API.
  package static func group(_ operations: any StagedOperations, _ dependencies: Dependencies = Dependencies())
    -> RouteGroup
  {
    let routes = StagedRoutes(operations: operations, dependencies: dependencies)
    return RouteGroup(routes.items + CacheRoutes(operations: operations).routes, events: StagedEvents(operations))
  }

  private var items: [Route] {
    [
      Route("GET", "staged", ListPart.parameters, name: "staged") { try await list($0.part) },
      Route("POST", "staged", name: "stage") { try await stage($0) },
      // Even an empty parameter means one item, never "all of them": it is no absolute path.
      Route("DELETE", "staged", [.path("path")], name: "unstage") { request in
        guard let path = request.path("path") else { return try await unstageAll() }
        return try await unstage(path)
      },
      Route("PATCH", "staged", [.path("path", isRequired: true)], name: "pin") {
        try await pin($0.path("path") ?? "", $0)
      },
      Route("GET", "staged/{id}", name: "staged item") {
        try RouteAnswer(await operations.item(withReaders: $0.segment))
      },
      Route("DELETE", "staged/{id}", name: "unstage") { try await unstage($0.segment) },
      Route("PATCH", "staged/{id}", name: "pin") { try await pin($0.segment, $0) },
      Route("GET", "recipients", name: "recipients") { _ in try RouteAnswer(await operations.recipients()) },
    ]
  }

  // MARK: Orders

  private func stage(_ request: RouteRequest) async throws -> RouteAnswer {
    let order = try request.decode(StageRequest.self, shape: #"{"file": ID, "recipient": TAG, "warm": true or false}"#)
    guard !order.file.isEmpty else { throw ControlError(.invalid, "the file's id is empty") }
    guard !order.recipient.isEmpty else {
      throw ControlError(.invalid, "the recipient is empty: say who the file is for")
    }
    try dependencies.checkService()
    return try RouteAnswer(
      await operations.stage(order.file, recipient: order.recipient, isWarm: order.warm ?? false), status: 201)
  }

  private func pin(_ idOrPath: String, _ request: RouteRequest) async throws -> RouteAnswer {
    let order = try request.decode(PinRequest.self, shape: #"{"pinned": true or false}"#)
    if order.pinned { try dependencies.checkService() }
    return try RouteAnswer(await operations.setPinned(await address(idOrPath), order.pinned))
  }

  private func unstage(_ idOrPath: String) async throws -> RouteAnswer {
    try RouteAnswer(await operations.unstage(await address(idOrPath)))
  }

  private func unstageAll() async throws -> RouteAnswer {
    var rest = try await operations.unstageAll()
    rest.reverse()
    // Each part is freed once it is sent: a hundred thousand items at once would keep the loop for 60 ms.
    return .list(ListSource { rest.popLast() ?? [] })
  }

  private func address(_ idOrPath: String) async -> String {
    idOrPath.hasPrefix("/") ? await dependencies.resolve(idOrPath) : idOrPath
  }

  // MARK: The list

  private func list(_ part: ListPart) async throws -> RouteAnswer {
    var cursor: UInt64? = try part.after.map { try self.cursor($0) } ?? 0
    try await operations.findReaders()
    guard let limit = part.limit else { return .list(operations.list()) }
    var items: [StagedItem] = []
    while items.count < limit, let from = cursor {
      let taken = operations.items(after: from, limit: min(ListSource.slice, limit - items.count))
      cursor = taken.next
      items += taken.items
      if cursor != nil { await SliceTurns.pause() }
    }
    var answer = RouteAnswer.long(items)
    if let cursor { answer.link(next: "staged", after: "@\(cursor)", limit: limit) }
    return answer
  }

  /// - Parameter text: `@` and a cursor that a header `Link` gave, or an item's id.
  private func cursor(_ text: String) throws(ControlError) -> UInt64 {
    if text.hasPrefix("@"), let cursor = UInt64(text.dropFirst()) { return cursor }
    guard let cursor = operations.cursor(of: text) else {
      throw ControlError(
        .noSuchItem,
        "nothing is staged as \(text), so there is no place after it; follow the header Link, which is good for as "
          + "long as you like"
      )
    }
    return cursor
  }
}

extension StagedOperations {
  /// All items, by order of staging.
  func list() -> ListSource {
    var cursor: UInt64? = 0
    return ListSource { () -> [StagedItem] in
      guard let from = cursor else { return [] }
      let part = self.items(after: from, limit: ListSource.slice)
      cursor = part.next
      return part.items
    }
  }
}
