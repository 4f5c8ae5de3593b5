import Core

/// "asking MediaHub… 3 s" on standard error while a person waits for longer than a second; nothing where no person
/// looks. It is a value of the code that waits, on that thread, and writes to the terminal alone.
package struct ProgressLine {
  private let what: String
  private let started: Moment
  private let terminal: Terminal?
  private var shown: Int64 = 0
  private var line = StyledText()

  package init(_ what: String, terminal: Terminal = .standardError, since started: Moment = SystemClock().now()) {
    self.what = what
    self.started = started
    self.terminal = terminal.isTerminal ? terminal : nil
  }

  /// Call it a few times a second.
  package mutating func tick(_ now: Moment) {
    let seconds = (now - started).nanoseconds / 1_000_000_000
    guard let terminal, seconds > shown else { return }
    shown = seconds
    terminal.write("\r\(what)… \(seconds) s\u{1b}[K")
  }

  /// Replaces the line by one with more to say than the elapsed time.
  package mutating func show(_ text: StyledText) {
    guard let terminal, text != line else { return }
    line = text
    // A line that fills the terminal would wrap, and not be taken away.
    terminal.write("\r\(text.cut(to: (terminal.width ?? 80) - 1).rendered(hasColours: terminal.hasColours))\u{1b}[K")
  }

  /// Takes the line away again.
  package func clear() {
    if shown > 0 || line != StyledText() { terminal?.write("\r\u{1b}[K") }
  }
}
