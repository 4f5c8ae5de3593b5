import CLinux
import Glibc

/// Standard output or error, and what it is.
struct Terminal {
  static let standardOutput = Terminal(descriptor: 1)
  static let standardError = Terminal(descriptor: 2)

  let descriptor: Int32

  var isTerminal: Bool { isatty(descriptor) == 1 }

  /// Columns of the terminal; nil for anything else.
  var width: Int? {
    guard isTerminal else { return nil }
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Writes all of it, or says that it could not (a full disk).
  func print(_ text: String) throws(CommandFailure) {
    guard write(text) else { throw CommandFailure(.failed, "the output cannot be written: \(String(cString: strerror(errno)))") }
  }

  /// JSON and a line end; what would steer a terminal is escaped on one.
  func print(json bytes: [UInt8]) throws(CommandFailure) {
    let text = String(decoding: bytes, as: UTF8.self)
    try print((isTerminal ? DisplayText.printableJSON(text) : text) + "\n")
  }

  /// - Returns: false where it could not be written; errno says why.
  @discardableResult func write(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
        if count < 0, errno == EINTR { continue }
        if count <= 0 { return false }
        done += count
      }
      return true
    }
  }
}
