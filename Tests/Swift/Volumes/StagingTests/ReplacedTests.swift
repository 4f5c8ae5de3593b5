import ControlModel
import Core
import Store
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Suite("A file that was replaced at its origin")
struct ReplacedTests {
  @Test(
    "handles that are open keep the old file; from the last close on the item has the new one's length and another time"
  )
  func afterTheLastClose() throws {
    var bench = Bench()
    let entry = bench.stage("A")
    bench.open(entry, 1)
    let store = try bench.made()
    bench.asked = bench.tiles.sourceChanged(store, to: 70, at: bench.time)
    #expect(bench.asked == [] && bench.tiles.items[entry.seq]?.size == 100)
    bench.close(1)
    let new = try #require(bench.tiles.items.entry(entry.seq))
    #expect(new.size == 70 && new.modified > entry.modified && new.id == entry.id && new.file == entry.file)
    #expect(
      bench.asked == [
        .closeStore(store), .journal(.replace(new)), .invalidate([entry.directory, entry.file]),
        .forgetPages(entry.file, store),
      ])
    #expect(bench.tiles.items.statistics.bytes == 70)
    bench.open(entry, 2)
    bench.asked = bench.tiles.pagesForgotten(store, at: bench.time)
    #expect(bench.asking != nil && bench.tiles[new]?.size == 70 && bench.tiles[new]?.isDoubted == true)
  }

  @Test("the OPEN that found it out is answered with the new file, of whatever length", arguments: [100, 250, 0])
  func atAnOpen(size: Int64) throws {
    var bench = Bench()
    let (entry, parked) = try bench.idle("A", 1)
    bench.open(entry, 2)
    let old = try bench.made()
    bench.asked = bench.tiles.sourceChanged(
      old, to: size == 100 ? nil : size, unanswered: [HandleID(2)], at: bench.time)
    let new = try #require(bench.tiles.items.entry(entry.seq))
    #expect(new.size == size && new.modified > entry.modified && bench.asked.contains(.journal(.replace(new))))
    #expect(!bench.asked.contains(.answer(HandleID(2), .empty)), "the kernel has pages of the old file")
    #expect(parked.stamp != nil && !bench.asked.contains(.answer(HandleID(2), .store(old))))
    bench.open(entry, 3)
    #expect(!bench.asked.contains(.answer(HandleID(3), .empty)), "nor is another OPEN answered")
    bench.asked = bench.tiles.pagesForgotten(old, at: bench.time)
    guard size > 0 else {
      #expect(bench.asked == [.answer(HandleID(2), .empty), .answer(HandleID(3), .empty)])
      return
    }
    let store = try bench.made()
    #expect(bench.asked.contains(.answer(HandleID(2), .store(store))))
  }

  @Test("an origin that has the file as it was after all changes nothing; nor does a length that no file has")
  func settled() throws {
    var bench = Bench()
    let entry = bench.stage("A")
    bench.open(entry, 1)
    let store = try bench.made()
    _ = bench.tiles.sourceChanged(store, to: 70, at: bench.time)
    bench.tiles.files.sourceSettled(store)
    bench.close(1)
    #expect(bench.tiles.items.entry(entry.seq) == entry && bench.bytes(entry) == .standing(store))
    bench.open(entry, 2)
    for size in [Int64(-1), .max, 1 << 61] { _ = bench.tiles.sourceChanged(store, to: size, at: bench.time) }
    bench.close(2)
    #expect(bench.tiles.items[entry.seq]?.size == 100)
  }

  @Test("what a closed store still says changes nothing, and an OPEN that waited for it gets the new file")
  func late() throws {
    var bench = Bench()
    let entry = bench.stage("A")
    bench.open(entry, 1)
    let store = try bench.made()
    _ = bench.tiles.sourceChanged(store, to: 70, at: bench.time)
    bench.close(1)
    let new = bench.tiles.items.entry(entry.seq)
    bench.open(entry, 2)
    #expect(bench.tiles.sourceChanged(store, to: 60, unanswered: [HandleID(2)], at: bench.time) == [])
    #expect(bench.tiles.items.entry(entry.seq) == new && new?.size == 70)
    bench.asked = bench.tiles.pagesForgotten(store, at: bench.time)
    let second = try bench.made()
    #expect(bench.asked.contains(.answer(HandleID(2), .store(second))))
  }

  @Test("bytes that were on their way to be parked go; a file that is unstaged is left as it is")
  func parking() throws {
    var bench = Bench()
    let entry = bench.stage("A")
    bench.open(entry, 1)
    let store = try bench.made()
    bench.close(1)
    bench.pass(5)
    #expect(bench.bytes(entry) == .parking(store))
    bench.asked = bench.tiles.sourceChanged(store, to: 70, at: bench.time)
    #expect(bench.asked == [])
    let parked = try {
      bench.asked = [.parkStore(store)]
      return try bench.parked()
    }()
    #expect(bench.asked.contains(.unlink(parked)) && bench.tiles.items[entry.seq]?.size == 70)
    let other = bench.stage("B")
    bench.open(other, 2)
    let open = try bench.made()
    bench.unstage(other)
    _ = bench.tiles.sourceChanged(open, to: 70, at: bench.time)
    #expect(bench.tiles.items[other.seq]?.size == 100)
    bench.close(2)
    #expect(bench.refs(other) == nil)
  }

  @Test("size and time reach the kernel and the journal; the error is gone, and the next first open asks once more")
  func kernel() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let old = try world.look(item)
      _ = try world.open(item, 1)
      await settle()
      await world.stores.made.first?.look {
        $0.onFailure?("the origin's file has 5000 bytes")
        $0.onChange?(.otherLength(5000))
      }
      await settle()
      #expect(world.row(item)?.failure != nil && world.row(item)?.size == old.size)
      world.host.invalidated = []
      world.close(1)
      await settle()
      let new = try world.look(item)
      #expect(new.size == 5000 && new.node == old.node && new.modified > old.modified)
      #expect(world.host.invalidated.joined().contains(old.node))
      #expect(world.row(item)?.failure == nil && world.row(item)?.path == item.path)
      let opened = try world.open(item, 2)
      await settle()
      let second = try #require(world.stores.made.last)
      #expect(world.stores.made.count == 2 && opened.list.isEmpty)
      #expect(await second.look { $0.waiting.map(\.0) } == [ByteRange(0, 1)])
      #expect(await second.look { $0.origin.size } == 5000)
      await second.look { $0.answerReads() }
      await settle()
      await settle()
      #expect(opened.list.count == 1)
      try await world.restart()
      let restored = try world.look(item)
      #expect(restored.size == 5000 && restored.modified == new.modified)
    }
  }
}

@Suite("A file that its origin refuses")
struct RefusedPinTests {
  @Test(
    "a pin that gave up gives its place to others and is tried again after ten seconds, then twenty; an order tries at once"
  )
  func pauses() throws {
    var bench = Bench { $0.filling = 1 }
    let entry = bench.stage("A")
    bench.pin(entry)
    var store = try bench.made()
    let other = bench.stage("B")
    bench.pin(other)
    #expect(bench.asking == nil)
    for pause in [10.0, 20.0] {
      bench.asked = bench.tiles.storeStuck(store, at: bench.time)
      #expect(bench.asked == [.parkStore(store)])
      _ = try bench.parked(isComplete: false)
      if pause == 10 {
        let second = try bench.made()
        bench.asked = bench.tiles.storeComplete(second, at: bench.time)
        _ = try bench.parked()
      }
      bench.pass(pause - 0.1)
      #expect(bench.asked == [])
      bench.pass(0.1)
      store = try bench.made()
    }
    bench.asked = bench.tiles.storeStuck(store, at: bench.time)
    _ = try bench.parked(isComplete: false)
    bench.pin(entry)
    store = try bench.made()
    bench.asked = bench.tiles.storeStuck(store, at: bench.time)
    _ = try bench.parked(isComplete: false)
    bench.unpin(entry)
    bench.pass(1000)
    #expect(bench.asking == nil && bench.tiles.files.nextDeadline == nil)
  }

  @Test("a reader asks at once, and the pin goes on after its last close")
  func reader() throws {
    var bench = Bench()
    let entry = bench.stage("A")
    bench.pin(entry)
    var store = try bench.made()
    bench.asked = bench.tiles.storeStuck(store, at: bench.time)
    _ = try bench.parked(isComplete: false)
    bench.open(entry, 1)
    store = try bench.made()
    bench.asked = bench.tiles.storeStuck(store, at: bench.time)
    #expect(bench.asked == [], "its reader is told")
    bench.close(1)
    bench.pass(5)
    #expect(bench.asked == [.tryDisk(store)])
  }

  @Test(
    "pin says the reason and the remedy instead of \"pinned\"; once the origin is right the file is fetched without another order"
  )
  func order() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      world.stores.state.withLock { $0.refusal = "the file changed at its origin: `fsmvp unstage` it" }
      do throws(StagingError) {
        _ = try await world.volume.setPinned(item.id, true)
        Issue.record("it was pinned")
      } catch {
        guard case .failed(let sentence) = error else {
          Issue.record(error)
          return
        }
        #expect(sentence.contains("`fsmvp unstage` it") && sentence.contains("as soon as the origin is right again"))
      }
      await settle()
      #expect(world.row(item)?.pinned == true && world.row(item)?.failure?.contains("changed at its origin") == true)
      world.stores.state.withLock { $0.refusal = nil }
      #expect(world.stores.made.count == 1)
      await world.alarms.pass(.seconds(10))
      await settle()
      #expect(world.stores.made.count == 2)
      #expect(await world.stores.made.last?.look { $0.isFilling } == true)
      #expect(world.row(item)?.failure == nil)
    }
  }

  @Test("a reader's open file is filled as a whole only while it is pinned")
  func unpinned() throws {
    var bench = Bench()
    let entry = bench.stage("A")
    bench.open(entry, 1)
    let store = try bench.made()
    bench.pin(entry)
    #expect(bench.tiles[entry]?.filling == Filling(isOpen: true, isWhole: true))
    bench.unpin(entry)
    #expect(bench.asked == [.setFilling(store, true)] && bench.tiles[entry]?.filling == .readers)
  }
}
