import Core
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Suite("What is kept, and what goes")
struct KeepingTests {
  private let mib: Int64 = 1 << 20

  // MARK: Room

  @Test(
    "room is made of what was closed longest ago; never of what is open, within its grace, pinned, or the one that needs it"
  )
  func order() throws {
    var bench = Bench()
    let (oldest, oldestFile) = try bench.idle("oldest", 1)
    let (pinned, _) = try bench.idle("pinned", 2)
    bench.pin(pinned)
    let (open, _) = try bench.idle("open", 3)
    bench.open(open, 4)
    let (later, _) = try bench.idle("later", 5)
    let (needing, _) = try bench.idle("needing", 6)
    bench.open(needing, 7)
    let graced = bench.stage("graced")
    bench.open(graced, 8)
    _ = try bench.made()
    bench.close(8)
    #expect(bench.tiles.inTheWay(of: needing.seq) == [oldest.seq, later.seq])
    // Used again, it is the youngest.
    bench.pass(1)
    bench.open(oldest, 9)
    #expect(bench.tiles.inTheWay(of: needing.seq) == [later.seq])
    _ = try bench.made()
    bench.close(9)
    bench.pass(5)
    #expect(bench.asked.contains { if case .file(.parkStore) = $0 { true } else { false } })
    for case .file(.parkStore(let generation)) in bench.asked {
      let key = try #require(bench.tiles.files.owner(of: generation))
      _ = bench.tiles.parked(
        generation, key == oldest.key ? oldestFile : ParkedFile(file: BytesFile(key, generation), bytes: 9, stamp: 1),
        at: bench.time)
    }
    #expect(bench.tiles.inTheWay(of: needing.seq) == [later.seq, graced.seq, oldest.seq])
    bench.asked = bench.tiles.dropBytes(oldest.seq, at: bench.time)
    let pages = try #require(bench.forgetting(oldest.file))
    #expect(bench.asked == [.unlink(oldestFile), .forgetPages(oldest.file, pages)])
    #expect(bench.isThere(oldest) && bench.refs(oldest) == [1, 0], "it stays staged")
    for entry in [pinned, open, needing] { #expect(bench.tiles.dropBytes(entry.seq, at: bench.time).isEmpty) }
    bench.open(oldest, 10)
    #expect(bench.asked == [], "the kernel still has the old pages")
    bench.asked = bench.tiles.pagesForgotten(pages, at: bench.time)
    #expect(bench.asking != nil)
  }

  @Test("what earlier runs left goes before what stands; what is warmed goes last, and for readers only")
  func kinds() throws {
    var bench = Bench(firstGeneration: 100)
    let (standing, _) = try bench.idle("standing", 1)
    let warm = bench.stage("warm")
    bench.warm(warm)
    _ = try bench.made()
    let left = bench.stage("left")
    let leftover = ParkedFile(file: BytesFile(left.key, StoreGeneration(rawValue: 7)), bytes: 50)
    let isKept = bench.tiles.keep(leftover, of: left.seq, at: bench.time)
    #expect(isKept)
    let needing = bench.stage("needing")
    #expect(bench.tiles.inTheWay(of: needing.seq) == [left.seq, standing.seq], "nobody has it open")
    bench.open(needing, 2)
    #expect(bench.tiles.inTheWay(of: needing.seq) == [left.seq, standing.seq, warm.seq])
    bench.asked = bench.tiles.dropBytes(left.seq, at: bench.time)
    #expect(bench.asked == [.unlink(leftover)])
    #expect(bench.tiles.inTheWay(of: needing.seq) == [standing.seq, warm.seq])
  }

  @Test("a left file is neither dropped nor unlinked while a store is made of it; with its item it goes")
  func leftIsTaken() throws {
    var bench = Bench(firstGeneration: 100)
    let entry = bench.stage("A")
    let leftover = ParkedFile(file: BytesFile(entry.key, StoreGeneration(rawValue: 7)), bytes: 50)
    let isKept = bench.tiles.keep(leftover, of: entry.seq, at: bench.time)
    #expect(isKept)
    bench.open(entry, 1)
    let generation = try #require(bench.asking)
    bench.close(1)
    bench.pass(5)
    let other = bench.stage("B")
    #expect(bench.tiles.inTheWay(of: other.seq).isEmpty)
    bench.asked = bench.tiles.storeFailed(generation, .noSpace, at: bench.time)
    #expect(bench.tiles.inTheWay(of: other.seq) == [entry.seq], "it waits for the next open again")
    bench.unstage(entry)
    #expect(bench.asked.contains(.unlink(leftover)))
  }

  @Test("a clearing drops all that is open nowhere and not pinned, within the grace too")
  func clear() throws {
    var bench = Bench(afterUpload: .unstage)
    let (idle, idleFile) = try bench.idle("idle", 1)
    let (pinned, _) = try bench.idle("pinned", 2)
    bench.pin(pinned)
    let (open, _) = try bench.idle("open", 3)
    bench.open(open, 4)
    let graced = bench.stage("graced")
    bench.open(graced, 5)
    let gracedStore = try bench.made()
    bench.close(5, read: 100)
    bench.asked = bench.tiles.dropIdle(at: bench.time)
    let pages = try #require(bench.forgetting(idle.file))
    #expect(
      bench.asked == [
        .unlink(idleFile), .forgetPages(idle.file, pages), .closeStore(gracedStore),
        .forgetPages(graced.file, gracedStore),
      ])
    #expect(bench.tiles.dropIdle(at: bench.time).isEmpty)
    bench.pass(5)
    #expect(bench.refs(graced) == nil, "uploaded, it is unstaged all the same")
  }

  // MARK: Time

  @Test("bytes that nobody used for the set time go; an open, the grace and a pin put it off")
  func idleEvict() throws {
    var bench = Bench(idleEvict: .seconds(60))
    let (entry, _) = try bench.idle("A", 1)
    #expect(
      bench.tiles.files.nextDeadline == Moment(nanoseconds: 60_000_000_000),
      "from the close, not from the end of the grace")
    bench.pass(54.9)
    #expect(bench.asked.isEmpty)
    bench.open(entry, 2)
    #expect(bench.tiles.files.nextDeadline == nil)
    _ = try bench.made()
    bench.pass(100)
    bench.close(2)
    bench.pass(59.9)
    let file = try bench.parked()
    bench.pin(entry)
    bench.pass(1000)
    #expect(bench.asked.isEmpty && bench.tiles.files.nextDeadline == nil)
    bench.unpin(entry)
    #expect(bench.asked.isEmpty)
    bench.pass(59.9)
    #expect(bench.asked.isEmpty)
    bench.pass(0.1)
    let pages = try #require(bench.forgetting(entry.file))
    #expect(bench.asked == [.unlink(file), .forgetPages(entry.file, pages)])
    #expect(bench.isThere(entry) && bench.tiles.files.nextDeadline == nil)
  }

  @Test("what an earlier run left is unused from the start on")
  func idleParkedFile() throws {
    var bench = Bench(idleEvict: .seconds(60), firstGeneration: 100)
    let entry = bench.stage("A")
    bench.pass(30)
    let leftover = ParkedFile(file: BytesFile(entry.key, StoreGeneration(rawValue: 7)), bytes: 50)
    let isKept = bench.tiles.keep(leftover, of: entry.seq, at: bench.time)
    #expect(isKept)
    bench.pass(59)
    #expect(bench.asked.isEmpty)
    bench.pass(1)
    #expect(bench.asked == [.unlink(leftover)])
  }

  @Test("without the setting nothing is dropped, ever")
  func noIdleEvict() throws {
    var bench = Bench()
    _ = try bench.idle("A", 1)
    #expect(bench.tiles.files.nextDeadline == nil)
    bench.pass(1e9)
    #expect(bench.asked.isEmpty)
  }

  // MARK: Pin

  @Test("a pin fetches without a reader, keeps after uploads, and does not count towards the tiles")
  func pin() throws {
    var bench = Bench(maxTiles: 1, afterUpload: .dropBytes)
    let entry = bench.stage("A")
    bench.pin(entry)
    let store = try bench.made()
    #expect(bench.asked == [.setFilling(store, true)])
    let other = bench.stage("B")
    #expect(bench.refs(entry) == [1, 0] && bench.refs(other) == [1, 0])
    bench.open(entry, 1)
    bench.close(1, read: 100)
    bench.pass(5)
    #expect(bench.asked == [.tryDisk(store)] && bench.bytes(entry) == .standing(store))
    bench.unpin(entry)
    #expect(bench.refs(entry) == nil, "one too many, and the older one")
    #expect(bench.asked.contains(.closeStore(store)))
    #expect(bench.refs(other) == [1, 0])
  }

  @Test("a tile that was pushed out while open is put up again by a pin")
  func pinLowered() throws {
    var bench = Bench(maxTiles: 1)
    let entry = bench.stage("A")
    bench.open(entry, 1)
    _ = try bench.made()
    let other = bench.stage("B")
    #expect(bench.refs(entry) == [0, 1])
    bench.pin(entry)
    #expect(bench.refs(entry) == [1, 1] && bench.refs(other) == [1, 0])
    #expect(bench.asked.contains { if case .journal(.show(entry.seq, _)) = $0 { true } else { false } })
    bench.close(1)
    bench.pass(5)
    #expect(bench.refs(entry) == [1, 0])
  }

  @Test("a pinned item is not unstaged by its upload; unstaging by a person ends the pin")
  func pinnedUpload() throws {
    var bench = Bench(afterUpload: .unstage)
    let (entry, _) = try bench.idle("A", 1)
    bench.pin(entry)
    bench.open(entry, 2)
    let store = try bench.made()
    bench.close(2, read: 100)
    bench.pass(5)
    #expect(bench.isThere(entry))
    bench.open(entry, 3)
    bench.unstage(entry)
    #expect(bench.tiles[entry]?.isPinned == false)
    bench.close(3)
    #expect(bench.asked.contains(.closeStore(store)))
    bench.pin(entry)
    #expect(bench.asked.isEmpty)
  }

  @Test("a pin while the kernel forgets dropped pages waits for that; an empty file is pinned without a store")
  func pinForgetting() throws {
    var bench = Bench()
    let (entry, _) = try bench.idle("A", 1)
    bench.asked = bench.tiles.dropIdle(at: bench.time)
    let pages = try #require(bench.forgetting(entry.file))
    bench.pin(entry)
    #expect(bench.asked.isEmpty)
    bench.asked = bench.tiles.pagesForgotten(pages, at: bench.time)
    #expect(bench.asking != nil)
    let empty = bench.stage("empty", size: 0)
    bench.pin(empty)
    #expect(bench.asked.isEmpty && bench.tiles[empty]?.isPinned == true)
  }

  @Test("after a restart pinned items get their stores at once, and no grace")
  func restart() throws {
    var earlier = Bench(maxTiles: 1)
    let entries = [earlier.stage("A"), earlier.stage("B"), earlier.stage("empty", size: 0)]
    var bench = Bench(maxTiles: 1, firstGeneration: 100, isStarting: true)
    for entry in entries {
      let isRestored = bench.restore(entry, order: entry.seq + 1, isPinned: entry.seq != 1)
      #expect(isRestored)
    }
    bench.begin()
    #expect(entries.map { bench.refs($0) } == [[1, 0], [1, 0], [1, 0]])
    bench.asked = bench.tiles.fillPinned(at: bench.time)
    #expect(bench.asked == [.makeStore(entries[0], StoreGeneration(rawValue: 100))])
    let store = try bench.made()
    #expect(bench.asked == [.setFilling(store, true)])
  }

  // MARK: Warm

  @Test("warming fetches both ends first, then all; complete, it waits ten minutes for an open")
  func warm() throws {
    var bench = Bench(idleEvict: .seconds(3600))
    let entry = bench.stage("A", size: 10 * mib)
    bench.warm(entry)
    let store = try bench.made()
    #expect(
      bench.asked == [
        .fetchFirst(store, [ByteRange(9 * mib, 10 * mib), ByteRange(0, mib)]), .setFilling(store, true),
      ])
    bench.pass(100)
    #expect(bench.tiles.files.nextDeadline == nil, "as long as it takes")
    bench.asked = bench.tiles.storeComplete(store, at: bench.time)
    #expect(bench.asked == [.parkStore(store)])
    let file = try bench.parked()
    bench.pass(599)
    #expect(bench.asked.isEmpty)
    #expect(bench.tiles.files.nextDeadline == Moment(nanoseconds: 700_000_000_000))
    bench.pass(1)
    #expect(bench.asked.isEmpty)
    #expect(bench.tiles.inTheWay(of: 99) == [entry.seq], "ordinary from here on")
    bench.pass(3000)
    let pages = try #require(bench.forgetting(entry.file))
    #expect(bench.asked == [.unlink(file), .forgetPages(entry.file, pages)])
  }

  @Test("once opened, what was warmed is as any other; open or pinned already, there is nothing to warm")
  func warmOpened() throws {
    var bench = Bench()
    let entry = bench.stage("A", size: mib)
    bench.warm(entry)
    let store = try bench.made()
    #expect(bench.asked == [.fetchFirst(store, [ByteRange(0, mib)]), .setFilling(store, true)])
    bench.open(entry, 1)
    bench.asked = bench.tiles.storeComplete(store, at: bench.time)
    #expect(bench.asked.isEmpty && bench.tiles[entry]?.warmth == nil)
    bench.warm(entry)
    #expect(bench.asked.isEmpty)
    bench.close(1)
    #expect(bench.asked == [.setFilling(store, false)])
    bench.pass(5)
    _ = try bench.parked(isComplete: false)
    bench.pin(entry)
    let again = try bench.made()
    bench.warm(entry)
    #expect(bench.asked.isEmpty)
    bench.unpin(entry)
    #expect(bench.asked == [.setFilling(again, false), .parkStore(again)])
    _ = try bench.parked(isComplete: false)
    bench.warm(entry)
    let last = try bench.made()
    #expect(bench.asked == [.fetchFirst(last, [ByteRange(0, mib)]), .setFilling(last, true)])
  }
}
