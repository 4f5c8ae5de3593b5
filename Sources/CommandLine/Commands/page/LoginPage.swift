import Core
import Glibc
import Syntax
import TerminalUI

/// A file that sends the browser which opens it on to a link. Every user of the machine can read command lines, but
/// only the owner can read this file. The value holds the path alone; the file is in the runtime folder and is removed
/// soon after.
struct LoginPage {
  private static let prefix = "login-"
  private static let suffix = ".html"

  let path: String

  /// Writes the file and removes those of earlier uses.
  /// - Parameter folder: the runtime folder, which no other user may write to.
  init(url: String, folder: String) throws(CommandFailure) {
    Self.removeAll(in: folder)
    path = "\(folder)/\(Self.prefix)\(String(UInt64.random(in: .min ... .max), radix: 36))\(Self.suffix)"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CommandFailure(.failed, "\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    guard Terminal(descriptor: descriptor).write(Self.text(url)) else {
      unlink(path)
      throw CommandFailure(.failed, "\(path): \(String(cString: strerror(errno)))")
    }
  }

  static func text(_ url: String) -> String {
    let url = escaped(url)
    return """
      <!doctype html>
      <html lang="en">
      <meta charset="utf-8">
      <meta name="referrer" content="no-referrer">
      <meta http-equiv="refresh" content="0; url=\(url)">
      <title>FuseStream</title>
      <p><a href="\(url)">On to FuseStream</a></p>
      </html>

      """
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("\"", with: "&quot;").replacing("<", with: "&lt;").replacing(
      ">", with: "&gt;")
  }

  func remove() { unlink(path) }

  /// Once the browser has had the time to read it, by a process that outlives this one; the next use would see to it,
  /// too.
  func removeLater() {
    _ = try? DetachedProgram.start("/bin/sh", ["-c", "sleep 60; rm -f -- \"$1\"", "sh", path], patience: .zero)
  }

  private static func removeAll(in folder: String) {
    guard let entries = opendir(folder) else { return }
    defer { closedir(entries) }
    while let entry = readdir(entries) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name.hasPrefix(prefix), name.hasSuffix(suffix) { unlink("\(folder)/\(name)") }
    }
  }
}
