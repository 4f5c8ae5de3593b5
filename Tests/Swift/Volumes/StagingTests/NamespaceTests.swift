import Core
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Suite("Names")
struct NamespaceTests {
  @Test("a path leads from the root to the file, by bytes")
  func path() throws {
    var bench = Bench()
    let a = bench.stage("A", size: 7)
    let staged = try bench.tiles.items.lookup(FileName("Staged"), in: .root)
    #expect(staged.node == NodeID(2) && staged.kind == .directory)
    let directory = try bench.tiles.items.lookup(FileName(a.id), in: staged.node)
    #expect(directory.node == NodeID(16) && directory.kind == .directory)
    let file = try bench.tiles.items.lookup(FileName("A.mp4"), in: directory.node)
    #expect(file == Attributes(node: NodeID(17), kind: .file, size: 7, modified: a.modified))
    for (name, parent) in [
      ("staged", NodeID.root), ("", .root), ("A.mp4", NodeID(2)), ("a.mp4", directory.node),
      (a.id.uppercased() + "x", NodeID(2)),
    ] {
      #expect(throws: Errno.noEntry) { try bench.tiles.items.lookup(FileName(name), in: parent) }
    }
  }

  @Test("an id is sixteen hex digits of file and recipient, the same in every run")
  func ids() {
    var bench = Bench()
    let a = bench.stage("A")
    #expect(a.id == StableHash.hex("A", "r"))
    #expect(a.id.utf8.count == 16)
  }

  @Test("two pairs of one hash have two names, and keep them")
  func collision() {
    var bench = Bench()
    let one = bench.tiles.items.reserve(
      fileID: "A", recipient: "r", name: FileName("x"), size: 1, modified: 0, base: "00")
    let two = bench.tiles.items.reserve(
      fileID: "B", recipient: "r", name: FileName("x"), size: 1, modified: 0, base: "00")
    #expect(one.id == "00" && two.id == "00-2")
    _ = bench.tiles.stage(two, order: 1, at: bench.time)
    #expect(!bench.isThere(one), "reserved only")
    _ = bench.tiles.stage(one, order: 2, at: bench.time)
    #expect(bench.isThere(one) && bench.isThere(two))
    #expect(bench.tiles.items.page(from: 0, limit: 9).map(\.seq) == [one.seq, two.seq])
    bench.unstage(one)
    #expect(bench.isThere(two))
    let again = bench.tiles.items.reserve(
      fileID: "A", recipient: "r", name: FileName("x"), size: 1, modified: 0, base: "00")
    #expect(again.id == "00")
  }

  @Test("recipients that only Unicode thinks the same have an item each")
  func recipientsCompareByBytes() {
    #expect(StagedPair(fileID: "A", recipient: "\u{e9}") != StagedPair(fileID: "A", recipient: "e\u{301}"))
    #expect(StagedPair(fileID: "A", recipient: "BC") != StagedPair(fileID: "AB", recipient: "C"))
  }

  @Test("the directory's mtime rises with each change of its entries, whatever the wall clock does")
  func directoryTimes() throws {
    var bench = Bench()
    var times = [bench.tiles.items.directoryModified]
    let a = bench.stage("A")
    times.append(bench.tiles.items.directoryModified)
    let b = bench.tiles.items.reserve(fileID: "B", recipient: "r", name: FileName("B"), size: 1, modified: -50)
    _ = bench.tiles.stage(b, order: 9, at: FileTime(now: bench.time.now, wall: -50))
    times.append(bench.tiles.items.directoryModified)
    bench.unstage(a)
    times.append(bench.tiles.items.directoryModified)
    #expect(zip(times, times.dropFirst()).allSatisfy { $0 < $1 }, "\(times)")
    #expect(try bench.tiles.items.attributes(of: NodeID(2)).modified == times.last)
    #expect(try bench.tiles.items.attributes(of: b.file).modified == b.modified)
  }

  @Test("10,000 entries are listed in parts, by rising cursor, each once")
  func bigListing() throws {
    var bench = Bench()
    for index in 0..<10_000 { _ = bench.stage("f\(index)") }
    var cursor: UInt64 = 0
    var seen: [UInt64] = []
    var taken = 0
    repeat {
      taken = 0
      try bench.tiles.items.list(NodeID(2), after: cursor) { _, next, _ in
        guard taken < 37 else { return false }
        taken += 1
        cursor = next
        seen.append(next)
        return true
      }
    } while taken > 0
    #expect(seen == (1...10_000).map { UInt64($0) })
    try bench.tiles.items.list(NodeID(2), after: .max) { _, _, _ in
      Issue.record("beyond the end")
      return false
    }
    #expect(bench.tiles.items.statistics == VolumeStatistics(bytes: 1_000_000, files: 10_000))
  }

  @Test("the root has Staged and the three markers; a listing in parts has each once")
  func root() throws {
    var bench = Bench()
    _ = bench.stage("A")
    let names = ["Staged", "CACHEDIR.TAG", ".nomedia", ".trackerignore"]
    var entries: [(name: FileName, cursor: UInt64, attributes: Attributes)] = []
    for _ in 0...names.count {
      try bench.tiles.items.list(.root, after: entries.last?.cursor ?? 0) { name, cursor, attributes in
        entries.append((name, cursor, attributes))
        return false
      }
    }
    #expect(entries.map(\.name.description) == names && entries.map(\.cursor) == [1, 2, 3, 4])
    for entry in entries {
      #expect(try bench.tiles.items.lookup(entry.name, in: .root) == entry.attributes)
      #expect(try bench.tiles.items.attributes(of: entry.attributes.node) == entry.attributes)
    }
    #expect(entries.map(\.attributes.size) == [0, Int64(Marker.tag.count), 0, 0])
    for node in [NodeID(3), NodeID(4), NodeID(5)] {
      #expect(throws: Errno.notDirectory) { try bench.tiles.items.lookup(FileName("x"), in: node) }
      #expect(throws: Errno.notDirectory) { try bench.tiles.items.list(node, after: 0) { _, _, _ in true } }
    }
    #expect(StagedNode(NodeID(6)) == nil && StagedNode(NodeID(15)) == nil)
    #expect(bench.tiles.items.statistics.files == 1)
  }

  @Test("an item's directory has one entry, of cursor 1")
  func singleEntries() throws {
    var bench = Bench()
    let a = bench.stage("A")
    for (directory, name) in [(a.directory, "A.mp4")] {
      var entries: [(FileName, UInt64)] = []
      try bench.tiles.items.list(directory, after: 0) { name, cursor, _ in
        entries.append((name, cursor))
        return true
      }
      #expect(entries.count == 1 && entries.first?.0 == FileName(name) && entries.first?.1 == 1)
      try bench.tiles.items.list(directory, after: 1) { _, _, _ in
        Issue.record("listed twice")
        return true
      }
    }
  }

  @Test("df does not overflow")
  func hugeSizes() {
    var bench = Bench()
    for index in 0..<10 { _ = bench.stage("f\(index)", size: StagedVolume.maxSize) }
    #expect(bench.tiles.items.statistics.bytes == .max)
    #expect(bench.tiles.items.statistics.files == 10)
  }
}
