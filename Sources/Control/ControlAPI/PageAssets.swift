import ControlModel
import Core

/// The files of the page, all in memory. It is a value that does not change and that `WebOptions` holds.
package struct PageAssets: Sendable {
  package struct File: Sendable {
    /// The path that is requested ("/", "/assets/main.js"), or the name of a body without a path ("signed-out.html").
    package var path: String
    /// The value of the header Content-Type.
    package var type: String
    package var bytes: [UInt8]
    /// Also for those without a session: what `signed-out.html` needs to look right.
    package var isOpen: Bool
    /// Changes with the bytes.
    let tag: String

    package init(path: String, type: String, bytes: [UInt8], isOpen: Bool = false) {
      self.path = path
      self.type = type
      self.bytes = bytes
      self.isOpen = isOpen
      var hash = StableHash()
      hash.combine(bytes)
      tag = "\"\(hash.hex)\""
    }
  }

  private let files: [String: File]

  package init(_ files: [File] = []) { self.files = Dictionary(files.map { ($0.path, $0) }) { first, _ in first } }

  subscript(path: String) -> File? { files[path] }

  // MARK: Answers

  /// - Parameter known: the header If-None-Match, of what the browser has already.
  func answer(_ path: String, known: String?) -> ControlAnswer {
    guard let file = files[path], path.hasPrefix("/") else {
      return ControlAnswer(ControlError(.noSuchRoute, "there is nothing at this path of the page"))
    }
    // A browser asks each time, and is mostly told that it has it.
    var answer = ControlAnswer(status: 200, body: file.bytes, type: file.type, caching: "no-cache")
    answer.headers["ETag"] = file.tag
    if let known, known.split(separator: ",").contains(where: { Self.isTag(file.tag, $0) }) {
      (answer.status, answer.body) = (304, [])
    }
    return answer
  }

  private static func isTag(_ tag: String, _ known: Substring) -> Bool {
    let known = known.drop { $0 == " " }.prefix { $0 != " " }
    return known == tag || known == "W/" + tag || known == "*"
  }

  /// For a browser without a session.
  func signedOut(_ error: ControlError) -> ControlAnswer {
    var answer = ControlAnswer(error)
    answer.headers["Content-Type"] = files["signed-out.html"]?.type ?? "text/plain; charset=utf-8"
    answer.body = files["signed-out.html"]?.bytes ?? Array("Nobody is signed in here: run `fsmvp ui`.\n".utf8)
    return answer
  }

  /// For a browser that has just got one. It goes on by itself: a redirect would come from wherever the link stood, and
  /// a cookie that is for our own pages only would not go along.
  func signedIn(session: String) -> ControlAnswer {
    let file = files["signed-in.html"]
    var answer = ControlAnswer(
      status: 200, body: file?.bytes ?? Array(Self.goOn.utf8), type: file?.type ?? "text/html; charset=utf-8")
    answer.headers["Set-Cookie"] = session
    return answer
  }

  private static let goOn = """
    <!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/"><link rel="icon" href="data:,">
    <title>FuseStream</title><p><a href="/">Go on to FuseStream</a></p></html>

    """
}
