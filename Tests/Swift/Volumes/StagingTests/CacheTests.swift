import ControlModel
import Core
import EventLoop
import Store
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

/// Items of 1 MiB in a cache that has room for `count` of them.
@DispatchLoop
private func limit(_ world: World, to count: Int64?) {
  world.stores.state.withLock { $0.room = count.map { $0 << 20 } }
}

@DispatchLoop
private func idle(_ world: World, _ file: String, _ handle: UInt64) async throws -> StagedItem {
  let item = try await world.stage(file)
  _ = try world.open(item, handle)
  await settle()
  world.stores.made.last?.present.withLock { $0 = 1 << 20 }
  world.close(handle)
  await world.alarms.pass(.seconds(5))
  await settle()
  return item
}

/// Whether the item's bytes have gone although it is staged.
@DispatchLoop
private func isDropped(_ world: World, _ item: StagedItem) -> Bool {
  guard let seq = world.volume.staged[FileName(item.id)] else { return false }
  return world.volume.files.keeper[StagedVolume.key(seq)]?.hasBytes != true
}

/// Waits for the thread that unlinks, among others.
@DispatchLoop
private func wait(until holds: () -> Bool) async {
  for _ in 0..<12_000 where !holds() {
    try? await Task.sleep(for: .milliseconds(5))
    await settle()
  }
}

/// Answered once, with a lease.
private func isLeased(_ answers: Answers<LeaseID?>) -> Bool {
  if case .success(.some)? = answers.list.first { answers.list.count == 1 } else { false }
}

@DispatchLoop
private final class Outcome<T: Sendable> {
  var value: T?
  nonisolated init() {}
}

@Suite("The cache")
struct CacheTests {
  @Test("an open without room waits until the longest unused bytes are dropped; no error in between")
  func roomForAnOpen() async throws {
    try await World.run { world in
      limit(world, to: 2)
      let first = try await idle(world, "f1", 1)
      let second = try await idle(world, "f2", 2)
      let third = try await world.stage("f3")
      let answers = try world.open(third, 3)
      await wait { !answers.list.isEmpty }
      #expect(isLeased(answers) && world.row(third)?.failure == nil && world.row(third)?.state == .open)
      #expect(isDropped(world, first) && !isDropped(world, second), "one at a time")
      #expect(world.volume.items().map(\.id) == [first.id, second.id, third.id], "all stay staged")
      #expect(world.stores.made.count == 3)
      #expect(world.stores.state.withLock { $0.beside.last } == 1 << 20, "the other one is parked")
      // The dropped one is fetched again, in place of the other.
      let again = try world.open(first, 4)
      await wait { !again.list.isEmpty }
      #expect(again.list.count == 1)
      #expect(isDropped(world, second) && !isDropped(world, third), "it is open")
    }
  }

  @Test("room made for one of two is not made twice where both have it")
  func twoAtOnce() async throws {
    try await World.run { world in
      limit(world, to: 4)
      var idlers: [StagedItem] = []
      for index in 1...4 { idlers.append(try await idle(world, "f\(index)", UInt64(index))) }
      let items = [try await world.stage("g1"), try await world.stage("g2")]
      let answers = [try world.open(items[0], 11), try world.open(items[1], 12)]
      await wait { answers.allSatisfy { !$0.list.isEmpty } }
      #expect(answers.allSatisfy { $0.list.count == 1 })
      #expect(idlers.count { isDropped(world, $0) } == 2)
    }
  }

  @Test(
    "where only open, graced and pinned bytes are in the way, the opener gets ENOSPC, people the figures, and nothing is dropped"
  )
  func nothingToDrop() async throws {
    try await World.run { world in
      limit(world, to: 2)
      let pinned = try await idle(world, "f1", 1)
      _ = try await world.volume.setPinned(pinned.id, true)
      let open = try await world.stage("f2")
      _ = try world.open(open, 2)
      await settle()
      let item = try await world.stage("f3")
      let refused = try world.open(item, 3)
      await settle()
      #expect(refused.list == [.failure(.noSpace)])
      #expect(world.row(item)?.failure == "no room in /cache: 1048576 B needed")
      #expect(world.row(item)?.state == .failed)
      for store in world.stores.made { #expect(!(await store.look { $0.isClosed })) }
      world.close(3)
      world.close(2)
      let graced = try world.open(item, 4)
      await settle()
      #expect(graced.list == [.failure(.noSpace)], "a browser may open it again")
      await world.alarms.pass(.seconds(5))
      let last = try world.open(item, 5)
      await wait { !last.list.isEmpty }
      #expect(isLeased(last))
      #expect(world.row(item)?.failure == nil)
    }
  }

  @Test("nothing is dropped where all that may go would not be enough")
  func inVain() async throws {
    try await World.run { world in
      limit(world, to: 3)
      _ = try await idle(world, "f1", 1)
      world.catalogue.add("huge", size: 100 << 20)
      let huge = try await world.stage("huge")
      let answers = try world.open(huge, 2)
      await settle()
      #expect(answers.list == [.failure(.noSpace)])
      #expect(!(await world.stores.made[0].look { $0.isClosed }))
    }
  }

  @Test(
    "a disk that fills up under a download: idle bytes go, then the store writes on; with nothing to drop it is told so"
  )
  func midDownload() async throws {
    try await World.run { world in
      let idler = try await idle(world, "f1", 1)
      let item = try await world.stage("f2")
      _ = try world.open(item, 2)
      await settle()
      let store = world.stores.made[1]
      await store.look { $0.runOut(4096) }
      for _ in 0..<12_000 where await store.look({ $0.room.isEmpty }) { try await Task.sleep(for: .milliseconds(5)) }
      #expect(await store.look { $0.room } == [true])
      #expect(isDropped(world, idler))
      await store.look { $0.runOut(4096) }
      await settle()
      #expect(await store.look { $0.room } == [true, false])
      #expect(!(await store.look { $0.isClosed }))
    }
  }

  @Test("what nobody wants any more makes no room for itself; stopping answers who waits")
  func noRoomForIdlers() async throws {
    try await World.run { world in
      _ = try await idle(world, "f1", 1)
      _ = try await idle(world, "f2", 2)
      let store = world.stores.made[1]
      await store.look { $0.runOut(4096) }
      await settle()
      #expect(await store.look { $0.room } == [false])
      #expect(!(await world.stores.made[0].look { $0.isClosed }))

      limit(world, to: 2)
      let item = try await world.stage("f3")
      world.host.isStuck = true
      let answers = try world.open(item, 3)
      await settle()
      #expect(answers.list.isEmpty)
      world.volume.stop()
      #expect(answers.list == [.failure(.io)])
      world.host.getUnstuck()
      await settle()
    }
  }

  @Test("what an earlier run left counts, and is dropped before what stands")
  func leftoversFirst() async throws {
    try await World.run { world in
      let left = try await idle(world, "f1", 1)
      let store = world.stores.made[0]
      let file = try #require(BytesFile(store.name))
      world.leave(file, size: 1 << 20, sumsOf: store.identity)
      try await world.restart()
      let report = try await world.volume.cache()
      #expect(report.leftovers.files == 1 && report.leftovers.bytes > 0 && report.items.map(\.id) == [left.id])
      #expect(report.bytes == report.leftovers.bytes)
      // Its item is of the earlier run, like its bytes.
      await store.look { $0.close(error: .io) {} }
      let standing = try await idle(world, "f2", 2)
      limit(world, to: 1)
      let item = try await world.stage("f3")
      let answers = try world.open(item, 3)
      #expect(await world.files([]).isEmpty)
      for _ in 0..<50 where answers.list.isEmpty {
        try await Task.sleep(for: .milliseconds(5))
        await settle()
      }
      #expect(isLeased(answers))
      #expect((world.stores.state.withLock { $0.beside.first { $0 > 0 } }) == report.leftovers.bytes)
      let bytes = try await world.volume.cache().items.map(\.id)
      #expect(!bytes.contains(standing.id) && !bytes.contains(left.id))
    }
  }

  // MARK: Clear

  @Test("a clearing drops what is idle, waits until it is free, and says how much; what is open or pinned stays")
  func clear() async throws {
    try await World.run { world in
      let pinned = try await idle(world, "f2", 2)
      // Within its grace, so that the shim still has its lease.
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      world.stores.made[1].present.withLock { $0 = 1000 }
      world.close(1)
      _ = try await world.volume.setPinned(pinned.path, true)
      let open = try await world.stage("f3")
      _ = try world.open(open, 3)
      await settle()
      world.stores.made[2].present.withLock { $0 = 77 }
      let before = try await world.volume.cache()
      #expect(before.bytes == 1077 + 1 << 20 && before.items.map(\.id) == [pinned.id, item.id, open.id])
      #expect(before.items.map(\.pinned) == [true, false, false] && before.items.map(\.open) == [false, false, true])
      #expect(before.items[0].lastUsed == 1_700_000_000)
      #expect(before.reserved == 7 && before.limit == 700 && before.free == 500 && before.minFree == 50)
      #expect(before.windowBytes == 0 && before.windowLimit == 0)

      world.host.isStuck = true
      let volume = world.volume
      let outcome = Outcome<CacheCleared>()
      let clearing = Task { @DispatchLoop in outcome.value = try await volume.clearCache() }
      await settle()
      #expect(outcome.value == nil, "the shim has not let go of it")
      let leaving = try await world.volume.cache().leaving
      #expect(leaving == 1000)
      world.host.getUnstuck()
      try await clearing.value
      #expect(outcome.value == CacheCleared(items: 1, bytes: 1000))
      #expect(await world.stores.made[1].look { $0.isClosed } && isDropped(world, item))
      #expect(!isDropped(world, pinned) && !isDropped(world, open))
      let nothing = try await world.volume.clearCache()
      #expect(nothing == CacheCleared(items: 0, bytes: 0))
      #expect(world.volume.items().count == 3)
    }
  }

  @Test("a shim that never lets go does not hang a clearing for ever")
  func clearHangs() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      world.stores.made[0].present.withLock { $0 = 1000 }
      world.close(1)
      world.host.isStuck = true
      let volume = world.volume
      let clearing = Task { @DispatchLoop in try await volume.clearCache() }
      await settle()
      await world.alarms.pass(.seconds(30))
      await expectError({ try await clearing.value }) {
        if case .failed(let sentence) = $0 { sentence.contains("1000 B") } else { false }
      }
      world.host.getUnstuck()
    }
  }

  @Test("a folder that cannot be looked at is one sentence")
  func noFolder() async throws {
    try await World.run { world in
      world.stores.state.withLock { $0.error = .failed(.noEntry, "the folder /gone cannot be used") }
      let volume = world.volume
      await expectError({ try await volume.cache() }) { $0 == .failed("the folder /gone cannot be used") }
    }
  }

  // MARK: Pin and warm

  @Test("a pin makes the store and fills it; unpinned, it is ordinary; both survive a restart")
  func pin() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let pinned = try await world.volume.setPinned(item.id, true)
      #expect(pinned.pinned && pinned.openRef == 0 && world.stores.made.count == 1)
      await settle()
      #expect(await world.stores.made[0].look { $0.isFilling } == true)
      // Again: what failed is tried again.
      _ = try await world.volume.setPinned(item.path, true)
      #expect(await world.stores.made[0].look { $0.triedAgain } == 2)
      try await world.restart()
      await settle()
      #expect(world.row(item)?.pinned == true && world.stores.made.count == 2)
      #expect(await world.stores.made[1].look { $0.isFilling } == true)
      let unpinned = try await world.volume.setPinned(item.id, false)
      #expect(!unpinned.pinned)
      await settle()
      #expect(await world.stores.made[1].look { $0.isFilling } == false)
      try await world.restart()
      await settle()
      #expect(world.row(item)?.pinned == false && world.stores.made.count == 2)
      let volume = world.volume
      await expectError({ try await volume.setPinned("nobody", true) }) {
        if case .noSuchItem = $0 { true } else { false }
      }
    }
  }

  @Test("a pin without room says so by name, and is none, after a restart neither; idle bytes make room for it")
  func pinWithoutRoom() async throws {
    try await World.run { world in
      limit(world, to: 1)
      let open = try await world.stage("f1")
      _ = try world.open(open, 1)
      await settle()
      let item = try await world.stage("f2")
      let volume = world.volume
      await expectError({ try await volume.setPinned(item.id, true) }) {
        $0 == .failed("no room in /cache: 1048576 B needed; it is not pinned")
      }
      #expect(world.row(item)?.pinned == false && world.row(item)?.state == .failed)
      world.stores.made[0].present.withLock { $0 = 1 << 20 }
      world.close(1)
      await world.alarms.pass(.seconds(5))
      await settle()
      let pinned = try await volume.setPinned(item.id, true)
      #expect(pinned.pinned && pinned.failure == nil)
      #expect(isDropped(world, open))
      try await world.restart()
      #expect(world.volume.items().map(\.pinned) == [false, true])
    }
  }

  @Test("unstaged while its pin waits for a store, the pin is told")
  func unstagedWhilePinning() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      world.stores.hold()
      let volume = world.volume
      let pinning = Task { @DispatchLoop in try await volume.setPinned(item.id, true) }
      await settle()
      while volume.files.keeper.nextMoving(StagedVolume.id, from: 0) == nil {
        try await Task.sleep(for: .milliseconds(5))
      }
      _ = try await volume.unstage(item.id)
      await expectError({ try await pinning.value }) {
        if case .failed(let sentence) = $0 { sentence.contains("unstaged") } else { false }
      }
      world.stores.letGo()
      await settle()
      #expect(await world.stores.made[0].look { $0.isClosed })
    }
  }

  @Test("a pin that cannot be written down is none")
  func pinUnwritten() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      await world.volume.journal.close()
      let volume = world.volume
      await expectError({ try await volume.setPinned(item.id, true) }) {
        if case .failed(let sentence) = $0 { sentence.contains(world.journalPath) } else { false }
      }
      #expect(world.row(item)?.pinned == false && world.stores.made.isEmpty)
    }
  }

  @Test(
    "staged warm: both ends are asked for before the first open; nobody comes, and ten minutes after the last byte it is ordinary"
  )
  func warm() async throws {
    try await World.run({ $0.idleEvict = .seconds(60) }) { world in
      world.catalogue.add("f1", size: 10 << 20)
      let item = try await world.volume.stage("f1", recipient: "alice", isWarm: true)
      await settle()
      let store = try #require(world.stores.made.first)
      let ends = [ByteRange(9 << 20, 10 << 20), ByteRange(0, 1 << 20)]
      #expect(await store.look { $0.waiting.map(\.0) } == ends)
      #expect(world.row(item)?.openRef == 0)
      #expect(await store.look { $0.isFilling } == true)
      await store.look { $0.bring(5 << 20) }
      await settle()
      #expect(world.alarms.all.isEmpty, "as long as it takes")
      await store.look { $0.bring(10 << 20) }
      await settle()
      await world.alarms.pass(.seconds(599))
      #expect(await store.look { $0.isParked } && !isDropped(world, item), "complete, it holds nothing")
      await world.alarms.pass(.seconds(1))
      await world.alarms.pass(.zero)
      #expect(isDropped(world, item), "unused for longer than a minute")
      // A complete item needs no more room.
      _ = try world.open(item, 1)
      await settle()
      world.stores.made[1].present.withLock { $0 = 10 << 20 }
      world.close(1)
      await world.alarms.pass(.seconds(5))
      await settle()
      _ = try await world.volume.stage("f1", recipient: "alice", isWarm: true)
      #expect(
        world.volume.files.keeper.page(.staged, from: 0, limit: 1).first?.value.warmth
          == .complete(until: world.time.now() + .seconds(600))
      )
    }
  }

  @Test("a warm item without room is staged all the same, and says why it is cold")
  func warmWithoutRoom() async throws {
    try await World.run { world in
      limit(world, to: 0)
      world.catalogue.add("f1")
      let item = try await world.volume.stage("f1", recipient: "alice", isWarm: true)
      await settle()
      #expect(world.row(item)?.failure?.hasPrefix("no room") == true)
      #expect(try world.look(item).size == 1 << 20)
    }
  }

  @Test("unused for the smallest time that can be set, bytes go by one timer, and the item is fetched again")
  func idleEvict() async throws {
    try await World.run({ $0.idleEvict = .seconds(60) }) { world in
      let items = [try await idle(world, "f1", 1), try await idle(world, "f2", 2)]
      #expect(world.alarms.all.count == 1)
      await world.alarms.pass(.seconds(49))
      #expect(!isDropped(world, items[0]))
      await world.alarms.pass(.seconds(1))
      #expect(isDropped(world, items[0]) && !isDropped(world, items[1]))
      #expect(world.alarms.all.count == 1)
      await world.alarms.pass(.seconds(5))
      #expect(isDropped(world, items[1]))
      #expect(world.alarms.all.isEmpty)
      let answers = try world.open(items[0], 3)
      await settle()
      #expect(answers.list.count == 1 && world.stores.made.count == 3)
    }
  }
}
