import CLinux
import Glibc
import Syntax

/// Standard output or error, and what it is. It is a value with a descriptor that it does not own; a write waits for
/// the other end.
package struct Terminal {
  package static let standardOutput = Terminal(descriptor: 1)
  package static let standardError = Terminal(descriptor: 2)

  private let descriptor: Int32

  package init(descriptor: Int32) { self.descriptor = descriptor }

  package var isTerminal: Bool { isatty(descriptor) == 1 }

  /// One whose cursor can be moved.
  package var isScreen: Bool { isTerminal && !["", "dumb"].contains(Self.variable("TERM")) }

  /// Whether text on it may have colours: no-color.org has the variable.
  package var hasColours: Bool { isScreen && Self.variable("NO_COLOR").isEmpty }

  /// Columns of the terminal; nil for anything else.
  package var width: Int? { isTerminal ? size.columns : nil }

  package struct Size: Equatable {
    package var columns: Int
    package var rows: Int

    package init(columns: Int, rows: Int) { (self.columns, self.rows) = (columns, rows) }
  }

  /// The terminal's size; 80 by 24 if it does not tell.
  package var size: Size {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
      return Size(columns: 80, rows: 24)
    }
    return Size(columns: Int(size.ws_col), rows: Int(size.ws_row))
  }

  private static func variable(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }

  /// Writes all of it, or says that it could not (a full disk).
  package func print(_ text: String) throws(CommandFailure) {
    guard write(text) else {
      throw CommandFailure(.failed, "the output cannot be written: \(String(cString: strerror(errno)))")
    }
  }

  /// False once the other end of a pipe is closed.
  package var hasReader: Bool {
    var end = pollfd(fd: descriptor, events: 0, revents: 0)
    return poll(&end, 1, 0) <= 0 || end.revents & Int16(POLLERR) == 0
  }

  /// JSON and a line end; what would steer a terminal is escaped on one.
  package func print(json bytes: [UInt8]) throws(CommandFailure) {
    let text = String(decoding: bytes, as: UTF8.self)
    try print((isTerminal ? DisplayText.printableJSON(text) : text) + "\n")
  }

  /// - Returns: false where it could not be written; errno says why.
  @discardableResult package func write(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
        if count < 0, errno == EINTR { continue }
        // A descriptor that another program made non-blocking.
        if count < 0, errno == EAGAIN, becomesWritable() { continue }
        if count <= 0 { return false }
        done += count
      }
      return true
    }
  }

  private func becomesWritable() -> Bool {
    var end = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    return poll(&end, 1, -1) > 0 && end.revents & Int16(POLLOUT) != 0
  }
}
