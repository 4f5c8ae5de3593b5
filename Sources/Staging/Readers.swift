import Core
import Glibc
import Volume

/// What /proc says of whoever has a file of ours open: a worker thread's work, as it reads files. Nothing here touches the mount: the links of
/// /proc/PID/fd are read, never followed.
enum Readers {
  /// A handle to be looked for.
  struct Question: Sendable {
    var handle: HandleID
    /// Who opened it.
    var thread: Int32
    /// The end of its path, which no other file has.
    var path: String
    /// What the last look found.
    var known: Place?
  }

  /// Where a handle is held.
  struct Place: Sendable, Equatable {
    var pid: Int32
    var process: String
    var descriptor: Int32
    /// Where the next read(2) begins; a reader by pread leaves it at 0.
    var position: Int64
  }

  /// - Returns: of the handles that could be found; two of one file in one process are told apart by their descriptors alone.
  static func look(for questions: [Question]) -> [HandleID: Place] {
    var places: [HandleID: Place] = [:]
    var taken: Set<Held> = []
    // Those that are where they were keep their descriptors.
    for question in questions {
      guard let known = question.known, leads(known.pid, known.descriptor, to: question.path) else { continue }
      guard taken.insert(Held(pid: known.pid, descriptor: known.descriptor)).inserted else { continue }
      places[question.handle] = Place(
        pid: known.pid, process: known.process, descriptor: known.descriptor, position: position(known.pid, known.descriptor))
    }
    for question in questions where places[question.handle] == nil && question.thread > 0 {
      guard let pid = question.known?.pid ?? process(of: question.thread) else { continue }
      let name = question.known?.process ?? name(of: pid)
      let descriptor = descriptors(of: pid).first { number in
        !taken.contains(Held(pid: pid, descriptor: number)) && leads(pid, number, to: question.path)
      }
      if let descriptor { taken.insert(Held(pid: pid, descriptor: descriptor)) }
      places[question.handle] = Place(
        pid: pid, process: name, descriptor: descriptor ?? -1, position: descriptor.map { position(pid, $0) } ?? 0)
    }
    return places
  }

  private struct Held: Hashable {
    var pid: Int32
    var descriptor: Int32
  }

  // MARK: /proc

  /// The process of a thread; nil where it has ended.
  private static func process(of thread: Int32) -> Int32? {
    guard let text = contents("/proc/\(thread)/status") else { return nil }
    let line = text.split(separator: "\n").first { $0.hasPrefix("Tgid:") }
    return line.flatMap { Int32($0.dropFirst(5).drop { $0 == " " || $0 == "\t" }) }
  }

  private static func name(of pid: Int32) -> String {
    contents("/proc/\(pid)/comm").map { String($0.prefix { $0 != "\n" }) } ?? ""
  }

  private static func descriptors(of pid: Int32) -> [Int32] {
    guard let folder = opendir("/proc/\(pid)/fd") else { return [] }
    defer { closedir(folder) }
    var numbers: [Int32] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if let number = Int32(name) { numbers.append(number) }
    }
    return numbers.sorted()
  }

  private static func leads(_ pid: Int32, _ descriptor: Int32, to path: String) -> Bool {
    guard descriptor >= 0 else { return false }
    var target = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/\(pid)/fd/\(descriptor)", &target, target.count)
    guard count > 0, count < target.count else { return false }
    // One that was unlinked meanwhile is told with a word behind it.
    let text = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text.hasSuffix(path) || text.hasSuffix(path + " (deleted)")
  }

  private static func position(_ pid: Int32, _ descriptor: Int32) -> Int64 {
    guard let text = contents("/proc/\(pid)/fdinfo/\(descriptor)"), text.hasPrefix("pos:") else { return 0 }
    return Int64(text.dropFirst(4).drop { $0 == " " || $0 == "\t" }.prefix { $0.isNumber }) ?? 0
  }

  private static func contents(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(descriptor, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }
}
