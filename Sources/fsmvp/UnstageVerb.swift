import Glibc
import Staging

/// `fsmvp unstage`
enum UnstageVerb {
  static func run(_ what: Command.Unstaged, isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let items: [StagedItem]
    let body: [UInt8]
    switch what {
    case .all:
      body = try delete(["staged"], client: client)
      items = try APIClient.decode([StagedItem].self, from: body)
    case .item(let text):
      body = try unstage(text, client: client)
      items = [try APIClient.decode(StagedItem.self, from: body)]
    }
    if isJSON { return try output.print(json: body) }
    try output.print(items.map { "unstaged \(DisplayText.printable($0.path))\n" }.joined())
    if items.isEmpty { Terminal.standardError.write("fsmvp: nothing was staged\n") }
  }

  private static func unstage(_ text: String, client: APIClient) throws(CommandFailure) -> [UInt8] {
    let folder = workingFolder()
    if text.contains("/") || text == "." || text == ".." {
      return try delete(["staged"], path: absolute(text, from: folder), client: client)
    }
    do {
      return try delete(["staged", text], client: client)
    } catch  where error.code == .noSuchThing {
      // A bare word may also be a file's name, for someone who stands in its folder.
      do {
        return try delete(["staged"], path: absolute(text, from: folder), client: client)
      } catch  where error.code == .noSuchThing {
      }
      throw error
    }
  }

  private static func delete(_ route: [String], path: String? = nil, client: APIClient) throws(CommandFailure) -> [UInt8] {
    try client.send("DELETE", route, query: path.map { [("path", $0)] } ?? [], waiting: .others("unstaging"))
  }

  private static func workingFolder() -> String {
    guard let pointer = getcwd(nil, 0) else { return "/" }
    defer { free(pointer) }
    return String(cString: pointer)
  }

  /// Made absolute by its text alone: looking at the file would ask the mount.
  static func absolute(_ path: String, from folder: String) -> String {
    var parts: [Substring] = []
    for part in (path.hasPrefix("/") ? path : folder + "/" + path).split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }
}
