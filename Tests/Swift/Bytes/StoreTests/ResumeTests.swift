import ByteSource
import Core
import EventLoop
import Glibc
import MediaHubSim
import Support
import Testing
import Transfer

@testable import Store

/// A run leaves files and the next one takes them up, over real files and real HTTP.
@Suite(.timeLimit(.minutes(10)))
struct ResumeTests {
  static let file = CatalogFile.id(7)
  static let block: Int64 = 64 << 10
  let size: Int64 = 6 << 20 | 12_345
  let simulator: Simulator
  let scratch: ScratchFolder

  init() throws {
    EventLoop.start()
    var options = Simulator.Options()
    options.catalog = Catalog(files: [CatalogFile(id: Self.file, name: "film.mp4", size: size)])
    simulator = try Simulator(options)
    scratch = try ScratchFolder()
  }

  private var whole: ByteRange { ByteRange(0, size) }
  private var sent: Int64 { simulator.statistics().bytesSent[Self.file] ?? 0 }

  @TransferLoop private func open(
    _ name: String, _ start: SparseStore.Start = .empty, _ budget: FetchBudget, origin: SimOrigin? = nil
  ) async throws -> (SparseStore, StoreLog) {
    let store = try await SparseStore.create(
      name: name, in: scratch.folder,
      origin: origin ?? SimOrigin(simulator, file: Self.file, size: size, client: HTTPClient()),
      budget: budget, blockSize: Self.block, identity: 42, start: start)
    let log = StoreLog()
    log.attach(store)
    return (store, log)
  }

  /// A run that fetched `ranges` and died: its files are `left.bytes` and `left.sums`.
  @TransferLoop private func die(after ranges: [ByteRange], as left: String = "left") async throws {
    let budget = quickBudget()
    let (store, _) = try await open("first.bytes", .empty, budget)
    for range in ranges { #expect(await store.bytes(range) == .success(range)) }
    await summed(store, budget)
    for kind in ["bytes", "sums"] {
      #expect(linkat(scratch.folder.descriptor, "first.\(kind)", scratch.folder.descriptor, "\(left).\(kind)", 0) == 0)
    }
    await store.closed()
    #expect(scratch.size("first.bytes") == nil && scratch.size("first.sums") == nil)
  }

  /// Until every whole block has its sum.
  @TransferLoop private func summed(_ store: SparseStore, _ budget: FetchBudget) async {
    while !store.engine.plan.fetches.isEmpty || !budget.sums.isIdle || store.sums.isDue(isIdle: true) {
      try? await Task.sleep(for: .milliseconds(2))
    }
  }

  private func change(_ name: String, at offset: Int64, _ bytes: [UInt8]) {
    let descriptor = openat(scratch.folder.descriptor, name, O_RDWR)
    #expect(pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count)
    close(descriptor)
  }

  /// All of the file comes, and is right; nothing is left afterwards.
  @TransferLoop private func checkWhole(
    _ store: SparseStore, _ log: StoreLog, _ budget: FetchBudget, _ name: String,
    _ location: SourceLocation = #_sourceLocation
  ) async {
    #expect(await store.bytes(whole) == .success(whole), sourceLocation: location)
    let isRight = scratch.read(name, whole) == simulator.content(file: Self.file, tag: "a", range: whole)
    #expect(isRight, sourceLocation: location)
    #expect(store.bytesPresent == size, sourceLocation: location)
    await store.closed()
    #expect(budget.isUnused, sourceLocation: location)
    for name in [name, SumsFile.name(of: name), "left.bytes", "left.sums"] {
      #expect(scratch.size(name) == nil, sourceLocation: location)
    }
  }

  enum Source: CaseIterable, Sendable { case same, otherETag, weakOnly, silent }

  @Test("after a crash of everything what was fetched is not fetched again", arguments: Source.allCases, [true, false])
  @TransferLoop func resume(source: Source, isWhole: Bool) async throws {
    if source == .silent { simulator.set { ($0.etag, $0.lastModified) = (.none, false) } }
    if source == .weakOnly { simulator.set { $0.etag = .weak } }
    let half = size / Self.block / 2 * Self.block
    try await die(after: isWhole ? [whole] : [ByteRange(0, half)])
    let before = sent
    if source == .otherETag { simulator.add(Fault(.otherETag, count: nil)) }
    let budget = quickBudget()
    let (store, log) = try await open("second.bytes", .left("left.bytes"), budget)
    #expect(store.bytesPresent == 0 && log.blocks.isEmpty)
    store.setFilling(true)
    #expect(await store.bytes(whole) == .success(whole))
    #expect(log.blocks == Set(0..<Int((size + Self.block - 1) / Self.block)) && log.failures.isEmpty)
    // The probe, both ends of an extent, an overlap for each range under a validator that decides nothing, and what was
    // never fetched.
    #expect(sent - before <= (isWhole ? 0 : size - half) + 6 * Self.block)
    await checkWhole(store, log, budget, "second.bytes")
  }

  @Test("bytes of another version are dropped, fetched again, and nobody sees an error", arguments: [true, false])
  @TransferLoop func changed(hasValidators: Bool) async throws {
    if !hasValidators { simulator.set { ($0.etag, $0.lastModified) = (.none, false) } }
    try await die(after: [whole])
    simulator.change(file: Self.file)
    let budget = quickBudget()
    let (store, log) = try await open("second.bytes", .left("left.bytes"), budget)
    #expect(await store.bytes(ByteRange(size / 2, size / 2 + 10)) == .success(ByteRange(size / 2, size / 2 + 10)))
    #expect(log.failures.isEmpty)
    await checkWhole(store, log, budget, "second.bytes")
  }

  @Test("a second crash finds what both runs fetched, under the validators of both")
  @TransferLoop func twice() async throws {
    try await die(after: [ByteRange(0, 1 << 20)])
    simulator.add(Fault(.otherETag, count: nil))
    let budget = quickBudget()
    let (store, _) = try await open("second.bytes", .left("left.bytes"), budget)
    #expect(await store.bytes(whole) == .success(whole))
    await summed(store, budget)
    for kind in ["bytes", "sums"] {
      linkat(scratch.folder.descriptor, "second.\(kind)", scratch.folder.descriptor, "left.\(kind)", 0)
    }
    await store.closed()
    let before = sent
    let again = quickBudget()
    let (last, log) = try await open("third.bytes", .left("left.bytes"), again)
    #expect(last.validators.count == 2)
    await checkWhole(last, log, again, "third.bytes")
    #expect(sent - before == 1)
  }

  @Test("a file that was never filled is not whole, however large it and its sums are")
  @TransferLoop func isWhole() async throws {
    try await die(after: [whole])
    let folder = scratch.folder
    func isWhole(_ identity: UInt64 = 42) -> Bool {
      SparseStore.isWhole("left.bytes", in: folder, length: size, identity: identity)
    }
    #expect(isWhole() && !isWhole(43))
    try await die(after: [ByteRange(0, 2 << 20), ByteRange(3 << 20, size)], as: "gap")
    let descriptor = openat(folder.descriptor, "gap.bytes", O_RDWR)
    #expect(posix_fallocate(descriptor, 0, off_t(size)) == 0, "each of its bytes has its place on the disk")
    close(descriptor)
    #expect(!SparseStore.isWhole("gap.bytes", in: folder, length: size, identity: 42))
    for name in ["left", "gap"] { for kind in ["bytes", "sums"] { unlinkat(folder.descriptor, "\(name).\(kind)", 0) } }
  }

  enum Damage: CaseIterable, Sendable {
    case block, sum, header, shortHeader, shortSums, noSums, junk, folder, shortFile, noFile, otherItem
  }

  @Test("whatever is broken of what a crash left costs a fetch, never a wrong byte", arguments: Damage.allCases)
  @TransferLoop func damaged(damage: Damage) async throws {
    try await die(after: [whole])
    let folder = scratch.folder.descriptor
    let sums = openat(folder, "left.sums", O_RDWR)
    let bytes = openat(folder, "left.bytes", O_RDWR)
    defer {
      close(sums)
      close(bytes)
    }
    let header = SumsHeader(
      identity: 43, seed: 1, length: size, blockSize: Self.block, validators: [Validator(etag: "\"x\"")]
    ).bytes
    switch damage {
    case .block: change("left.bytes", at: 20 * Self.block + 77, [1, 2, 3, 4])
    case .sum: change("left.sums", at: 4096 + 8 * 20, [1, 2, 3, 4])
    case .header: change("left.sums", at: 50, [1, 2, 3, 4])
    case .shortHeader: #expect(ftruncate(sums, 100) == 0)
    case .shortSums: #expect(ftruncate(sums, 4096 + 8 * 20 + 3) == 0)
    case .noSums: #expect(unlinkat(folder, "left.sums", 0) == 0)
    case .junk:
      // Sums from nowhere under a good header.
      change("left.sums", at: 4096, (0..<800).map { UInt8(truncatingIfNeeded: $0 * 7 + 1) })
    case .folder:
      #expect(unlinkat(folder, "left.bytes", 0) == 0 && mkdirat(folder, "left.bytes", 0o700) == 0)
    case .shortFile: #expect(ftruncate(bytes, off_t(size - 1)) == 0)
    case .noFile: #expect(unlinkat(folder, "left.bytes", 0) == 0)
    case .otherItem: change("left.sums", at: 0, header)
    }
    let before = sent
    let budget = quickBudget()
    let (store, log) = try await open("second.bytes", .left("left.bytes"), budget)
    #expect(await store.bytes(whole) == .success(whole))
    switch damage {
    case .block, .sum: #expect(sent - before <= 2 * Self.block)
    case .shortSums: #expect(sent - before <= size - 20 * Self.block + 1)
    default: #expect(sent - before >= size)
    }
    if damage == .folder { unlinkat(folder, "left.bytes", AT_REMOVEDIR) }
    await checkWhole(store, log, budget, "second.bytes")
  }

  @Test("a folder without room for the rest keeps what is there for a later try")
  @TransferLoop func noRoom() async throws {
    try await die(after: [ByteRange(0, 1 << 20)])
    let before = sent
    let budget = quickBudget()
    let (other, _) = budget.reserve(1 << 60, beside: 0)
    await #expect(throws: SparseStore.Failure.self) { _ = try await open("second.bytes", .left("left.bytes"), budget) }
    #expect(
      scratch.size("left.bytes") == size && scratch.size("left.sums") != nil && scratch.size("second.bytes") == nil)
    budget.release(other)
    let (store, log) = try await open("second.bytes", .left("left.bytes"), budget)
    await checkWhole(store, log, budget, "second.bytes")
    #expect(sent - before <= size - (1 << 20) + Self.block)
  }

  // MARK: Taken up

  /// A run whose leases stand: its file is `left.bytes`; the blocks it marked.
  @TransferLoop private func marked(_ ranges: [ByteRange]) async throws -> [Range<Int>] {
    try await die(after: ranges)
    return RangeSet(ranges).ranges.map { Int($0.start / Self.block)..<Int($0.end / Self.block) }
  }

  @Test(
    "a store that is taken up has what was marked, at once and without asking, and goes on", arguments: Source.allCases)
  @TransferLoop func takenUp(source: Source) async throws {
    if source == .silent { simulator.set { ($0.etag, $0.lastModified) = (.none, false) } }
    if source == .weakOnly { simulator.set { $0.etag = .weak } }
    let ranges = [ByteRange(0, 1 << 20), ByteRange(3 << 20, 4 << 20)]
    let blocks = try await marked(ranges)
    let before = sent
    if source == .otherETag { simulator.add(Fault(.otherETag, count: nil)) }
    let budget = quickBudget()
    let (store, log) = try await open("left.bytes", .marked(blocks), budget)
    #expect(store.bytesPresent == 2 << 20 && store.extents.ranges == ranges)
    #expect(await store.bytes(ranges[1]) == .success(ranges[1]) && sent == before)
    await checkWhole(store, log, budget, "left.bytes")
    // If the first answer has another validator, its bytes that were on their way are thrown away.
    let thrown: Int64 = source == .same || source == .weakOnly ? 0 : 2 << 20
    #expect(sent - before <= size - (2 << 20) + 2 * Self.block + thrown)
  }

  @Test(
    "a store that is taken up is never mixed with another version: its readers get an error where bytes are missing")
  @TransferLoop func takenUpChanged() async throws {
    let blocks = try await marked([ByteRange(0, 1 << 20)])
    simulator.change(file: Self.file)
    let budget = quickBudget()
    let (store, log) = try await open("left.bytes", .marked(blocks), budget)
    #expect(await store.bytes(ByteRange(2 << 20, 3 << 20)) == .failure(.io))
    #expect(log.failures.last??.contains("the file changed at its origin") == true)
    #expect(await store.bytes(ByteRange(0, 1 << 20)) == .success(ByteRange(0, 1 << 20)))
    await store.closed()
  }

  @Test(
    "blocks that were marked and not summed when their run died are summed by the next one", arguments: [true, false])
  @TransferLoop func sumsCatchUp(hasHeader: Bool) async throws {
    let blocks = try await marked([ByteRange(0, 2 << 20)])
    let sums = openat(scratch.folder.descriptor, "left.sums", O_RDWR)
    #expect(ftruncate(sums, hasHeader ? 4096 + 8 * 5 : 10) == 0)
    close(sums)
    let budget = quickBudget()
    let (store, _) = try await open("left.bytes", .marked(blocks), budget)
    if !hasHeader { #expect(await store.bytes(ByteRange(2 << 20, 3 << 20)) == .success(ByteRange(2 << 20, 3 << 20))) }
    await summed(store, budget)
    let found = try #require(store.sumsFile.read(identity: 42))
    #expect(found.blocks.contains(ByteRange(0, 32)))
    #expect(store.sumsFile.check(0..<32, seed: found.header.seed) == [0..<32])
    await store.closed()
    #expect(budget.isUnused && scratch.size("left.sums") == nil)
  }

  @Test("what is no file of this length, or not there, is not taken up")
  @TransferLoop func notTakenUp() async throws {
    let budget = quickBudget()
    let folder = scratch.folder.descriptor
    for make in [
      {}, { close(openat(folder, "left.bytes", O_CREAT | O_RDWR, 0o600)) },
      { symlinkat("/etc/passwd", folder, "left.bytes") },
      { mkfifoat(folder, "left.bytes", 0o600) },
    ] as [() -> Void] {
      make()
      await #expect(throws: SparseStore.Failure.self) { _ = try await open("left.bytes", .marked([0..<1]), budget) }
      unlinkat(folder, "left.bytes", 0)
    }
    #expect(budget.isUnused)
  }

  @Test("sums that cannot be written cost nothing but themselves")
  @TransferLoop func noSums() async throws {
    #expect(mkdirat(scratch.folder.descriptor, "first.sums", 0o700) == 0)
    let budget = quickBudget()
    let (store, log) = try await open("first.bytes", .empty, budget)
    store.setFilling(true)
    #expect(await store.bytes(whole) == .success(whole))
    while !store.sums.isBroken { try? await Task.sleep(for: .milliseconds(2)) }
    unlinkat(scratch.folder.descriptor, "first.sums", AT_REMOVEDIR)
    await checkWhole(store, log, budget, "first.bytes")
  }
}
