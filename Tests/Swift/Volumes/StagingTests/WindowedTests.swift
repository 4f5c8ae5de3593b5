import ByteSource
import ControlModel
import Core
import EventLoop
import Store
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

/// Streams through the window: the whole file if nothing is to be kept, the rest of it if the disk is full.
@Suite("Streaming through memory")
struct WindowedTests {
  /// Answers with the lease they named.
  @DispatchLoop private final class Reads {
    private(set) var list: [ReadAnswer] = []
    func read(_ world: World, _ item: StagedItem, _ range: ByteRange) throws {
      world.volume.read(try world.look(item).node, handle: HandleID(1), range: range, wasBad: false) { answer in
        DispatchLoop.post { self.list.append(answer) }
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
      #expect(await store.look { $0.following } == SourceHeritage())
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
          #expect(
            world.row(item)?.state == .open && world.row(item)?.windowed == true && world.row(item)?.failure == nil)
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
      // A reader that comes back at once goes on with the same window.
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
      while volume.items().allSatisfy({ !$0.pinned }) { try await Task.sleep(for: .milliseconds(5)) }
      world.stores.letGo()
      await #expect(throws: StagingError.self) { _ = try await pinning.value }
      #expect(world.row(item)?.pinned == false && world.row(item)?.windowed == true)
    }
  }

  @Test(
    "a disk that fills up in the middle: what is in the file is read from it, the rest through a window of the same version"
  )
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
      #expect(await window.look { $0.following } == SourceHeritage(validators: [validator]))
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
      // The last reader has gone, and the grace is over: the next one may find room.
      world.close(1)
      await world.alarms.pass(.seconds(6))
      await settle()
      #expect(world.host.revoked.contains(lease) && world.row(item)?.windowed == false)
    }
  }

  @Test(
    "range-lru and an origin that ignores Range: the reads go through a file in place of the window while the item is open"
  )
  func needsFile() async throws {
    try await World.run({ $0.isWindowed = true }) { world in
      world.host.hasWindow = true
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      let window = try #require(world.stores.windows.first)
      let reads = Reads()
      for start in [0, 1000] as [Int64] { try reads.read(world, item, ByteRange(start, start + 10)) }
      await settle()
      await window.look {
        $0.needsFile = true
        $0.failReads(.io)
      }
      await settle()
      await settle()
      let file = try #require(world.stores.made.first)
      let lease = try #require(world.host.leases.first?.id)
      #expect(reads.list.isEmpty && world.stores.made.count == 1)
      await file.look { $0.answerReads() }
      await settle()
      #expect(reads.list == [.bytes(ByteRange(0, 10), from: lease), .bytes(ByteRange(1000, 1010), from: lease)])
      try reads.read(world, item, ByteRange(20, 30))
      await settle()
      #expect(await file.look { $0.waiting.map(\.0) } == [ByteRange(20, 30)] && world.row(item)?.failure == nil)
      await file.look { $0.bring(700) }
      #expect(try await world.volume.cache().items.map(\.bytes) == [700], "it takes room on the disk")
      world.host.isStuck = true
      world.close(1)
      await settle()
      #expect(world.volume.bytesLeaving == 700, "the shim still has it open")
      world.host.getUnstuck()
      #expect(world.volume.bytesLeaving == 0)
      await world.alarms.pass(.seconds(6))
      await settle()
      #expect(world.host.revoked.contains(lease))
      #expect(await file.look { $0.isClosed })
    }
  }

  @Test(
    "a file that was replaced at its origin is served anew from the first open after the last close; open handles keep the old bytes"
  )
  func replaced() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      _ = try world.open(item, 2)
      await settle()
      let first = try #require(world.stores.made.first)
      await first.look { $0.onChange?(.refused) }
      await settle()
      #expect(world.stores.made.count == 1 && world.row(item)?.openRef == 2)
      world.close(1)
      let third = try world.open(item, 3)
      await settle()
      #expect(third.list.count == 1 && world.stores.made.count == 1)
      world.close(2)
      world.close(3)
      await settle()
      #expect(await first.look { $0.isClosed })
      _ = try world.open(item, 4)
      await settle()
      #expect(world.stores.made.count == 2)
    }
  }

  @Test(
    "a file that was replaced while it was open nowhere is served anew by its first open", arguments: [true, false])
  func rechecked(isChanged: Bool) async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      let first = try #require(world.stores.made.first)
      await first.look {
        $0.bring(100)
        $0.holdsRechecks = true
      }
      world.close(1)
      await settle()
      let opened = [try world.open(item, 2), try world.open(item, 3)]
      await settle()
      #expect(opened.allSatisfy { $0.list.isEmpty })
      await first.look { store in
        #expect(store.rechecks.count == 1)
        for done in store.rechecks { done(isChanged) }
      }
      await settle()
      await settle()
      #expect(opened.allSatisfy { $0.list.count == 1 } && world.stores.made.count == (isChanged ? 2 : 1))
      #expect(await first.look { $0.isClosed } == isChanged)
    }
  }

  @Test("of several that open a parked file at once the first has the origin asked, and all wait for its answer")
  func recheckedForAll() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      await world.stores.made.first?.look { $0.bring(100) }
      world.close(1)
      await world.alarms.pass(.seconds(6))
      await settle()
      world.stores.hold()
      let opened = try [2, 3, 4].map { try world.open(item, $0) }
      await settle()
      world.stores.letGo()
      await settle()
      await settle()
      let second = try #require(world.stores.made.last)
      #expect(world.stores.made.count == 2 && opened.allSatisfy { $0.list.count == 1 })
      #expect(await second.look { $0.timesRechecked } == 1)
      _ = try world.open(item, 5)
      await settle()
      #expect(await second.look { $0.timesRechecked } == 1, "readers have bytes by now")
    }
  }

  @Test("an origin that does not say in two seconds whether it still has the file does not keep it from being opened")
  func recheckIsLate() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      let first = try #require(world.stores.made.first)
      await first.look {
        $0.bring(100)
        $0.holdsRechecks = true
      }
      world.close(1)
      await settle()
      let opened = try world.open(item, 2)
      await settle()
      #expect(opened.list.isEmpty)
      await world.alarms.pass(.seconds(2))
      await settle()
      #expect(opened.list.count == 1 && world.stores.made.count == 1)
      await first.look { store in for done in store.rechecks { done(true) } }
      await settle()
      #expect(await first.look { $0.isClosed } == false)
      world.close(2)
      await settle()
      #expect(await first.look { $0.isClosed })
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
      _ = try world.open(item, 2)
      await settle()
      await world.stores.made.last?.look { $0.onFailure?("the folder cannot be written") }
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
      let before = await file.look { $0.triedAgain }
      world.close(1)
      await world.alarms.pass(.seconds(6))
      await settle()
      #expect(world.row(item)?.windowed == false)
      #expect(await file.look { $0.triedAgain } == before + 1)
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
