import Glibc

/// A staged item as people name it: by id, by a path, or by a file's name for someone who stands in its folder.
enum ItemAddress {
  /// Asks the control plane something about the item.
  static func send(
    _ method: String, _ text: String, body: [UInt8]? = nil, client: APIClient, waiting: String
  ) throws(CommandFailure) -> [UInt8] {
    func send(path: String) throws(CommandFailure) -> [UInt8] {
      try client.send(method, ["staged"], query: [("path", path)], body: body, waiting: .others(waiting))
    }
    let folder = workingFolder()
    if text.contains("/") || text == "." || text == ".." { return try send(path: absolute(text, from: folder)) }
    do {
      return try client.send(method, ["staged", text], body: body, waiting: .others(waiting))
    } catch  where error.code == .noSuchThing {
      // A bare word may also be a file's name, for someone who stands in its folder.
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

  /// Made absolute by its text alone: looking at the file would ask the mount.
  static func absolute(_ path: String, from folder: String) -> String {
    var parts: [Substring] = []
    for part in (path.hasPrefix("/") ? path : folder + "/" + path).split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }
}
