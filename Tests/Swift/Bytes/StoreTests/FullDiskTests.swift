import Core
import EventLoop
import Glibc
import MediaHubSim
import Support
import Testing
import Transfer

@testable import Store

/// A file system of 8 MiB that is mounted for the time of a test.
private final class SmallDisk {
  let scratch: ScratchFolder
  init?() throws {
    let path = try TestFolder.make("disk")
    guard mount("tmpfs", path, "tmpfs", 0, "size=8m") == 0 else {
      rmdir(path)
      return nil
    }
    scratch = try ScratchFolder(path)
  }
  /// Takes room away behind the store's back, or gives it back.
  func ballast(_ bytes: Int) {
    let descriptor = openat(scratch.folder.descriptor, "ballast", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
    if bytes > 0 { posix_fallocate(descriptor, 0, off_t(bytes)) } else { ftruncate(descriptor, 0) }
    close(descriptor)
  }
  deinit { umount2(scratch.path, Int32(MNT_DETACH)) }
}

/// A budget that may use all of a disk.
@TransferLoop
private func wholeDisk() -> FetchBudget {
  quickBudget {
    $0.cache.maxCache = .max
    $0.cache.minFree = 0
  }
}

@Suite(.timeLimit(.minutes(10)), .enabled(if: geteuid() == 0, "mounting a small disk needs root"))
struct FullDiskTests {
  let simulator: Simulator
  let size: Int64 = 6 << 20

  init() throws {
    EventLoop.start()
    var options = Simulator.Options()
    options.catalog = Catalog(files: [CatalogFile(id: CatalogFile.id(1), name: "film.mp4", size: size)])
    simulator = try Simulator(options)
  }

  @Test(
    "a disk that fills up is told to readers as such, with the folder's name; once there is room the next read goes on")
  @TransferLoop func fillsUp() async throws {
    guard let disk = try SmallDisk() else { return }
    let budget = wholeDisk()
    let origin = SimOrigin(simulator, file: CatalogFile.id(1), size: size, client: HTTPClient())
    let store = try await SparseStore.create(
      name: "item", in: disk.scratch.folder, origin: origin, budget: budget, blockSize: 65536)
    let log = StoreLog()
    log.attach(store)
    #expect(await store.bytes(ByteRange(0, 65536)) == .success(ByteRange(0, 65536)))
    disk.ballast(6 << 20)
    store.setFilling(true)
    #expect(await store.bytes(ByteRange(0, size)) == .failure(.noSpace))
    #expect(log.failures.last??.contains(disk.scratch.path) == true)
    #expect(await store.bytes(ByteRange(0, 65536)) == .success(ByteRange(0, 65536)))
    disk.ballast(0)
    #expect(await store.bytes(ByteRange(0, size)) == .success(ByteRange(0, size)))
    #expect(log.failures.last == .some(nil))
    let whole = ByteRange(0, size)
    let isRight = disk.scratch.read("item", whole) == simulator.content(file: CatalogFile.id(1), tag: "a", range: whole)
    #expect(isRight)
    await store.closed()
    #expect(budget.isUnused)
  }

  @Test("room that is promised to one file is not promised to another")
  @TransferLoop func reservations() async throws {
    guard let disk = try SmallDisk() else { return }
    let budget = wholeDisk()
    let origin = SimOrigin(simulator, file: CatalogFile.id(1), size: size, client: HTTPClient())
    let first = try await SparseStore.create(
      name: "one", in: disk.scratch.folder, origin: origin, budget: budget, blockSize: 65536)
    do {
      _ = try await SparseStore.create(
        name: "two", in: disk.scratch.folder, origin: origin, budget: budget, blockSize: 65536)
      Issue.record("made")
    } catch .noRoom(let short, let sentence) {
      #expect(short == 4 << 20)
      #expect(
        sentence.contains("6 MiB needed, 8 MiB free, 6 MiB of them for other files")
          && sentence.contains(disk.scratch.path))
    }
    await first.closed()
    let second = try await SparseStore.create(
      name: "two", in: disk.scratch.folder, origin: origin, budget: budget, blockSize: 65536)
    await second.closed()
  }

  @Test(
    "a disk that fills up under a download: its owner is asked for room, and nothing received is lost or fetched twice")
  @TransferLoop func roomIsMade() async throws {
    guard let disk = try SmallDisk() else { return }
    let budget = wholeDisk()
    let origin = SimOrigin(simulator, file: CatalogFile.id(1), size: size, client: HTTPClient())
    let store = try await SparseStore.create(
      name: "item", in: disk.scratch.folder, origin: origin, budget: budget, blockSize: 65536)
    let log = StoreLog()
    log.attach(store)
    let asked = Asked()
    store.onNoSpace = { needed, done in TransferLoop.assumeIsolated { asked.all.append((needed, done)) } }
    disk.ballast(6 << 20)
    let answer = Task { @TransferLoop in await store.bytes(ByteRange(0, size)) }
    while asked.all.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
    // Longer than a stall would be borne, were it one.
    try await Task.sleep(for: .milliseconds(300))
    #expect(asked.all.count == 1 && (asked.all.first?.needed ?? 0) > 0)
    #expect(log.failures.isEmpty, "nobody is told as long as there is hope")
    disk.ballast(0)
    asked.all[0].done(true)
    #expect(await answer.value == .success(ByteRange(0, size)))
    let whole = ByteRange(0, size)
    let isRight = disk.scratch.read("item", whole) == simulator.content(file: CatalogFile.id(1), tag: "a", range: whole)
    #expect(isRight)
    #expect(simulator.statistics().bytesSent[CatalogFile.id(1)] == size)
    await store.closed()
    #expect(budget.isUnused)
  }

  @Test(
    "a disk on which no room can be made fails readers by name; closing while room is being made leaves nothing behind")
  @TransferLoop func noRoomIsMade() async throws {
    guard let disk = try SmallDisk() else { return }
    let budget = wholeDisk()
    let origin = SimOrigin(simulator, file: CatalogFile.id(1), size: size, client: HTTPClient())
    let store = try await SparseStore.create(
      name: "item", in: disk.scratch.folder, origin: origin, budget: budget, blockSize: 65536)
    let log = StoreLog()
    log.attach(store)
    let asked = Asked()
    store.onNoSpace = { needed, done in TransferLoop.assumeIsolated { asked.all.append((needed, done)) } }
    disk.ballast(6 << 20)
    let first = Task { @TransferLoop in await store.bytes(ByteRange(0, size)) }
    while asked.all.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
    asked.all[0].done(false)
    #expect(await first.value == .failure(.noSpace))
    #expect(log.failures.last??.contains("temp_dir") == true && log.failures.last??.contains(disk.scratch.path) == true)
    let second = Task { @TransferLoop in await store.bytes(ByteRange(0, size)) }
    while asked.all.count < 2 { try await Task.sleep(for: .milliseconds(5)) }
    await store.closed()
    #expect(await second.value == .failure(.io))
    asked.all[1].done(true)
    #expect(budget.isUnused)
  }
}

/// A store's requests for room, and their answers' closures.
@TransferLoop
private final class Asked {
  var all: [(needed: Int64, done: @Sendable @TransferLoop (Bool) -> Void)] = []
}
