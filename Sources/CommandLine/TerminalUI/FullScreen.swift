import CLinux
import Core
import Glibc
import Syntax

/// The whole of a terminal for a while: keys come one by one, lines stand where they are drawn. Every end (a return, a
/// signal, Ctrl-Z and back) restores the terminal's earlier state.
///
/// Signals come as input while it lasts, so that nothing is interrupted in the middle of an escape sequence.
///
/// The verb that shows it owns it, on the main thread; it changes the terminal's modes and the signal mask of the
/// process, and restores both.
package final class FullScreen {
  package enum Input: Equatable {
    case keys([Key])
    case resized
    /// The bell rang.
    case woken
    /// The time is over.
    case quiet
    /// By the signal of that number: close the screen, then `Self.end(by:)`.
    case ended(Int32)
  }

  /// The screen's content.
  package struct Frame: Equatable {
    package var lines: [StyledText]
    /// Position of the text cursor, from 0; nil: hidden.
    package var cursor: (column: Int, row: Int)?

    package init(lines: [StyledText], cursor: (column: Int, row: Int)?) { (self.lines, self.cursor) = (lines, cursor) }

    package static func == (a: Frame, b: Frame) -> Bool {
      a.lines == b.lines && a.cursor?.column == b.cursor?.column && a.cursor?.row == b.cursor?.row
    }
  }

  private static let keyboard: Int32 = 0
  /// A byte of an escape sequence comes within it, by any line.
  private static let pause: Duration = .milliseconds(60)
  // Alternate screen, no wrapping of long lines, pastes in one piece; and back.
  private static let begin = "\u{1b}[?1049h\u{1b}[?7l\u{1b}[?2004h"
  private static let end = "\u{1b}[0m\u{1b}[?2004l\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l"

  private let terminal = Terminal.standardOutput
  private let hasColours = Terminal.standardOutput.hasColours
  private let bell: Int32?
  private let signals: Int32
  private var blocked = sigset_t()
  private var maskBefore = sigset_t()
  private var modesBefore = termios()
  private var decoder = KeyDecoder()
  private var shown: Frame?
  private var isOpen = false

  /// Whether this process's standard input and output are both terminals.
  package static var isPossible: Bool { isatty(keyboard) == 1 && Terminal.standardOutput.isScreen }

  /// - Parameter bell: an eventfd that wakes `next`.
  package init(bell: Int32? = nil) throws(CommandFailure) {
    self.bell = bell
    sigemptyset(&blocked)
    for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH] { sigaddset(&blocked, number) }
    signals = clinux_signalfd(&blocked)
    guard signals >= 0, tcgetattr(Self.keyboard, &modesBefore) == 0 else {
      throw CommandFailure(.failed, "the terminal cannot be used: \(String(cString: strerror(errno)))")
    }
    enter()
  }

  deinit {
    leave()
    close(signals)
  }

  package var size: Terminal.Size { terminal.size }

  /// Gives the terminal back; it is of no use afterwards.
  package func leave() {
    guard isOpen else { return }
    isOpen = false
    terminal.write(Self.end)
    tcsetattr(Self.keyboard, TCSADRAIN, &modesBefore)
    // Signals that arrived meanwhile are delivered now, with the handlers from before the screen.
    pthread_sigmask(SIG_SETMASK, &maskBefore, nil)
  }

  /// Ends the process as the signal would have.
  package static func end(by number: Int32) -> Never {
    signal(number, SIG_DFL)
    var one = sigset_t()
    sigemptyset(&one)
    sigaddset(&one, number)
    pthread_sigmask(SIG_UNBLOCK, &one, nil)
    raise(number)
    _exit(128 + number)
  }

  private func enter() {
    pthread_sigmask(SIG_BLOCK, &blocked, &maskBefore)
    var modes = modesBefore
    // Bytes as they come, none of them a signal or an end.
    modes.c_lflag &= ~tcflag_t(ECHO | ICANON | IEXTEN | ISIG)
    modes.c_iflag &= ~tcflag_t(IXON | ICRNL | INLCR | IGNCR | BRKINT | ISTRIP)
    tcsetattr(Self.keyboard, TCSADRAIN, &modes)
    terminal.write(Self.begin)
    shown = nil
    isOpen = true
  }

  // MARK: Input

  /// The next thing that happens, within so long.
  package func next(within limit: Duration) -> Input {
    let wait = decoder.isUndecided ? min(limit, Self.pause) : limit
    // poll takes no notice of a descriptor below 0.
    var sources = [Self.keyboard, signals, bell ?? -1].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    let count = poll(&sources, nfds_t(sources.count), Int32(clamping: wait.milliseconds))
    if count <= 0 {
      let keys = decoder.flush()
      return keys.isEmpty ? .quiet : .keys(keys)
    }
    if sources[1].revents != 0, let input = takeSignal() { return input }
    if sources[0].revents != 0 { return takeKeys() }
    if sources[2].revents != 0, let bell {
      var rings: UInt64 = 0
      _ = read(bell, &rings, 8)
      return .woken
    }
    return .quiet
  }

  private func takeSignal() -> Input? {
    switch clinux_next_signal(signals) {
    case 0: return nil
    case SIGWINCH: return redrawn()
    case SIGTSTP: return suspended(group: false)
    // Stopped by what cannot be taken; the shell has set the terminal to its own ways since.
    case SIGCONT:
      leave()
      enter()
      return .resized
    case let number: return .ended(number)
    }
  }

  private func takeKeys() -> Input {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(Self.keyboard, &bytes, bytes.count)
    if count < 0, errno == EINTR || errno == EAGAIN { return .quiet }
    // A terminal that is gone.
    guard count > 0 else { return .ended(SIGHUP) }
    let keys = decoder.decode(bytes[..<count])
    if keys.contains(.control("z")) { return suspended(group: true) }
    if keys.contains(.control("l")) { return redrawn() }
    return .keys(keys)
  }

  private func redrawn() -> Input {
    shown = nil
    return .resized
  }

  /// - Parameter group: Ctrl-Z is for all processes of the job; a signal came to each by itself.
  private func suspended(group: Bool) -> Input {
    leave()
    if group { kill(0, SIGTSTP) } else { raise(SIGTSTP) }
    // Stopped here, until the shell brings the job back.
    enter()
    return .resized
  }

  // MARK: Drawing

  /// Draws what has changed.
  package func draw(_ frame: Frame) {
    guard isOpen, frame != shown else { return }
    let before = shown
    let columns = size.columns
    var text = "\u{1b}[?25l" + (before == nil ? "\u{1b}[2J" : "")
    for row in 0..<max(frame.lines.count, before?.lines.count ?? 0) {
      let line = row < frame.lines.count ? frame.lines[row] : StyledText()
      if let before, row < before.lines.count, before.lines[row] == line { continue }
      // Erased before it is written: after the last cell of a full line the cursor still stands on that cell, and
      // erasing from there takes it away.
      text += "\u{1b}[\(row + 1);1H\u{1b}[K\(line.cut(to: columns).rendered(hasColours: hasColours))"
    }
    if let cursor = frame.cursor {
      text += "\u{1b}[\(cursor.row + 1);\(min(cursor.column, columns - 1) + 1)H\u{1b}[?25h"
    }
    terminal.write(text)
    shown = frame
  }
}
