import ControlModel
import Core
import Glibc
import Support
import Synchronization
import Testing
import Volume

@testable import OpenFiles
@testable import Staging
@testable import Store

/// A staged volume with everything round it faked but its journal, which is a real file in a folder of its own.
@DispatchLoop
final class World {
  let folder: String
  /// The folder of files of bytes.
  let bytes: Int32
  let time = ManualTime()
  let alarms: ManualAlarms
  let catalogue = FakeCatalogue()
  let stores = FakeStores()
  private(set) var host = FakeHost()
  private(set) var volume: StagedVolume
  private let options: StagedVolume.Options
  private let dependencies: Dependencies

  private init(_ folder: String, _ change: (inout StagedVolume.Options) -> Void) async throws {
    self.folder = folder
    var options = StagedVolume.Options(mountpoint: "/mnt/films", stateFolder: folder)
    change(&options)
    self.options = options
    let alarms = ManualAlarms(time)
    self.alarms = alarms
    mkdir(folder + "/bytes", 0o700)
    bytes = Glibc.open(folder + "/bytes", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    dependencies = Dependencies(catalogue: catalogue, clock: time)
    volume = try await StagedVolume.open(
      options: options, dependencies: dependencies, files: Self.files(options, stores, bytes, time, alarms))
    volume.attach(to: host)
    await begin()
  }

  /// The cache of a process.
  private static func files(
    _ options: StagedVolume.Options, _ stores: FakeStores, _ bytes: Int32, _ time: ManualTime, _ alarms: ManualAlarms
  ) -> FileCache {
    FileCache(
      rules: StagedVolume.rules(options, FileKeeper.Rules()), maker: stores,
      leftovers: Leftovers(folder: CacheFolder(descriptor: bytes)),
      clock: time, alarm: { ManualAlarms.One(alarms, $0) })
  }

  /// Runs `body` with a world, and takes its folder away afterwards.
  nonisolated static func run(
    _ change: @escaping @Sendable (inout StagedVolume.Options) -> Void = { _ in },
    _ body: @escaping @Sendable @DispatchLoop (World) async throws -> Void
  ) async throws {
    try await onDispatchLoop {
      let folder = try temporaryFolder()
      defer { remove(folder: folder) }
      let world = try await World(folder, change)
      do {
        try await body(world)
      } catch {
        await world.volume.journal.close()
        throw error
      }
      await world.volume.journal.close()
      Glibc.close(world.bytes)
    }
  }

  var journalPath: String { folder + "/staged.sqlite" }

  /// Plays a death: the journal is all that is left.
  func restart(_ inheritance: Inheritance = Inheritance()) async throws {
    await volume.journal.close()
    volume = try await StagedVolume.open(
      options: options, dependencies: dependencies, files: Self.files(options, stores, bytes, time, alarms))
    volume.attach(to: host)
    await begin(inheritance)
  }

  /// Another volume on the same folder, which has not begun.
  func reopen() async throws -> StagedVolume {
    let volume = try await StagedVolume.open(
      options: options, dependencies: dependencies, files: Self.files(options, stores, bytes, time, alarms))
    volume.attach(to: host)
    return volume
  }

  private func begin(_ inheritance: Inheritance = Inheritance()) async {
    await volume.inherit(inheritance)
    host.invalidated = []
  }

  func stage(_ file: String, _ recipient: String = "alice") async throws -> StagedItem {
    if catalogue.state.withLock({ $0.files[file] == nil }) { catalogue.add(file) }
    return try await volume.stage(file, recipient: recipient)
  }

  /// The attributes at the end of an item's path.
  func look(_ item: StagedItem) throws -> Attributes {
    var at = try volume.attributes(of: .root)
    for name in item.path.utf8.dropFirst("/mnt/films/".utf8.count).split(separator: UInt8(ascii: "/")) {
      at = try volume.lookup(FileName(name), in: at.node)
    }
    return at
  }

  func open(_ item: StagedItem, _ handle: UInt64) throws -> Answers<LeaseID?> {
    let answers = Answers<LeaseID?>()
    volume.open(try look(item).node, handle: HandleID(handle), reply: answers.reply)
    return answers
  }

  func close(_ handle: UInt64, read: Int64 = 0) {
    volume.released(NodeID(0), handle: HandleID(handle), use: HandleUse(bytes: read, furthest: read))
  }

  func sql(_ statement: String) throws { try SQLite(path: journalPath).run(statement) }

  /// A file that a run left: as long as it should be, and with sums of nothing if they are to be there.
  func leave(_ file: BytesFile, size: Int64, sumsOf identity: UInt64? = nil) {
    let descriptor = openat(bytes, file.name, O_CREAT | O_WRONLY, 0o600)
    ftruncate(descriptor, off_t(size))
    Glibc.close(descriptor)
    guard let identity else { return }
    let header = SumsHeader(identity: identity, seed: 1, length: size, blockSize: 65_536, validators: []).bytes
    let sums = openat(bytes, file.with(.sums).name, O_CREAT | O_WRONLY, 0o600)
    pwrite(sums, header, header.count, 0)
    Glibc.close(sums)
  }

  /// The names in the folder of bytes, once they are `expected` or a while has passed.
  func files(_ expected: [String]) async -> [String] {
    var names: [String] = []
    for _ in 0..<6000 {
      names = Leftovers(folder: CacheFolder(descriptor: bytes)).files(of: .staged).map(\.name).sorted()
      if names == expected.sorted() { break }
      try? await Task.sleep(for: .milliseconds(10))
    }
    return names
  }

  func row(id: String) -> StagedItem? { volume.items().first { $0.id == id } }
  func row(_ item: StagedItem) -> StagedItem? { volume.items().first { $0.id == item.id } }

  func names(in directory: NodeID = NodeID(2)) throws -> [String] {
    var names: [String] = []
    try volume.list(directory, after: 0) { name, _, _ in
      names.append(name.description)
      return true
    }
    return names
  }

  nonisolated static func temporaryFolder() throws -> String {
    try TestFolder.make("staging")
  }

  nonisolated static func remove(folder: String) {
    rmdir(folder + "/staged.sqlite")
    for file in Leftovers(folder: CacheFolder(descriptor: Glibc.open(folder + "/bytes", O_RDONLY | O_DIRECTORY))).files(
      of: .staged)
    {
      unlink("\(folder)/bytes/\(file.name)")
    }
    rmdir(folder + "/bytes")
    for name in ["", "-wal", "-shm", "-journal"] { unlink(folder + "/staged.sqlite" + name) }
    rmdir(folder)
  }
}

/// Asks as the mount does; the staged files are known at once.
extension StagedVolume {
  func lookup(_ name: FileName, in directory: NodeID) throws(Errno) -> Attributes {
    let heard = Heard()
    lookup(name, in: directory, reply: AttributesReply(heard, RequestID(index: 0, generation: 0), in: directory))
    return try heard.attributes()
  }

  func attributes(of node: NodeID) throws(Errno) -> Attributes {
    let heard = Heard()
    attributes(of: node, reply: AttributesReply(heard, RequestID(index: 0, generation: 0)))
    return try heard.attributes()
  }

  /// All that `take` takes.
  func list(_ directory: NodeID, after cursor: UInt64, take: @escaping (FileName, UInt64, Attributes) -> Bool)
    throws(Errno)
  {
    let listing = HeardListing()
    list(directory, after: cursor, to: listing)
    for entry in try listing.all.withLock({ $0 })?.get() ?? [] where !take(entry.0, entry.1, entry.2) { return }
  }
}

/// An answer that has to be there when the call returns.
private final class Heard: Answering {
  private let answer = Mutex<Result<Attributes, Errno>?>(nil)

  func attributes() throws(Errno) -> Attributes {
    guard let answer = answer.withLock({ $0 }) else { throw Errno(ETIMEDOUT) }
    return try answer.get()
  }

  func answer(_ request: RequestID, in directory: NodeID?, attributes: Result<Attributes, Errno>) {
    answer.withLock { $0 = attributes }
  }
  func answer(_ request: RequestID, bytes: Result<[UInt8], Errno>) {}
  func isWanted(_ request: RequestID) -> Bool { true }
}

private final class HeardListing: Listing {
  private let entries = Mutex<[(FileName, UInt64, Attributes)]>([])
  let all = Mutex<Result<[(FileName, UInt64, Attributes)], Errno>?>(nil)

  func add(_ name: FileName, cursor: UInt64, _ attributes: Attributes) -> Bool {
    entries.withLock { $0.append((name, cursor, attributes)) }
    return true
  }
  func finish() {
    let entries = entries.withLock { $0 }
    all.withLock { $0 = .success(entries) }
  }
  func fail(_ error: Errno) { all.withLock { $0 = .failure(error) } }
  var isWanted: Bool { true }
}
