import Core
import Glibc
import Volume

/// Looks through /proc for the processes that have a file of ours open: a worker thread's work, as it reads files.
/// Nothing here touches the mount: the links of /proc/PID/fd are read, never followed. It keeps nothing between two
/// looks.
enum Readers {
  /// A handle to be looked for.
  struct Question: Sendable {
    var handle: HandleID
    /// The thread that opened it.
    var thread: Int32
    /// The end of its path, which no other file has.
    var path: String
    /// The result of the last look.
    var known: Reader?
  }

  /// The process and the descriptor that hold a handle.
  struct Reader: Sendable, Equatable {
    var pid: Int32
    var process: String
    var descriptor: Int32
    /// Offset of the next read(2); a reader by pread leaves it at 0.
    var position: Int64
  }

  /// - Returns: of the handles that could be found; two of one file in one process are told apart by their descriptors
  ///   alone.
  static func look(for questions: [Question]) -> [HandleID: Reader] {
    var readers: [HandleID: Reader] = [:]
    var taken: Set<Held> = []
    // Handles found at their last place keep their descriptors.
    for question in questions {
      guard let known = question.known, leads(known.pid, known.descriptor, to: question.path) else { continue }
      guard taken.insert(Held(pid: known.pid, descriptor: known.descriptor)).inserted else { continue }
      readers[question.handle] = Reader(
        pid: known.pid, process: known.process, descriptor: known.descriptor,
        position: position(known.pid, known.descriptor))
    }
    var links: [Int32: Links] = [:]
    for question in questions where readers[question.handle] == nil && question.thread > 0 {
      guard let pid = question.known?.pid ?? process(of: question.thread) else { continue }
      let name = question.known?.process ?? name(of: pid)
      if links[pid] == nil { links[pid] = Links(of: pid, except: taken) }
      let descriptor = links[pid]?.take(question.path)
      readers[question.handle] = Reader(
        pid: pid, process: name, descriptor: descriptor ?? -1, position: descriptor.map { position(pid, $0) } ?? 0)
    }
    return readers
  }

  /// The descriptors of a process by the ends of the paths that they lead to, so that a process with thousands of them
  /// is looked through once.
  private struct Links {
    private var descriptors: [String: [Int32]] = [:]

    init(of pid: Int32, except taken: Set<Held>) {
      for number in Readers.descriptors(of: pid).reversed() where !taken.contains(Held(pid: pid, descriptor: number)) {
        guard let target = Readers.target(pid, number) else { continue }
        // The link of a file that was unlinked meanwhile has a word behind it.
        for text in Set([
          target, target.hasSuffix(Readers.deleted) ? String(target.dropLast(Readers.deleted.count)) : target,
        ]) {
          let parts = text.split(separator: "/", omittingEmptySubsequences: false)
          for count in [1, 3] where parts.count > count {
            descriptors["/" + parts.suffix(count).joined(separator: "/"), default: []].append(number)
          }
        }
      }
    }

    /// The lowest descriptor of the path, once.
    mutating func take(_ path: String) -> Int32? { descriptors[path]?.popLast() }
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
    guard descriptor >= 0, let text = target(pid, descriptor) else { return false }
    return text.hasSuffix(path) || text.hasSuffix(path + deleted)
  }

  private static let deleted = " (deleted)"

  private static func target(_ pid: Int32, _ descriptor: Int32) -> String? {
    var target = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/\(pid)/fd/\(descriptor)", &target, target.count)
    guard count > 0, count < target.count else { return nil }
    return String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
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
