import Core
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Suite("Two references")
struct TilesTests {
  @Test("with one tile: stage A, open A, stage B keeps A, closing A evicts it, B stands")
  func timeline() throws {
    var bench = Bench(maxTiles: 1)
    let a = bench.stage("A")
    #expect(bench.refs(a) == [1, 0])
    bench.open(a, 1)
    #expect(bench.refs(a) == [1, 1])
    let store = try bench.made()
    let b = bench.stage("B")
    #expect(bench.refs(a) == [0, 1])
    #expect(bench.isThere(a), "a browser may open it again")
    #expect(!bench.asked.contains(.closeStore(store)))
    bench.close(1)
    #expect(bench.refs(a) == [0, 0], "within the grace")
    bench.pass(4.9)
    #expect(bench.asked.isEmpty)
    bench.pass(0.1)
    #expect(bench.asked.contains(.closeStore(store)))
    #expect(bench.asked.contains(.journal(.remove(seq: a.seq))))
    #expect(bench.asked.contains(.invalidate([NodeID(2), a.directory, a.file])))
    #expect(bench.refs(a) == nil)
    #expect(!bench.isThere(a))
    #expect(bench.refs(b) == [1, 0])
  }

  @Test("an idle tile beyond the limit goes as soon as the new one stands, not before")
  func idleTileIsPushedOut() {
    var bench = Bench(maxTiles: 1)
    let a = bench.stage("A")
    let b = bench.tiles.items.reserve(fileID: "B", recipient: "r", name: FileName("B"), size: 1, modified: 0)
    #expect(bench.refs(a) == [1, 0], "while B is being brought up")
    bench.tiles.items.cancel(b)
    #expect(bench.refs(a) == [1, 0], "B failed")
    let c = bench.stage("C")
    #expect(bench.refs(a) == nil)
    #expect(bench.refs(c) == [1, 0])
  }

  @Test("the oldest tiles go first, and one that was put up again is not old")
  func oldestFirst() {
    var bench = Bench(maxTiles: 2)
    let a = bench.stage("A")
    let b = bench.stage("B")
    bench.show(a)
    let c = bench.stage("C")
    #expect(bench.refs(a) == [1, 0])
    #expect(bench.refs(b) == nil)
    #expect(bench.refs(c) == [1, 0])
  }

  @Test("putting up a lowered tile again lowers the other one, and keeps the bytes")
  func loweredTileShownAgain() throws {
    var bench = Bench(maxTiles: 1)
    let a = bench.stage("A")
    bench.open(a, 1)
    let store = try bench.made()
    let b = bench.stage("B")
    bench.show(a)
    #expect(bench.refs(a) == [1, 1])
    #expect(bench.refs(b) == nil)
    bench.close(1)
    bench.pass(60)
    #expect(bench.refs(a) == [1, 0])
    #expect(bench.bytes(a) == .parking(store))
  }

  @Test("opening again within the grace keeps everything")
  func reopen() throws {
    var bench = Bench(maxTiles: 1)
    let a = bench.stage("A")
    bench.open(a, 1)
    let store = try bench.made()
    _ = bench.stage("B")
    bench.close(1)
    bench.pass(4)
    bench.open(a, 2)
    #expect(bench.asked.contains(.answer(HandleID(2), .store(store))))
    bench.pass(60)
    #expect(bench.asked.isEmpty)
    #expect(bench.refs(a) == [0, 1])
  }

  @Test("unstaging takes the names at once and the bytes at the last close, without a grace")
  func unstageWhileOpen() throws {
    var bench = Bench()
    let a = bench.stage("A")
    bench.open(a, 1)
    let store = try bench.made()
    bench.open(a, 2)
    bench.unstage(a)
    #expect(bench.asked.contains(.invalidate([NodeID(2), a.directory, a.file])))
    #expect(bench.refs(a) == [0, 2])
    #expect(throws: Errno.noEntry) { try bench.tiles.items.lookup(FileName(a.id), in: NodeID(2)) }
    #expect(throws: Errno.stale) { try bench.tiles.items.lookup(a.name, in: a.directory) }
    #expect(throws: Errno.stale) { try bench.tiles.items.attributes(of: a.directory) }
    #expect(throws: Errno.stale) { try bench.tiles.items.list(a.directory, after: 0) { _, _, _ in true } }
    #expect(
      try bench.tiles.items.attributes(of: a.file) == a.fileAttributes,
      "an open file's node has attributes until it is closed")
    bench.open(a, 3)
    #expect(bench.asked == [.answer(HandleID(3), .failed(.stale))])
    bench.close(3)
    bench.close(1)
    #expect(bench.asked.isEmpty)
    bench.close(2)
    #expect(bench.asked == [.closeStore(store), .journal(.remove(seq: a.seq)), .gone(a)])
    #expect(throws: Errno.stale) { try bench.tiles.items.attributes(of: a.file) }
  }

  @Test("unstaging within the grace waits for nothing")
  func unstageWithinGrace() throws {
    var bench = Bench()
    let a = bench.stage("A")
    bench.open(a, 1)
    let store = try bench.made()
    bench.close(1)
    bench.unstage(a)
    #expect(bench.asked.contains(.closeStore(store)))
    #expect(bench.tiles.files.nextDeadline == nil)
  }

  @Test("a restaged item is a new one: same name, new nodes, and the old one's bytes are not its own")
  func restage() throws {
    var bench = Bench()
    let old = bench.stage("A")
    bench.open(old, 1)
    let store = try bench.made()
    bench.unstage(old)
    let new = bench.stage("A")
    #expect(new.id == old.id)
    #expect(new.file != old.file && new.directory != old.directory)
    #expect(new.modified == old.modified, "resumable uploads know a file by its time")
    #expect(try bench.tiles.items.lookup(FileName(new.id), in: NodeID(2)).node == new.directory)
    bench.open(new, 2)
    let other = try bench.made()
    #expect(other != store)
    bench.close(1)
    #expect(bench.asked.contains(.closeStore(store)))
    #expect(bench.isThere(new))
    #expect(bench.tiles.items.standing(new.pair) == new.seq)
  }

  @Test("a store that comes after its item went is closed, not given to the next item")
  func lateStore() throws {
    var bench = Bench()
    let old = bench.stage("A")
    bench.open(old, 1)
    let late = try #require(bench.asking)
    bench.unstage(old)
    bench.close(1)
    #expect(bench.asked.contains(.answer(HandleID(1), .failed(.io))), "its OPEN is answered all the same")
    let new = bench.stage("A")
    bench.open(new, 2)
    bench.asked = bench.tiles.storeMade(late, at: bench.time)
    #expect(bench.asked == [.closeStore(late)])
    #expect(bench.tiles[new]?.waiters == [HandleID(2)])
  }

  @Test("opens that come together wait for one store, and a failure reaches them all; the next one tries again")
  func concurrentOpens() throws {
    var bench = Bench()
    let a = bench.stage("A")
    bench.open(a, 1)
    let first = try #require(bench.asking)
    bench.open(a, 2)
    #expect(bench.asked.isEmpty)
    bench.asked = bench.tiles.storeFailed(first, .noSpace, at: bench.time)
    #expect(bench.asked == [.answer(HandleID(1), .failed(.noSpace)), .answer(HandleID(2), .failed(.noSpace))])
    #expect(bench.refs(a) == [1, 2], "counted until released, whatever the answer")
    bench.close(1)
    bench.close(2)
    bench.open(a, 3)
    let second = try bench.made()
    #expect(second != first)
    #expect(bench.asked == [.setFilling(second, true), .answer(HandleID(3), .store(second))])
  }

  @Test("OPEN and RELEASE may be told twice")
  func replays() throws {
    var bench = Bench()
    let a = bench.stage("A")
    bench.open(a, 1)
    let store = try bench.made()
    bench.open(a, 1)
    #expect(bench.refs(a) == [1, 1])
    #expect(bench.asked.contains(.answer(HandleID(1), .store(store))))
    bench.unstage(a)
    bench.open(a, 1)
    #expect(bench.asked.contains(.answer(HandleID(1), .store(store))), "it came in while the name stood")
    bench.close(1)
    bench.close(1)
    #expect(bench.asked.isEmpty)
  }

  @Test("a peek fetches while it is open, not for ever")
  func filling() throws {
    var bench = Bench()
    let a = bench.stage("A", size: 4 << 30)
    bench.open(a, 1)
    let store = try bench.made()
    #expect(bench.asked.contains(.setFilling(store, true)))
    bench.close(1, read: 4096)
    #expect(bench.asked == [.setFilling(store, false)])
    bench.open(a, 2)
    #expect(bench.asked == [.setFilling(store, true), .answer(HandleID(2), .store(store))])
    bench.close(2)
    bench.pass(5)
    #expect(bench.asked == [.parkStore(store)])
  }

  @Test("an empty file has neither store nor lease")
  func emptyFile() {
    var bench = Bench()
    let a = bench.stage("A", size: 0)
    bench.open(a, 1)
    #expect(bench.asked == [.answer(HandleID(1), .empty)])
    bench.close(1)
    #expect(bench.refs(a) == [1, 0])
  }

  @Test("only the file of an item that stands can be opened")
  func wrongNodes() {
    var bench = Bench()
    let a = bench.stage("A")
    let b = bench.stage("B")
    let cases: [(NodeID, Errno)] = [
      (NodeID(1), .isDirectory), (NodeID(2), .isDirectory), (a.directory, .isDirectory), (NodeID(999), .stale),
      (NodeID(6), .stale),
    ]
    for (node, error) in cases {
      bench.asked = bench.tiles.open(node, handle: HandleID(9), at: bench.time)
      #expect(bench.asked == [.answer(HandleID(9), .failed(error))])
    }
    #expect(bench.tiles.files.openHandles == 0)
    bench.close(9)
    #expect(bench.asked.isEmpty)
    for node in [UInt64.max, 1 << 63, 15, 0] {
      #expect(throws: Errno.stale) { try bench.tiles.items.attributes(of: NodeID(node)) }
    }
    #expect(throws: Errno.notDirectory) { try bench.tiles.items.lookup(FileName("x"), in: a.file) }
    #expect(throws: Errno.notDirectory) { try bench.tiles.items.list(a.file, after: 0) { _, _, _ in true } }
    bench.open(a, 1)
    bench.open(b, 1)
    #expect(bench.asked == [.answer(HandleID(1), .failed(.badHandle))], "a handle belongs to one file")
    #expect(bench.refs(b) == [1, 0])
  }

  @Test(
    "after an upload: kept, its bytes dropped, or unstaged, and only if the whole file was read",
    arguments: [
      (StagedVolume.AfterUpload.keep, Int64(100)), (.dropBytes, 100), (.unstage, 100), (.keep, 99), (.dropBytes, 99),
      (.unstage, 99),
    ])
  func afterUpload(policy: StagedVolume.AfterUpload, read: Int64) throws {
    var bench = Bench(afterUpload: policy)
    let a = bench.stage("A", size: 100)
    bench.open(a, 1)
    let store = try bench.made()
    bench.close(1, read: read)
    #expect(bench.asked == [.setFilling(store, false)], "no more before the grace is over")
    bench.pass(5)
    switch (policy, read) {
    case (.unstage, 100):
      #expect(bench.refs(a) == nil)
      #expect(bench.asked.contains(.closeStore(store)))
    case (.dropBytes, 100):
      #expect(bench.asked == [.closeStore(store), .forgetPages(a.file, store)])
      #expect(bench.refs(a) == [1, 0])
    default:
      #expect(bench.asked == [.parkStore(store)])
      #expect(bench.refs(a) == [1, 0])
    }
  }

  @Test("reading the tail twice is not reading the whole")
  func tailTwice() throws {
    var bench = Bench(afterUpload: .unstage)
    let a = bench.stage("A", size: 100)
    bench.open(a, 1)
    _ = try bench.made()
    bench.asked = bench.tiles.released(HandleID(1), use: HandleUse(bytes: 50, furthest: 100), at: bench.time)
    bench.open(a, 2)
    bench.asked = bench.tiles.released(HandleID(2), use: HandleUse(bytes: 40, furthest: 100), at: bench.time)
    bench.pass(5)
    #expect(bench.refs(a) == [1, 0])
    bench.open(a, 3)
    bench.asked = bench.tiles.released(HandleID(3), use: HandleUse(bytes: .max, furthest: .max), at: bench.time)
    #expect(bench.tiles[a]?.served == .max, "figures from outside do not overflow")
  }

  @Test("after bytes were dropped no OPEN is answered before the kernel has forgotten the pages")
  func dropThenOpen() throws {
    var bench = Bench(afterUpload: .dropBytes)
    let a = bench.stage("A", size: 100)
    bench.open(a, 1)
    let first = try bench.made()
    bench.close(1, read: 100)
    bench.pass(5)
    bench.open(a, 2)
    #expect(bench.asked.isEmpty)
    bench.asked = bench.tiles.pagesForgotten(first, at: bench.time)
    let second = try bench.made()
    #expect(second != first)
    #expect(bench.asked.contains(.answer(HandleID(2), .store(second))))
    bench.asked = bench.tiles.pagesForgotten(first, at: bench.time)
    #expect(bench.asked.isEmpty, "said twice")
    bench.close(2, read: 50)
    bench.pass(5)
    #expect(bench.asked == [.parkStore(second)], "a peek is no second upload")
  }

  @Test("stopping answers every wait and closes every store")
  func stopping() throws {
    var bench = Bench()
    let a = bench.stage("A")
    let b = bench.stage("B")
    bench.open(a, 1)
    let store = try bench.made()
    bench.open(b, 2)
    let late = try #require(bench.asking)
    bench.asked = bench.tiles.stop(at: bench.time)
    #expect(bench.asked == [.closeStore(store), .answer(HandleID(2), .failed(.io))])
    bench.asked = bench.tiles.storeMade(late, at: bench.time)
    #expect(bench.asked == [.closeStore(late)])
    bench.open(a, 3)
    #expect(bench.asked == [.answer(HandleID(3), .failed(.io))])
    bench.pass(60)
    bench.close(1)
    bench.close(2)
    bench.close(3)
    bench.pass(60)
    #expect(bench.isThere(a) && bench.isThere(b), "the list is for the next start")
  }

  @Test("a start with a lower limit takes the oldest tiles down; a lowered tile of the last run gets another grace")
  func restore() {
    var earlier = Bench()
    let entries = ["A", "B", "C"].map { earlier.stage($0) }
    var bench = Bench(maxTiles: 1)
    bench.seconds = 100
    for (entry, order) in zip(entries, [3, 0, 2] as [UInt64]) {
      let isRestored = bench.restore(entry, order: order)
      #expect(isRestored)
    }
    bench.pass(100)
    #expect(bench.tiles.items.count == 3, "nothing goes before it is known what is open")
    bench.begin()
    #expect(bench.refs(entries[0]) == [1, 0])
    #expect(bench.refs(entries[1]) == [0, 0])
    #expect(bench.refs(entries[2]) == nil)
    let isRestored = bench.restore(entries[0], order: 9)
    #expect(!isRestored, "twice")
    bench.pass(5)
    #expect(bench.refs(entries[1]) == nil)
    let next = bench.stage("D")
    #expect(next.seq == 3)
  }
}
