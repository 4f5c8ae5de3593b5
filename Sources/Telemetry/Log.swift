import Glibc
import Synchronization

/// The control plane's log: one line an event on standard error, `time level event key=value ...`.
///
/// A caller only appends to a bounded queue; a thread of its own writes. When that thread cannot keep up (a terminal that stands still), lines are
/// dropped and counted, never waited for: the log must not be able to stop a read.
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

  package static func debug(_ event: String, _ fields: @autoclosure () -> Fields = [:]) { write(.debug, event, fields) }
  package static func info(_ event: String, _ fields: @autoclosure () -> Fields = [:]) { write(.info, event, fields) }
  package static func warning(_ event: String, _ fields: @autoclosure () -> Fields = [:]) { write(.warning, event, fields) }
  package static func error(_ event: String, _ fields: @autoclosure () -> Fields = [:]) { write(.error, event, fields) }

  /// Waits until what was logged is written, at most `limit` seconds; for the end of the process.
  package static func flush(limit: Double = 0.5) {
    var tries = Int(limit * 200)
    while tries > 0, queue.withLock({ !$0.lines.isEmpty || $0.isWriting }) {
      usleep(5000)
      tries -= 1
    }
  }

  // MARK: Queue and writer

  private struct Queue {
    var lines: [String] = []
    var dropped = 0
    var isWriting = false
    var hasWriter = false
  }

  private static let room = 1000
  private static let threshold = Atomic<Int>(Level.info.rawValue)
  private static let queue = Mutex(Queue())
  // SAFETY: a POSIX semaphore is made for being shared; it lives as long as the process.
  private nonisolated(unsafe) static let semaphore: UnsafeMutablePointer<sem_t> = {
    let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
    return semaphore
  }()

  private static func write(_ level: Level, _ event: String, _ fields: () -> Fields) {
    guard level >= Log.level else { return }
    var line = "\(timestamp()) \(level.name) \(event)"
    for (key, value) in fields() { line += " \(key)=\(quoted(value.description))" }
    line += "\n"
    let isAccepted = queue.withLock { queue in
      if !queue.hasWriter {
        queue.hasWriter = true
        startWriter()
      }
      guard queue.lines.count < room else {
        queue.dropped += 1
        return false
      }
      queue.lines.append(line)
      return true
    }
    if isAccepted { sem_post(semaphore) }
  }

  private static func startWriter() {
    var thread = pthread_t()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, 128 << 10)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_create(&thread, &attributes, { @Sendable _ in Log.writeForEver() }, nil)
    pthread_attr_destroy(&attributes)
  }

  private static func writeForEver() -> UnsafeMutableRawPointer? {
    while true {
      while sem_wait(semaphore) != 0 {}
      let (lines, dropped) = queue.withLock { queue in
        let taken = (queue.lines, queue.dropped)
        queue.lines = []
        queue.dropped = 0
        queue.isWriting = true
        return taken
      }
      var text = lines.joined()
      if dropped > 0 { text += "\(timestamp()) warning log.dropped lines=\(dropped)\n" }
      text.withUTF8 { bytes in
        var done = 0
        while done < bytes.count {
          let count = Glibc.write(2, bytes.baseAddress.map { $0 + done }, bytes.count - done)
          if count <= 0 && errno != EINTR { break }
          done += max(0, count)
        }
      }
      queue.withLock { $0.isWriting = false }
    }
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

  /// Quoted where the value would not stand as one word; control characters, which a file name or a server's answer may hold, escaped.
  private static func quoted(_ value: String) -> String {
    guard value.isEmpty || value.unicodeScalars.contains(where: { $0.value <= 0x20 || $0 == "\"" || $0 == "=" || $0.value == 0x7f })
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
