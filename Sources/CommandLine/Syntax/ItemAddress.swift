import Core

/// A staged item as the command line names it: an id, a path, or the name of a file in the current folder. These are
/// pure functions of the text, which touch no file.
package enum ItemAddress {
  /// A `file:` URL as a path; anything else as it is.
  package static func path(_ text: String) throws(CommandFailure) -> String {
    guard let path = FileAddress.path(text) else {
      throw CommandFailure(
        .usage, "“\(text)” names no file of this machine: a file URL looks like file:///home/me/FuseStream/Staged/…")
    }
    return path
  }

  /// Made absolute by its text alone: looking at the file would ask the mount.
  package static func absolute(_ path: String, from folder: String) -> String {
    var parts: [Substring] = []
    for part in (path.hasPrefix("/") ? path : folder + "/" + path).split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }
}
