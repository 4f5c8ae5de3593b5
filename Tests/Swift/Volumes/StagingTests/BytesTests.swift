import Core
import EventLoop
import Store
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

/// Reads a store's state on the loop that owns it.
extension FakeStore {
  nonisolated func look<T: Sendable>(_ body: @escaping @Sendable @TransferLoop (FakeStore) -> T) async -> T {
    await Task { @TransferLoop in body(self) }.value
  }
}

@Suite("Bytes")
struct BytesTests {
  @Test("the first open makes store and lease, connects them, and then answers; the next ones use them")
  func firstOpen() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      world.stores.hold()
      let first = try world.open(item, 1)
      let second = try world.open(item, 2)
      await settle()
      #expect(first.list.isEmpty && second.list.isEmpty)
      #expect(world.row(item)?.openRef == 2 && world.volume.isBusy)
      world.stores.letGo()
      await settle()
      let lease = try #require(world.host.leases.first)
      #expect(first.list == [.success(lease.id)] && second.list == [.success(lease.id)])
      #expect(try world.open(item, 3).list == [.success(lease.id)], "at once")
      let store = try #require(world.stores.made.first)
      #expect(world.stores.made.count == 1 && world.host.leases.count == 1)
      #expect(store.name == lease.name && lease.name.hasPrefix("1-0000000000000011-") && lease.name.hasSuffix(".bytes"))
      #expect(BytesFile(lease.name)?.key.node == lease.node && lease.name.utf8.count <= 63)
      #expect(store.origin == FakeOrigin(fileID: "f1", size: 1 << 20, recipient: "alice", isMinted: true))
      await store.look { store in
        store.onBlocks?(3..<5, true)
        store.onBlocks?(4..<5, false)
      }
      #expect(lease.marks.withLock { $0 } == ["+3..<5", "-4..<5"])
      #expect(await store.look { $0.isFilling } == true)
      #expect(world.row(item)?.state == .open)
    }
  }

  @Test("a read goes to the store, cut to the file, and comes back from there")
  func reads() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let node = try world.look(item).node
      let answers = Answers<ByteRange>()
      @DispatchLoop func read(_ range: ByteRange, wasBad: Bool = false) {
        world.volume.read(node, handle: HandleID(1), range: range, wasBad: wasBad, reply: answers.readReply)
      }
      read(ByteRange(0, 10))
      #expect(answers.list == [.failure(.io)], "nobody has it open")
      _ = try world.open(item, 1)
      await settle()
      let store = try #require(world.stores.made.first)
      read(ByteRange(1 << 19, .max))
      read(ByteRange(0, 4096), wasBad: true)
      read(ByteRange(.max - 1, .max))
      #expect(answers.list.last == .success(ByteRange(1 << 20, 1 << 20)), "past the end is nothing, and an answer")
      await settle()
      #expect(answers.list.count == 2)
      #expect(await store.look { $0.distrusted } == [ByteRange(0, 4096)])
      await store.look { $0.answerReads() }
      #expect(answers.list.dropFirst(2) == [.success(ByteRange(1 << 19, 1 << 20)), .success(ByteRange(0, 4096))])
      world.volume.read(
        NodeID(99), handle: HandleID(1), range: ByteRange(0, 1), wasBad: false, reply: answers.readReply)
      #expect(answers.list.last == .failure(.stale))
    }
  }

  @Test("an empty file opens without a lease")
  func emptyFile() async throws {
    try await World.run { world in
      world.catalogue.add("empty", size: 0)
      let item = try await world.stage("empty")
      #expect(try world.open(item, 1).list == [.success(nil)])
      let answers = Answers<ByteRange>()
      world.volume.read(
        try world.look(item).node, handle: HandleID(1), range: ByteRange(0, 100), wasBad: false,
        reply: answers.readReply)
      #expect(answers.list == [.success(ByteRange(0, 0))])
      #expect(world.host.leases.isEmpty && world.stores.made.isEmpty)
    }
  }

  @Test(
    "a store that cannot be made: openers get its errno, people its sentence, the lease goes back, and the next open tries again"
  )
  func storeFails() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      world.stores.state.withLock { $0.error = .failed(.noSpace, "the disk of the cache is full") }
      let answers = try world.open(item, 1)
      await settle()
      #expect(answers.list == [.failure(.noSpace)])
      #expect(world.host.revoked == [LeaseID(1)])
      #expect(world.row(item)?.failure == "the disk of the cache is full" && world.row(item)?.state == .failed)
      world.close(1)
      world.stores.state.withLock { $0.error = nil }
      let again = try world.open(item, 2)
      await settle()
      #expect(again.list == [.success(LeaseID(2))])
      #expect(world.row(item)?.failure == nil && world.row(item)?.state == .open)
      let store = try #require(world.stores.made.first)
      await store.look { $0.onFailure?("the service does not answer") }
      #expect(world.row(item)?.state == .failed && world.row(item)?.failure == "the service does not answer")
      await store.look { $0.onFailure?(nil) }
      #expect(world.row(item)?.state == .open)
    }
  }

  @Test("without a free lease an open fails, and says so")
  func noLease() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      world.host.isFull = true
      #expect(try world.open(item, 1).list == [.failure(.tooManyFiles)])
      #expect(world.row(item)?.failure?.isEmpty == false)
      world.host.isFull = false
      let again = try world.open(item, 2)
      await settle()
      #expect(again.list == [.success(LeaseID(1))])
    }
  }

  @Test(
    "fetching ahead ends with the last close; after the grace the file is parked, and the next open goes on with it without fetching"
  )
  func filling() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      let store = try #require(world.stores.made.first)
      await store.look { $0.bring(1 << 19) }
      world.close(1, read: 4096)
      await world.alarms.pass(.milliseconds(4900))
      #expect(await store.look { $0.isFilling } == false)
      #expect(!(await store.look { $0.isParked }) && world.host.revoked.isEmpty, "a browser may open it again")
      await world.alarms.pass(.milliseconds(100))
      await settle()
      #expect(await store.look { $0.isParked && !$0.isClosed })
      #expect(world.host.revoked == [LeaseID(1)], "it holds no lease")
      #expect(world.row(item)?.bytesFetched == 1 << 19, "its bytes are here all the same")
      let answers = try world.open(item, 2)
      // The store first, then the origin's word that it still has the file.
      await settle()
      await settle()
      #expect(answers.list == [.success(LeaseID(2))] && world.stores.made.count == 2)
      guard case .parked(store.name, stamp: 7, extents: [ByteRange(0, 1 << 19)])? = world.stores.made.last?.start else {
        Issue.record("it does not go on with the parked file")
        return
      }
      #expect(await world.stores.made[1].look { $0.isMarked && $0.isFilling == true })
    }
  }

  @Test("an alarm that rings a little early rings again")
  func earlyAlarm() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      world.close(1)
      world.time.pass(.milliseconds(4999))
      let alarm = try #require(world.alarms.all.first)
      alarm.stop()
      alarm.ring()
      #expect(world.alarms.all.first?.due == world.time.now() + .milliseconds(1))
      await world.alarms.pass(.milliseconds(1))
      #expect(await world.stores.made[0].look { $0.isFilling } == false)
    }
  }

  @Test("unstaged while open, a file is read on until its last close; then lease, store and space go")
  func unstagedWhileOpen() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let node = try world.look(item).node
      _ = try world.open(item, 1)
      await settle()
      let store = try #require(world.stores.made.first)
      _ = try await world.volume.unstage(item.id)
      #expect(throws: Errno.noEntry) { try world.look(item) }
      #expect(try world.volume.attributes(of: node).size == 1 << 20)
      #expect(world.row(item)?.state == .leaving && world.row(item)?.openRef == 1)

      let new = try await world.stage("f1")
      #expect(new.path == item.path)
      #expect(try world.look(new).node != node)
      #expect(world.volume.items().map(\.state) == [.leaving, .ready])

      let answers = Answers<ByteRange>()
      world.volume.read(node, handle: HandleID(1), range: ByteRange(0, 10), wasBad: false, reply: answers.readReply)
      await settle()
      await store.look { $0.answerReads() }
      #expect(answers.list == [.success(ByteRange(0, 10))])

      store.present.withLock { $0 = 500 }
      world.host.isStuck = true
      world.close(1)
      await settle()
      #expect(await store.look { $0.isClosed && $0.lateCalls == 0 })
      #expect(world.host.revoked == [LeaseID(1)])
      #expect(world.volume.bytesLeaving == 500, "the shim has not let go of the file yet")
      world.host.getUnstuck()
      #expect(world.volume.bytesLeaving == 0)
      #expect(throws: Errno.stale) { try world.volume.attributes(of: node) }
      #expect(world.row(new)?.state == .ready)
      // A block that was on its way to the disk must not be vouched for in a lease that may be another file's now.
      await store.look { $0.onBlocks?(0..<1, true) }
      #expect(world.host.leases[0].marks.withLock { $0 }.isEmpty)
    }
  }

  @Test("a store that is made too late is closed, and its lease given back")
  func lateStore() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      world.stores.hold()
      let answers = try world.open(item, 1)
      await settle()
      _ = try await world.volume.unstage(item.id)
      world.close(1)
      #expect(answers.list == [.failure(.io)])
      world.stores.letGo()
      await settle()
      let store = try #require(world.stores.made.first)
      #expect(await store.look { $0.isClosed })
      #expect(world.host.revoked == [LeaseID(1)])
      #expect(answers.list.count == 1)
    }
  }

  @Test("with drop-bytes an uploaded file's bytes go after the grace, and no open is answered from them again")
  func dropBytes() async throws {
    try await World.run({ $0.afterUpload = .dropBytes }) { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      let attributes = try world.look(item)
      world.close(1, read: 1 << 20)
      world.host.isStuck = true
      await world.alarms.pass(.seconds(5))
      #expect(await world.stores.made[0].look { $0.isClosed })
      #expect(world.host.revoked == [LeaseID(1)])
      let answers = try world.open(item, 2)
      await settle()
      #expect(answers.list.isEmpty && world.stores.made.count == 1, "the kernel still has the old pages")
      world.host.getUnstuck()
      await settle()
      #expect(answers.list == [.success(LeaseID(2))])
      #expect(world.stores.made.count == 2 && world.stores.made[0].name != world.stores.made[1].name)
      #expect(try world.look(item) == attributes)
      #expect(world.row(item)?.bytesServed == 1 << 20)
    }
  }

  @Test("what was served counts closed and open handles")
  func bytesServed() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      _ = try world.open(item, 2)
      await settle()
      world.stores.made[0].present.withLock { $0 = 77 }
      world.host.uses[HandleID(1)] = HandleUse(bytes: 10, furthest: 10)
      world.host.uses[HandleID(2)] = HandleUse(bytes: 5, furthest: 10)
      #expect(world.row(item)?.bytesServed == 15 && world.row(item)?.bytesFetched == 77)
      world.close(1, read: 11)
      #expect(world.row(item)?.bytesServed == 16)
    }
  }

  @Test("stopping answers what waits with EIO, stages nothing more, and removing waits for the files to go")
  func stopping() async throws {
    try await World.run { world in
      let items = [try await world.stage("f1"), try await world.stage("f2")]
      _ = try world.open(items[0], 1)
      await settle()
      let reads = Answers<ByteRange>()
      world.volume.read(
        try world.look(items[0]).node, handle: HandleID(1), range: ByteRange(0, 10), wasBad: false,
        reply: reads.readReply)
      world.stores.hold()
      let open = try world.open(items[1], 2)
      await settle()
      world.volume.stop()
      await settle()
      #expect(reads.list == [.failure(.io)] && open.list == [.failure(.io)])
      #expect(try world.open(items[0], 3).list == [.failure(.io)])
      world.volume.read(
        try world.look(items[0]).node, handle: HandleID(1), range: ByteRange(0, 10), wasBad: false,
        reply: reads.readReply)
      #expect(reads.list.last == .failure(.io))
      let volume = world.volume
      await expectError({ try await volume.stage("f1", recipient: "alice") }) {
        if case .failed = $0 { true } else { false }
      }

      let progress = Progress()
      let removal = Task { @DispatchLoop in
        await volume.remove(forget: false)
        progress.isOver = true
      }
      await settle()
      #expect(!progress.isOver && world.alarms.all.count == 1, "a file may come into being yet")
      world.stores.letGo()
      await removal.value
      #expect(world.alarms.all.isEmpty)
      for store in world.stores.made { #expect(await store.look { $0.isClosed && $0.lateCalls == 0 }) }
      try await world.restart()
      #expect(try world.names() == items.map(\.id))
    }
  }

  @Test("removing does not wait for ever for a disk that hangs")
  func hangingDisk() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      world.stores.hold()
      _ = try world.open(item, 1)
      await settle()
      let volume = world.volume
      let removal = Task { @DispatchLoop in await volume.remove(forget: true) }
      await settle()
      await world.alarms.pass(.seconds(3))
      await removal.value
      world.stores.letGo()
      await settle()
      try await world.restart()
      #expect(try world.names().isEmpty, "forgotten")
    }
  }
}

@DispatchLoop
private final class Progress {
  var isOver = false
  nonisolated init() {}
}
