import Core
import Glibc
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Suite("Markers")
struct MarkerTests {
  private static let tag = Marker.cacheTag.node

  @Test("the tag begins with the signature that its standard names")
  func signature() {
    #expect(String(decoding: Marker.tag, as: UTF8.self).hasPrefix("Signature: 8a477f597d28d172789f06886806bc55\n"))
  }

  @Test("an empty marker has no lease; the tag has one file and one lease, whoever opens it")
  func opens() async throws {
    try await World.run { world in
      let empty = Answers<LeaseID?>()
      world.volume.open(Marker.noMedia.node, handle: HandleID(1), reply: empty.reply)
      #expect(empty.list == [.success(nil)])
      let opened = Answers<LeaseID?>()
      for handle in 2...3 { world.volume.open(Self.tag, handle: HandleID(UInt64(handle)), reply: opened.reply) }
      await answered(opened, 2)
      world.volume.open(Self.tag, handle: HandleID(4), reply: opened.reply)
      let lease = try #require(world.host.leases.first)
      #expect(opened.list == Array(repeating: .success(lease.id), count: 3) && world.host.leases.count == 1)
      #expect(lease.marks.withLock { $0 } == ["+0..<1"] && lease.node == Self.tag)
      #expect(contents(world, lease.name) == Marker.tag)
      #expect(world.volume.items().isEmpty && !world.volume.isBusy)
    }
  }

  @Test("bytes that could not be read are written again, behind another lease; a handle of an earlier run reads by it")
  func readAgain() async throws {
    try await World.run { world in
      let opened = Answers<LeaseID?>()
      world.volume.open(Self.tag, handle: HandleID(1), reply: opened.reply)
      await answered(opened, 1)
      let first = try #require(world.host.leases.first)
      truncate("\(world.folder)/bytes/\(first.name)", 3)
      let read = Answers<ReadAnswer>()
      world.volume.read(Self.tag, handle: HandleID(1), range: ByteRange(0, 4096), wasBad: true) {
        read.reply(.success($0))
        return nil
      }
      await answered(read, 1)
      let second = try #require(world.host.leases.last)
      #expect(second.id != first.id && world.host.revoked == [first.id])
      #expect(read.list == [.success(.bytes(ByteRange(0, Int64(Marker.tag.count)), from: second.id))])
      #expect(contents(world, second.name) == Marker.tag)
    }
  }

  @Test(
    "a folder that cannot be written to costs the open an error, and the next one tries again; after a stop nothing is left"
  )
  func failure() async throws {
    try await World.run { world in
      let path = "\(world.folder)/bytes/cachedir.tag"
      mkdir(path, 0o700)
      let failed = Answers<LeaseID?>()
      world.volume.open(Self.tag, handle: HandleID(1), reply: failed.reply)
      await answered(failed, 1)
      #expect(failed.list == [.failure(.isDirectory)] && world.host.leases.isEmpty)
      rmdir(path)
      world.host.isFull = true
      world.volume.open(Self.tag, handle: HandleID(2), reply: failed.reply)
      await answered(failed, 2)
      #expect(failed.list.last == .failure(.tooManyFiles))
      world.host.isFull = false
      let opened = Answers<LeaseID?>()
      world.volume.open(Self.tag, handle: HandleID(3), reply: opened.reply)
      await answered(opened, 1)
      #expect(opened.list == [.success(world.host.leases.first?.id)])
      world.volume.stop()
      world.volume.open(Self.tag, handle: HandleID(4), reply: opened.reply)
      #expect(opened.list.last == .failure(.io))
      await world.volume.remove(forget: false)
      #expect(access(path, F_OK) != 0 && access(path + ".new", F_OK) != 0)
    }
  }

  private func contents(_ world: World, _ name: String) -> [UInt8] {
    let file = openat(world.bytes, name, O_RDONLY)
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(file, &bytes, bytes.count)
    return Array(bytes.prefix(max(0, count)))
  }

  /// Waits for a worker thread.
  @DispatchLoop
  private func answered<Value>(_ answers: Answers<Value>, _ count: Int) async {
    for _ in 0..<6000 where answers.list.count < count { try? await Task.sleep(for: .milliseconds(10)) }
  }
}
