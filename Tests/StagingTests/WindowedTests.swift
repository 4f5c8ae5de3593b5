import ControlModel
import Core
import EventLoop
import Store
import Testing
import Transfer
import Volume

@testable import Staging

/// What streams through the window: all of it where nothing is to be kept, the rest where the disk is full.
@Suite("Streaming through memory")
struct WindowedTests {
  /// Answers with the lease they named.
  @DispatchLoop private final class Reads {
    private(set) var list: [ReadAnswer] = []
    func read(_ world: World, _ item: StagedItem, _ range: ByteRange) throws {
      world.volume.read(try world.look(item).node, handle: HandleID(1), range: range, wasBad: false) { answer in
        EventLoop.dispatch.post { DispatchLoop.assumeIsolated { self.list.append(answer) } }
        return nil
      }
    }
  }

  @Test("without a disk an item has a window's lease and no file")
  func mode() async throws {
    try await World.run({ $0.isWindowed = true }) { world in
      world.host.hasWindow = true
      let item = try await world.stage("f1")
      let opened = try world.open(item, 1)
      await settle()
      let lease = try #require(world.host.windows.first)
      #expect(opened.list == [.success(lease.id)] && world.stores.made.isEmpty && world.host.leases.isEmpty)
      #expect(world.row(item)?.windowed == true)
      let reads = Reads()
      try reads.read(world, item, ByteRange(0, 10))
      await settle()
      let store = try #require(world.stores.windows.first)
      await store.look { $0.answerReads() }
      await settle()
      #expect(reads.list == [.bytes(ByteRange(0, 10), from: lease.id)])
      #expect(await store.look { $0.isFilling } == true)
      #expect(await store.look { $0.following } == [])
      await #expect(throws: StagingError.self) { _ = try await world.volume.setPinned(item.id, true) }
    }
  }

  @Test("where no room can be made for a file, it streams; without a window the error says that there is no room")
  func noRoom() async throws {
    for hasWindow in [true, false] {
      try await World.run { world in
        world.host.hasWindow = hasWindow
        world.stores.state.withLock { $0.room = 100 }
        let item = try await world.stage("f1")
        let opened = try world.open(item, 1)
        await settle()
        if hasWindow {
          #expect(opened.list == [.success(LeaseID(1000))])
          #expect(world.row(item)?.state == .open && world.row(item)?.windowed == true && world.row(item)?.failure == nil)
        } else {
          #expect(opened.list == [.failure(.noSpace)])
          #expect(world.row(item)?.failure?.contains("no room") == true)
        }
      }
    }
  }

  @Test("what streamed because there was no room gets a file at the first open after its grace")
  func fileAgain() async throws {
    try await World.run { world in
      world.host.hasWindow = true
      world.stores.state.withLock { $0.room = 100 }
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      world.close(1)
      await settle()
      // Who comes back at once goes on with the same.
      let again = try world.open(item, 2)
      await settle()
      #expect(again.list == [.success(LeaseID(1000))] && world.stores.windows.count == 1)
      world.close(2)
      world.stores.state.withLock { $0.room = nil }
      await world.alarms.pass(.seconds(6))
      await settle()
      #expect(world.host.revoked.contains(LeaseID(1000)) && world.row(item)?.windowed == false)
      let next = try world.open(item, 3)
      await settle()
      #expect(next.list == [.success(world.host.leases.last?.id)] && world.stores.made.count == 1)
    }
  }

  @Test("where nothing is to be kept a window stays after the grace")
  func windowStays() async throws {
    try await World.run({ $0.isWindowed = true }) { world in
      world.host.hasWindow = true
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      world.close(1)
      await world.alarms.pass(.seconds(6))
      await settle()
      #expect(world.host.revoked.isEmpty && world.row(item)?.windowed == true)
      #expect(await world.stores.windows.first?.look { $0.isFilling } == false)
    }
  }

  @Test("an item that an opener was given a window for meanwhile is not pinned")
  func pinnedMeanwhile() async throws {
    try await World.run { world in
      world.host.hasWindow = true
      world.stores.state.withLock { $0.room = 100 }
      let item = try await world.stage("f1")
      world.stores.hold()
      _ = try world.open(item, 1)
      await settle()
      let volume = world.volume
      let pinning = Task { @DispatchLoop in try await volume.setPinned(item.id, true) }
      while volume.tiles.tiles.values.allSatisfy({ !$0.isPinned }) { try await Task.sleep(for: .milliseconds(5)) }
      world.stores.letGo()
      await #expect(throws: StagingError.self) { _ = try await pinning.value }
      #expect(world.row(item)?.pinned == false && world.row(item)?.windowed == true)
    }
  }

  @Test("a disk that fills up in the middle: what is in the file is read from it, the rest through a window of the same version")
  func overflow() async throws {
    try await World.run { world in
      world.host.hasWindow = true
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      let file = try #require(world.stores.made.first)
      let validator = Validator(etag: "\"1\"")
      await file.look { $0.validators = [validator] }
      let reads = Reads()
      for start in [1000, 2000] as [Int64] { try reads.read(world, item, ByteRange(start, start + 10)) }
      await settle()
      await file.look { $0.failReads(.noSpace) }
      await settle()
      let window = try #require(world.stores.windows.first)
      #expect(world.stores.windows.count == 1 && world.host.windows.count == 1)
      #expect(await window.look { $0.following } == [validator.version])
      await window.look { $0.answerReads() }
      await settle()
      let lease = try #require(world.host.windows.first?.id)
      #expect(reads.list == [.bytes(ByteRange(1000, 1010), from: lease), .bytes(ByteRange(2000, 2010), from: lease)])
      await file.look { $0.here = RangeSet([ByteRange(0, 500)]) }
      try reads.read(world, item, ByteRange(0, 10))
      try reads.read(world, item, ByteRange(495, 505))
      await settle()
      #expect(await file.look { $0.waiting.map(\.0) } == [ByteRange(0, 10)])
      #expect(await window.look { $0.waiting.map(\.0) } == [ByteRange(495, 505)])
      #expect(world.row(item)?.windowed == true)
      // Nobody reads any more, and the grace is over: the next one may find room.
      world.close(1)
      await world.alarms.pass(.seconds(6))
      await settle()
      #expect(world.host.revoked.contains(lease) && world.row(item)?.windowed == false)
    }
  }

  @Test("an item that streams well does not say that its disk is full, however often the file fails beside the window")
  func overflowWithoutFailure() async throws {
    try await World.run { world in
      world.host.hasWindow = true
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      let file = try #require(world.stores.made.first)
      let reads = Reads()
      try reads.read(world, item, ByteRange(0, 10))
      await settle()
      await file.look {
        $0.onFailure?("the folder cannot be written")
        $0.failReads(.noSpace)
      }
      await settle()
      #expect(world.row(item)?.windowed == true && world.row(item)?.failure == nil)
      // A read that was on its way made it try once more.
      await file.look { $0.onFailure?("the folder cannot be written") }
      #expect(world.row(item)?.failure == nil)
      let window = try #require(world.stores.windows.first)
      await window.look { $0.onFailure?("the service does not answer") }
      #expect(world.row(item)?.failure?.contains("does not answer") == true)
      world.close(1)
      await world.alarms.pass(.seconds(6))
      await settle()
      #expect(world.row(item)?.windowed == false && world.row(item)?.failure == nil)
      await window.look { $0.onFailure?("the service does not answer") }
      #expect(world.row(item)?.failure == nil)
      await file.look { $0.onFailure?("the folder cannot be written") }
      #expect(world.row(item)?.failure?.contains("cannot be written") == true)
    }
  }

  @Test("a pinned item whose disk was full goes to the disk again once nobody reads it")
  func pinnedOverflow() async throws {
    try await World.run { world in
      world.host.hasWindow = true
      let item = try await world.stage("f1")
      _ = try await world.volume.setPinned(item.id, true)
      _ = try world.open(item, 1)
      await settle()
      let file = try #require(world.stores.made.first)
      let reads = Reads()
      try reads.read(world, item, ByteRange(0, 10))
      await settle()
      await file.look { $0.failReads(.noSpace) }
      await settle()
      #expect(world.row(item)?.windowed == true)
      world.close(1)
      await world.alarms.pass(.seconds(6))
      await settle()
      #expect(world.row(item)?.windowed == false)
      #expect(await file.look { $0.triedAgain } == 1)
      #expect(await file.look { $0.isFilling } == true)
    }
  }

  @Test("a full disk that no window helps is its own error")
  func noWindow() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      let reads = Reads()
      try reads.read(world, item, ByteRange(0, 10))
      await settle()
      await world.stores.made.first?.look { $0.failReads(.noSpace) }
      await settle()
      #expect(reads.list == [.failed(.noSpace)])
    }
  }
}
