import Core
import Glibc
import Syntax

/// Requests about one staged item, however the command line names it. They go to the control API, and nothing is kept.
extension ItemAddress {
  /// Asks the control plane something about the item.
  static func send(
    _ method: String, _ text: String, body: [UInt8]? = nil, client: APIClient, waiting: String
  ) throws(CommandFailure) -> [UInt8] {
    func send(path: String) throws(CommandFailure) -> [UInt8] {
      try client.send(method, ["staged"], query: [("path", path)], body: body, waiting: .others(waiting))
    }
    let folder = workingFolder()
    let text = try path(text)
    if text.contains("/") || text == "." || text == ".." { return try send(path: absolute(text, from: folder)) }
    do {
      return try client.send(method, ["staged", text], body: body, waiting: .others(waiting))
    } catch  where error.code == .noSuchThing {
      // A bare word may also be the name of a file in the current folder.
      do {
        return try send(path: absolute(text, from: folder))
      } catch  where error.code == .noSuchThing {
      }
      throw error
    }
  }

  private static func workingFolder() -> String {
    guard let pointer = getcwd(nil, 0) else { return "/" }
    defer { free(pointer) }
    return String(cString: pointer)
  }
}
