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

@Suite(.timeLimit(.minutes(1)), .enabled(if: geteuid() == 0, "mounting a small disk needs root"))
struct FullDiskTests {
  let simulator: Simulator
  let size: Int64 = 6 << 20

  init() throws {
    EventLoop.start()
    var options = Simulator.Options()
    options.catalog = Catalog(files: [CatalogFile(id: CatalogFile.id(1), name: "film.mp4", size: size)])
    simulator = try Simulator(options)
  }

  @Test("a disk that fills up is told to readers as such, with the folder's name; once there is room the next read goes on")
  @TransferLoop func fillsUp() async throws {
    guard let disk = try SmallDisk() else { return }
    let budget = quickBudget()
    let origin = SimOrigin(simulator, file: CatalogFile.id(1), size: size, client: HTTPClient())
    let store = try await SparseStore.create(name: "item", in: disk.scratch.folder, origin: origin, budget: budget, blockSize: 65536)
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
    let budget = quickBudget()
    let origin = SimOrigin(simulator, file: CatalogFile.id(1), size: size, client: HTTPClient())
    let first = try await SparseStore.create(name: "one", in: disk.scratch.folder, origin: origin, budget: budget, blockSize: 65536)
    do {
      _ = try await SparseStore.create(name: "two", in: disk.scratch.folder, origin: origin, budget: budget, blockSize: 65536)
      Issue.record("made")
    } catch .failed(let error, let sentence) {
      #expect(error == .noSpace && sentence.contains("for other files"))
    }
    await first.closed()
    let second = try await SparseStore.create(name: "two", in: disk.scratch.folder, origin: origin, budget: budget, blockSize: 65536)
    await second.closed()
  }
}
