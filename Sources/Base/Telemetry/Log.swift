import Glibc
import Synchronization

/// The control plane's log: one line an event on standard error, `time level event key=value ...`.
///
/// A caller only appends to a bounded queue; a thread of its own writes (`TextWriter`). The log must not be able to
/// stop a read. Its state is the level and the queues, for any thread.
package enum Log {
  package enum Level: Int, Comparable, Sendable, CaseIterable {
    case debug, info, warning, error
    package static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
    package var name: String { "\(self)" }
  }

  package typealias Fields = KeyValuePairs<String, any CustomStringConvertible>

  /// Lines below it are not made. Set at start.
  package static var level: Level {
    get { Level(rawValue: threshold.load(ordering: .relaxed)) ?? .info }
    set { threshold.store(newValue.rawValue, ordering: .relaxed) }
  }

  package static func debug(_ event: LogEvent, _ fields: @autoclosure () -> Fields = [:]) {
    write(.debug, event, fields)
  }
  package static func info(_ event: LogEvent, _ fields: @autoclosure () -> Fields = [:]) { write(.info, event, fields) }
  package static func warning(_ event: LogEvent, _ fields: @autoclosure () -> Fields = [:]) {
    write(.warning, event, fields)
  }
  package static func error(_ event: LogEvent, _ fields: @autoclosure () -> Fields = [:]) {
    write(.error, event, fields)
  }

  package enum Stream: Sendable { case output, error }

  /// Text that is no event (the ready line, the demo's welcome, the sentence of a start that failed), as it is. Like
  /// the log it never waits.
  package static func say(_ text: String, to stream: Stream = .error) {
    switch stream {
    case .output: standardOutput.add(text)
    case .error: standardError.add(text)
    }
  }

  /// Waits until all is written, at most `limit` seconds; for the end of the process.
  package static func flush(limit: Double = 0.5) {
    var tries = Int(limit * 200)
    while tries > 0, !standardError.isIdle || !standardOutput.isIdle {
      usleep(5000)
      tries -= 1
    }
  }

  // MARK: Lines

  /// Bytes of a line at most; the rest is cut off. A server's answer or a name must not be able to fill the queue.
  private static let lineLimit = 8192
  private static let threshold = Atomic<Int>(Level.info.rawValue)
  private static let standardError = TextWriter(2) { "\(timestamp()) warning log.dropped lines=\($0)\n" }
  private static let standardOutput = TextWriter(1) { _ in "" }

  private static func write(_ level: Level, _ event: LogEvent, _ fields: () -> Fields) {
    guard level >= Log.level else { return }
    var line = "\(timestamp()) \(level.name) \(event.rawValue)"
    for (key, value) in fields() { line += " \(key)=\(quoted(value.description))" }
    if line.utf8.count > lineLimit { line = String(decoding: line.utf8.prefix(lineLimit), as: UTF8.self) + " ..." }
    standardError.add(line + "\n")
  }

  private static func timestamp() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    var parts = tm()
    gmtime_r(&now.tv_sec, &parts)
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let thousandths = String(1000 + now.tv_nsec / 1_000_000).dropFirst()
    return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T"
      + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(thousandths)Z"
  }

  /// Quoted where the value would not stand as one word; control characters, which a file name or a server's answer may
  /// hold, escaped.
  private static func quoted(_ value: String) -> String {
    guard
      value.isEmpty
        || value.unicodeScalars.contains(where: { $0.value <= 0x20 || $0 == "\"" || $0 == "=" || $0.value == 0x7f })
    else { return value }
    var text = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"", "\\": text += "\\\(scalar)"
      case _ where scalar.value < 0x20 || scalar.value == 0x7f: text += "\\x" + String(scalar.value, radix: 16)
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
