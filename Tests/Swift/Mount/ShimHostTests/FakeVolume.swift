import Core
import Glibc
import Synchronization
import Volume
import Wire

/// Files of known bytes in one directory, each backed by a file under the first root. Reads are answered at once, or
/// kept while `isStalled`.
@DispatchLoop
final class FakeVolume: Volume {
  struct File {
    var name: String
    var node: NodeID
    var cursor: UInt64
    var bytes: [UInt8]
  }

  nonisolated let folder: String
  private(set) var files: [File] = []
  private var nextNode: UInt64 = 100
  /// Changes with the entries, or the kernel keeps its listing.
  private var modified: Int64 = 1_700_000_000_000_000_000
  private(set) weak var host: (any VolumeHost)?
  private var leases: [NodeID: any Lease] = [:]
  /// Open handles, and every call in order.
  private(set) var open: Set<HandleID> = []
  private(set) var opens = 0
  private(set) var releases: [HandleUse] = []
  /// A handle released that was not open, or opened twice.
  private(set) var miscounts = 0
  var isStalled = false
  private var stalled: [@Sendable () -> Void] = []
  /// Lookups and listings are answered by `endLateness`.
  var isLate = false
  private(set) var late: [@Sendable () -> Void] = []
  private(set) var lookups = 0
  private(set) var lists = 0
  private(set) var reads = 0
  private(set) var badReads = 0

  /// If set, reads are answered from its places.
  var window: FakeWindow?
  /// Handles are opened with leases over files all the same, so that each answer has to name the window's.
  var opensFiles = false
  private(set) var windows: [NodeID: any WindowLease] = [:]
  nonisolated let deliveries = Mutex<[any Delivery]>([])

  nonisolated init(folder: String) { self.folder = folder }

  var isReadOnly: Bool { true }
  var keepsPages = true
  var statistics: VolumeStatistics {
    VolumeStatistics(bytes: files.reduce(0) { $0 + Int64($1.bytes.count) }, files: Int64(files.count))
  }
  func attach(to host: any VolumeHost) { self.host = host }
  /// The leases that a dead control plane left.
  private(set) var inherited: [any InheritedLease] = []
  private(set) var windowGeneration: UInt32 = 0
  var refusesLeases = false
  /// Inherited, so each may be asked for once more.
  private var unanswered: Set<HandleID> = []

  func inherit(_ inheritance: Inheritance) async {
    inherited = inheritance.leases
    opens += inheritance.handles.count
    open = Set(inheritance.handles.keys)
    unanswered = open
    windowGeneration = inheritance.windowGeneration
    for window in inheritance.windows { windows[window.node] = window }
    for lease in inheritance.leases {
      if refusesLeases { host?.revoke(lease) {} } else { leases[lease.node] = lease }
    }
  }

  /// A new file, its bytes on disk but none marked.
  @discardableResult
  func add(_ name: String, _ bytes: [UInt8]) -> NodeID {
    nextNode += 1
    let file = File(name: name, node: NodeID(nextNode), cursor: nextNode, bytes: bytes)
    files.append(file)
    modified += 1
    FileManager.write(bytes, to: "\(folder)/\(nextNode)")
    return file.node
  }

  /// A file was opened and closed once on the mount at `mountpoint`, before what the test is about.
  ///
  /// That close is a FLUSH, answered ENOSYS, and the kernel's last one. Without it, a child of this process (which has
  /// its files until its exec) might wait there for a shim that is dead, while the loop, which is to start another one,
  /// waits for that child.
  func warmUp(_ mountpoint: String) async {
    files.append(File(name: "warm", node: NodeID(99), cursor: 99, bytes: []))
    let call = HangingCall { FileManager.read(mountpoint + "/warm") }
    _ = await Task.detached { call.join() }.value
    _ = await eventually { self.open.isEmpty }
    (files, opens, releases) = ([], 0, [])
  }

  func remove(_ name: String) {
    files.removeAll { $0.name == name }
    modified += 1
  }
  func endStall() {
    isStalled = false
    for answer in stalled { answer() }
    stalled = []
  }
  /// Answers what waits, from another thread, and goes on answering at once.
  func endLateness() {
    isLate = false
    let answers = late
    late = []
    Task { @TransferLoop in for answer in answers { answer() } }
  }
  func lease(of node: NodeID) -> (any Lease)? { leases.removeValue(forKey: node) }

  private func attributes(_ file: File) -> Attributes {
    Attributes(node: file.node, kind: .file, size: Int64(file.bytes.count), modified: 1_700_000_000_000_000_000)
  }

  func directoriesToForget() async -> [NodeID] { [.root] }

  func lookup(_ name: FileName, in directory: NodeID, reply: AttributesReply) {
    lookups += 1
    let answer = Result { () throws(Errno) in
      guard directory == .root else { throw .notDirectory }
      guard let file = files.first(where: { Array($0.name.utf8) == name.bytes }) else { throw .noEntry }
      return attributes(file)
    }
    if isLate { late.append { reply(answer) } } else { reply(answer) }
  }

  func attributes(of node: NodeID, reply: AttributesReply) {
    reply { () throws(Errno) in
      if node == .root { return Attributes(node: .root, kind: .directory, modified: modified) }
      guard let file = files.first(where: { $0.node == node }) else { throw .stale }
      return attributes(file)
    }
  }

  func list(_ directory: NodeID, after cursor: UInt64, to listing: any Listing) {
    lists += 1
    guard directory == .root else { return listing.fail(.notDirectory) }
    let entries = files.filter { $0.cursor > cursor }.map { (FileName($0.name), $0.cursor, attributes($0)) }
    let answer: @Sendable () -> Void = {
      for (name, cursor, attributes) in entries where !listing.add(name, cursor: cursor, attributes) { break }
      listing.finish()
    }
    if isLate { late.append(answer) } else { answer() }
  }

  func open(_ node: NodeID, handle: HandleID, reply: @escaping @Sendable (Result<LeaseID?, Errno>) -> Void) {
    if open.insert(handle).inserted {
      opens += 1
    } else if unanswered.remove(handle) == nil {
      miscounts += 1
    }
    guard let file = files.first(where: { $0.node == node }) else {
      reply(.failure(.stale))
      return
    }
    if file.bytes.isEmpty {
      reply(.success(nil))
      return
    }
    if window != nil {
      windows[node] = windows[node] ?? (try? host?.grantWindow(node: node, length: Int64(file.bytes.count)))
      guard let lease = windows[node] else { return reply(.failure(.noSpace)) }
      if !opensFiles { return reply(.success(lease.id)) }
    }
    let lease =
      leases[node]
      ?? (try? host?.grantLease(node: node, root: 0, name: String(node.rawValue), length: Int64(file.bytes.count)))
    leases[node] = lease
    if let lease { reply(.success(lease.id)) } else { reply(.failure(.noSpace)) }
  }

  func read(_ node: NodeID, handle: HandleID, range: ByteRange, wasBad: Bool, reply: @escaping ReadReply) {
    reads += 1
    if wasBad { badReads += 1 }
    guard let file = files.first(where: { $0.node == node }) else {
      _ = reply(.failed(.stale))
      return
    }
    let size = Int64(file.bytes.count)
    let cut = ByteRange(min(range.start, size), min(range.end, size))
    func blocks(_ blockSize: Int64) -> Range<Int> {
      cut.isEmpty ? 0..<0 : Int(cut.start / blockSize)..<Int((cut.end - 1) / blockSize) + 1
    }
    let answer: @Sendable () -> Void
    if let window, let lease = windows[node] {
      let (blocks, from) = (blocks(lease.blockSize), opensFiles ? lease.id : nil)
      answer = {
        for block in blocks { window.fill(block, of: lease, file.bytes) }
        guard let delivery = reply(.bytes(cut, from: from)) else { return }
        self.deliveries.withLock { $0.append(delivery) }
      }
    } else if let lease = leases[node] {
      let blocks = blocks(lease.blockSize)
      answer = {
        lease.mark(blocks)
        _ = reply(.bytes(cut, from: nil))
      }
    } else {
      _ = reply(.failed(.stale))
      return
    }
    if isStalled {
      stalled.append(answer)
    } else {
      // From another thread, as a store does.
      Task { @TransferLoop in answer() }
    }
  }

  func released(_ node: NodeID, handle: HandleID, use: HandleUse) {
    if open.remove(handle) == nil { miscounts += 1 }
    releases.append(use)
  }
}

/// A window whose frames are given to blocks as they are read, one after the other, and never twice.
final class FakeWindow: Sendable {
  private struct State {
    var frames: [LeaseID: [Int: Int]] = [:]
    var next = 0
    var generation: UInt32
  }
  let descriptor: OwnedDescriptor
  private let state: Mutex<State>

  init(_ descriptor: OwnedDescriptor, above generation: UInt32 = 0, first: Int = 0) {
    self.descriptor = descriptor
    state = Mutex(State(next: first, generation: generation))
  }

  /// The block's frame; nil if it has none.
  func frame(of block: Int, _ lease: any WindowLease) -> Int? { state.withLock { $0.frames[lease.id]?[block] } }

  func fill(_ block: Int, of lease: any WindowLease, _ bytes: [UInt8]) {
    state.withLock { state in
      guard state.frames[lease.id]?[block] == nil else { return }
      let frame = state.next
      state.next += 1
      state.generation &+= 1
      state.frames[lease.id, default: [:]][block] = frame
      let size = Int(lease.blockSize)
      let part = Array(bytes[block * size..<min((block + 1) * size, bytes.count)])
      _ = pwrite(descriptor.number, part, part.count, off_t(frame * size))
      lease.put(block, frame: frame, generation: state.generation, isWhole: true)
    }
  }

  /// Takes the block away, and overwrites its frame.
  func clear(_ block: Int, of lease: any WindowLease) {
    state.withLock { state in
      lease.clear(block)
      guard let frame = state.frames[lease.id]?.removeValue(forKey: block) else { return }
      let size = Int(lease.blockSize)
      _ = pwrite(descriptor.number, [UInt8](repeating: 0xee, count: size), size, off_t(frame * size))
    }
  }
}

/// The few file calls of the tests, without Foundation.
enum FileManager {
  static func write(_ bytes: [UInt8], to path: String) {
    guard let file = fopen(path, "w") else { return }
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
  }

  static func read(_ path: String) -> Result<[UInt8], Errno> {
    guard let file = fopen(path, "re") else { return .failure(.current) }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&part, 1, part.count, file)
      if count == 0 { return ferror(file) == 0 ? .success(bytes) : .failure(.current) }
      bytes += part[..<count]
    }
  }

  static func list(_ path: String) -> [String] {
    guard let folder = opendir(path) else { return ["opendir: \(Errno.current)"] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      // The record is shorter than its type: only the name's own bytes may be read.
      if let offset = MemoryLayout<dirent>.offset(of: \.d_name) {
        names.append(String(cString: (UnsafeRawPointer(entry) + offset).assumingMemoryBound(to: CChar.self)))
      }
    }
    return names
  }
}
